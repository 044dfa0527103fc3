//go:build e2e

package operator_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

const istioStatus = "sidecar.istio.io/status"

// istioInjector is what stands for Istio's injector: like it, a webhook of its own, and one that puts its proxy and its annotation into
// each pod of a namespace that is labelled istio-injection=enabled. It returns when pods get them.
func istioInjector(t *testing.T, c *kube.Cluster, namespace string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		err := json.NewDecoder(r.Body).Decode(&review)
		if err == nil {
			err = json.Unmarshal(review.Request.Object.Raw, &pod)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response, review.Request = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}, nil
		if pod.Annotations[istioStatus] == "" {
			status := map[string]any{"op": "add", "path": "/metadata/annotations/sidecar.istio.io~1status", "value": "{}"}
			if pod.Annotations == nil {
				status = map[string]any{"op": "add", "path": "/metadata/annotations", "value": map[string]string{istioStatus: "{}"}}
			}
			proxy := map[string]any{"op": "add", "path": "/spec/containers/-", "value": map[string]string{"name": "istio-proxy", "image": "proxyv2"}}
			review.Response.PatchType = new(admissionv1.PatchTypeJSONPatch)
			review.Response.Patch, err = json.Marshal([]any{status, proxy})
		}
		if err == nil {
			err = json.NewEncoder(w).Encode(review)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if out, err := c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: istio-sidecar-injector
webhooks:
  - name: namespace.sidecar-injector.istio.io
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig:
      url: %s
      caBundle: %s
    namespaceSelector:
      matchLabels:
        istio-injection: enabled
    rules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [pods]
`, server.URL, base64.StdEncoding.EncodeToString(ca))); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitTime(t, 30*time.Second, "pods got Istio's proxy", func(ctx context.Context) error {
		pod, err := c.Client().CoreV1().Pods(namespace).Create(ctx, plainPod("looks"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && pod.Annotations[istioStatus] == "" {
			err = errors.New("a pod came through without")
		}
		return err
	})
}

// asks is how often a replica's webhook was asked.
func asks(t *testing.T, in *operator.Installation) float64 {
	t.Helper()
	n, err := seriesOf(t.Context(), in.Replicas[0], webhookRequests)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// plainPod has no annotation of anyone's.
func plainPod(name string) *corev1.Pod {
	pod := annotated(name)
	pod.Annotations = nil
	return pod
}

// As in telegraf-operator the two sidecars are decided each alone: a pod of the mesh needs no annotation of ours. Was: Istio's injector is
// called after a webhook whose name is before its own, and one that has passed a pod over is not called again (seen by running it).
func TestPodThatIstioInjectsGetsItsSidecarWithoutAnAnnotation(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Manifest: chartWith(t, "istio.enabled=true")})
	mesh := c.Namespace(t, map[string]string{"istio-injection": "enabled"})
	istioInjector(t, c, mesh)
	create := func(namespace string, pod *corev1.Pod) created {
		t.Helper()
		made, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return created{Pod: made}
	}
	has := func(pod created, want ...string) {
		t.Helper()
		for _, name := range []string{"telegraf", "telegraf-istio"} {
			if found, _ := pod.container(name); (found != nil) != slices.Contains(want, name) {
				t.Errorf("pod %s has a container %s: %v", pod.Name, name, found != nil)
			}
		}
	}
	// The bundle of authorities reaches the second configuration as it does the first.
	awaitTime(t, 30*time.Second, "the second webhook was asked", func(ctx context.Context) error {
		pod, err := c.Client().CoreV1().Pods(mesh).Create(ctx, plainPod("looks"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && pod.Labels["sidecar.holdfast.dev/injected"] != "true" {
			err = errors.New("a pod came through without a sidecar")
		}
		return err
	})
	plain := create(mesh, plainPod("plain"))
	has(plain, "telegraf-istio")
	if conf := plain.conf("telegraf-istio"); !strings.Contains(conf, `urls = ["http://127.0.0.1:15090/stats/prometheus"]`) {
		t.Errorf("the file is\n%s", conf)
	}
	has(create(mesh, annotated("both", "port", "8080")), "telegraf", "telegraf-istio")
	has(create(mesh, annotated("neither", "inject", "false")))
	awaitDelivered(t, c, mesh, "istio", "mesh")

	outside := c.Namespace(t, nil)
	asked := asks(t, in)
	has(create(outside, plainPod("outside")))
	if n := asks(t, in) - asked; n != 0 {
		t.Errorf("the webhook was asked %v times about a pod that is neither annotated nor in the mesh", n)
	}
	has(create(outside, annotated("asks", "port", "8080")), "telegraf")
	if n := asks(t, in) - asked; n != 1 {
		t.Errorf("the webhook was asked %v times about an annotated pod outside the mesh, want once", n)
	}
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
