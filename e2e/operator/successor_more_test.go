//go:build e2e

package operator_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// 7: the authority is in a Secret of the operator's own, and the bundle is what the webhook's certificate is checked by.
func TestSuccessor7AuthorityIsTheOperatorsOwn(t *testing.T) {
	secret, err := cluster.Client().CoreV1().Secrets("holdfast-operator").Get(t.Context(), "holdfast-operator-tls", metav1.GetOptions{})
	if err != nil || len(secret.Data) == 0 {
		t.Fatalf("the Secret of the authority: %v, %d keys", err, len(secret.Data))
	}
	trusted, err := bundle(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := served(t.Context(), installed.Replicas[0].Webhook, trusted)
	if err != nil {
		t.Fatalf("what is served is not of the bundle: %v", err)
	}
	if left := time.Until(cert.NotAfter); left <= 0 {
		t.Errorf("the certificate ended %s ago", -left)
	}
}

// 9: of Secrets, the rights in the whole cluster are to the one that classes are delivered in.
func TestSuccessor9RightsNameTheOneSecret(t *testing.T) {
	role, err := cluster.Client().RbacV1().ClusterRoles().Get(t.Context(), "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, rule := range role.Rules {
		if !slices.Contains(rule.Resources, "secrets") && !slices.Contains(rule.Resources, "*") {
			continue
		}
		found = true
		if slices.Contains(rule.Resources, "*") || !slices.Equal(rule.ResourceNames, []string{"holdfast-classes"}) {
			t.Errorf("a rule for more than that Secret: %+v", rule)
		}
	}
	if !found {
		t.Error("no rule speaks of Secrets: the test looks at the wrong role")
	}
}

// 13: how the operator does, on its own endpoints; every metric is in the documentation.
func TestSuccessor13OwnMetrics(t *testing.T) {
	r := installed.Replicas[0]
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	in := cluster.Namespace(t, nil)
	setClass(t, "measured", out("old"))
	create(t, in, annotated("p", "class", "measured", "port", "8080")).sidecar(t)
	delivered(t, in, "measured", "old")
	setClass(t, "measured", out("new"))
	delivered(t, in, "measured", "new")
	page, err := os.ReadFile("../../docs/operator/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range []string{`holdfast_operator_injections_total{result="Injected"} `, `holdfast_operator_config_age_seconds{kind="Secret",name="measured",namespace=""} `,
		`holdfast_operator_reload_seconds_count `, `holdfast_operator_certificate_expiry_timestamp_seconds{certificate="serving"} `} {
		at := strings.Index(text, "\n"+series)
		if at < 0 || strings.HasPrefix(text[at+1+len(series):], "0\n") {
			t.Errorf("there is no %s, or it is 0", series)
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (holdfast_operator_\S+)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(page), "| `"+name[1]+"`") {
			t.Errorf("docs/operator/metrics.md does not speak of %s", name[1])
		}
	}
}
