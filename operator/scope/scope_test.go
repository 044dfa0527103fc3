package scope_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/holdfast-telemetry/holdfast/operator/scope"
)

func configuration(name string, selectors ...*metav1.LabelSelector) *admissionregistrationv1.MutatingWebhookConfiguration {
	c := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, s := range selectors {
		c.Webhooks = append(c.Webhooks, admissionregistrationv1.MutatingWebhook{Name: "x", NamespaceSelector: s})
	}
	return c
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func selecting(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func TestScopeIsWhatTheWebhooksSelect(t *testing.T) {
	in := map[string]string{"injection": "enabled"}
	namespaces := []client.Object{namespace("in", in), namespace("mesh", map[string]string{"mesh": "yes"}), namespace("out", nil), namespace("own", in)}
	for name, tt := range map[string]struct {
		configurations []client.Object
		want           []string
	}{
		"one selector":             {[]client.Object{configuration("a", selecting("injection", "enabled"))}, []string{"in"}},
		"one of two webhooks":      {[]client.Object{configuration("a", selecting("injection", "enabled"), selecting("mesh", "yes"))}, []string{"in", "mesh"}},
		"one of two":               {[]client.Object{configuration("a", selecting("injection", "enabled")), configuration("b", selecting("mesh", "yes"))}, []string{"in", "mesh"}},
		"no selector":              {[]client.Object{configuration("a", nil)}, []string{"in", "mesh", "out"}},
		"an empty one":             {[]client.Object{configuration("a", &metav1.LabelSelector{})}, []string{"in", "mesh", "out"}},
		"one that nobody asked of": {[]client.Object{configuration("a", selecting("mesh", "yes")), configuration("other", nil)}, []string{"mesh"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scope.Scope{Live: fake.NewClientBuilder().WithObjects(append(tt.configurations, namespaces...)...).Build(), Webhooks: []string{"a", "b"}, Exempt: []string{"own"}}
			all, err := s.Namespaces(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, tt.want) {
				t.Errorf("in scope are %q, want %q", got, tt.want)
			}
			for _, ns := range namespaces {
				if holds, err := s.Holds(t.Context(), ns.GetName()); err != nil || holds != all[ns.GetName()] {
					t.Errorf("%s alone is in scope: %v, %v", ns.GetName(), holds, err)
				}
			}
		})
	}
}

func TestNothingIsInScopeWhileTheRuleIsUnknown(t *testing.T) {
	s := &scope.Scope{Live: fake.NewClientBuilder().WithObjects(namespace("in", nil)).Build(), Webhooks: []string{"a"}}
	if holds, err := s.Holds(t.Context(), "in"); holds || err == nil || !strings.Contains(err.Error(), "no webhook configuration says") {
		t.Errorf("it is in scope: %v, %v", holds, err)
	}
	if _, err := s.Namespaces(t.Context()); err == nil {
		t.Error("there is no error")
	}
	s.Live = fake.NewClientBuilder().WithObjects(configuration("a", nil)).Build()
	if holds, err := s.Holds(t.Context(), "gone"); holds || err == nil {
		t.Errorf("a namespace that is gone is in scope: %v, %v", holds, err)
	}
}

func TestGrantIsOneClassForOneNamespace(t *testing.T) {
	g, err := scope.ParseGrant("nodes/default")
	if err != nil || g != (scope.Grant{Namespace: "nodes", Class: "default"}) {
		t.Fatalf("got %v, %v", g, err)
	}
	s := &scope.Scope{Also: []scope.Grant{g}}
	if !s.Grants("nodes", "default") || s.Grants("nodes", "secret") || s.Grants("shop", "default") {
		t.Error("it grants another class, or to another namespace")
	}
	for _, text := range []string{"", "nodes", "nodes/", "/default", "nodes/a/b", "No/des"} {
		if _, err := scope.ParseGrant(text); err == nil {
			t.Errorf("%q is understood", text)
		}
	}
}
