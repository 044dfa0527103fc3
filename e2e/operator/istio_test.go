//go:build e2e

package operator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
)

// conditions replaces the match conditions of the webhook configuration, and returns when the API server has them.
func conditions(t *testing.T, all []admissionregistrationv1.MatchCondition, reached func() bool) {
	t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/webhooks/0/matchConditions", "value": all}})
	if err != nil {
		t.Fatal(err)
	}
	hooks := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := hooks.Patch(t.Context(), "holdfast-operator", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		if !reached() {
			return fmt.Errorf("the API server does not know the match conditions yet")
		}
		return nil
	})
}

const istioStatus = "sidecar.istio.io/status"

// As in telegraf-operator the two sidecars are decided each alone: a pod of the mesh needs no annotation of ours.
func TestIstioSidecarNeedsNoOtherAnnotation(t *testing.T) {
	docs, err := render(t, "--set", "istio.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	rendered := manifest.Find[*admissionregistrationv1.MutatingWebhookConfiguration](docs, "holdfast-operator")
	hook, err := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := cluster.Namespace(t, nil)
	asked := func() bool {
		c := create(t, in, annotated("dry", istioStatus, "{}"), metav1.DryRunAll)
		return c.Labels["sidecar.holdfast.dev/injected"] == "true"
	}
	conditions(t, rendered.Webhooks[0].MatchConditions, asked)
	defer conditions(t, hook.Webhooks[0].MatchConditions, func() bool { return !asked() })
	c := create(t, in, annotated("p", istioStatus, "{}"))
	if other, _ := c.container("telegraf"); other != nil {
		t.Error("there is a sidecar that nothing asks for")
	}
	if conf := c.conf("telegraf-istio"); !strings.Contains(conf, `urls = ["http://127.0.0.1:15090/stats/prometheus"]`) {
		t.Errorf("the file is\n%s", conf)
	}
	accepted(t, c.Pod)
}

// Was: the text of Istio's sidecar was made anew without its input, and with those of the application (seen by running it).
func TestIstioSidecarKeepsItsInputThroughAChangeOfItsClass(t *testing.T) {
	in := cluster.Namespace(t, nil)
	c := create(t, in, annotated("p", "class", "app", "port", "8080", istioStatus, "{}"))
	delivered(t, in, "istio", `mesh = "yes"`)
	text := strings.Replace(classes["istio"], "yes", "edited", 1)
	setClass(t, "istio", text)
	delivered(t, in, "istio", `mesh = "edited"`)
	p, err := cluster.Client().CoreV1().Pods(in).Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	files := configuration(t, p, "telegraf-istio-config")
	if files["telegraf.conf"] != c.conf("telegraf-istio") || !strings.Contains(files["telegraf.conf"], ":15090/stats/prometheus") {
		t.Errorf("the file of Istio's sidecar is\n%s", files["telegraf.conf"])
	}
	if files["class-00-istio.conf"] != text {
		t.Errorf("its class is\n%s", files["class-00-istio.conf"])
	}
	if app := configuration(t, p, "telegraf-config")["telegraf.conf"]; !strings.Contains(app, ":8080/metrics") || strings.Contains(app, "15090") {
		t.Errorf("the file of the application's sidecar is\n%s", app)
	}
	accepted(t, p)
}
