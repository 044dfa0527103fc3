package webhook_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/scope"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
	"github.com/holdfast-telemetry/holdfast/operator/webhook"
)

// setup is a handler, what it has counted and what it has logged.
type setup struct {
	*webhook.Handler
	metrics *prometheus.Registry
	log     bytes.Buffer
}

func newSetup(change func(*webhook.Options)) *setup {
	s := &setup{metrics: prometheus.NewRegistry()}
	o := webhook.Options{Registerer: s.metrics, Logger: slog.New(slog.NewTextHandler(&s.log, nil)), Scope: &scope.Scope{Exempt: []string{"kube-system"}},
		Builder: &sidecar.Builder{
			Defaults: sidecar.Defaults{Class: "default", Sidecar: v1alpha1.SidecarSpec{Image: "telegraf"}},
			Native:   func() bool { return true },
			Classes: func(namespace, name string) (*class.Class, error) {
				switch name {
				case "default":
					return &class.Class{Name: name, Hash: "0123456789"}, nil
				case "panic":
					panic("out of ideas")
				}
				return nil, &class.ResolveError{Problem: class.ProblemUnknown, Namespace: namespace, Name: name}
			},
		}}
	if change != nil {
		change(&o)
	}
	s.Handler = webhook.New(o)
	return s
}

// counted is what the handler has counted, by result.
func (s *setup) counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			all[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return all
}

// request asks about the creation of a pod.
func request(annotations map[string]string) admission.Request {
	raw, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"generateName": "web-", "annotations": annotations},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "app", "future": 1}}},
	})
	if err != nil {
		panic(err)
	}
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Namespace: "shop",
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Object: runtime.RawExtension{Raw: raw}}}
}

const port = "telegraf.influxdata.com/port"

func TestAPodGetsAPatchThatKeepsWhatIsUnknown(t *testing.T) {
	s := newSetup(nil)
	req := request(map[string]string{port: "8080"})
	resp := s.Handle(t.Context(), req)
	if !resp.Allowed || resp.PatchType == nil || *resp.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("the answer is %+v", resp)
	}
	patch, err := jsonpatch.DecodePatch(resp.Patch)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := patch.Apply(req.Object.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(pod, []byte(`"future":1`)) || !bytes.Contains(pod, []byte(`"initContainers":[{"name":"telegraf"`)) {
		t.Errorf("the pod is %s", pod)
	}
	if got := s.counted(t)["Injected"]; got != 1 {
		t.Errorf("%v sidecars are counted", got)
	}
	if !strings.Contains(s.log.String(), "pod=web-*") {
		t.Errorf("the log does not name the pod: %s", s.log.String())
	}
}

func TestAMistakeIsToldAndThePodAdmitted(t *testing.T) {
	s := newSetup(nil)
	resp := s.Handle(t.Context(), request(map[string]string{port: "http"}))
	if !resp.Allowed || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], `"http" is not a port`) || !bytes.Contains(resp.Patch, []byte("not injected, InvalidAnnotation")) {
		t.Errorf("the answer is %+v", resp)
	}
	if got := s.counted(t)["InvalidAnnotation"]; got != 1 {
		t.Errorf("%v mistakes are counted", got)
	}
}

func TestAPodIsRefusedOnlyWhenTheOperatorIsToldTo(t *testing.T) {
	s := newSetup(func(o *webhook.Options) { o.Deny = true })
	resp := s.Handle(t.Context(), request(map[string]string{port: "1", "holdfast.dev/class": "nowhere", "holdfast.dev/prot": "2"}))
	if resp.Allowed || !strings.Contains(resp.Result.Message, "no sidecar telegraf: there is no class nowhere") || len(resp.Warnings) != 2 || len(resp.Patch) > 0 {
		t.Errorf("the answer is %+v", resp)
	}
	for name, annotations := range map[string]map[string]string{"good": {port: "1"}, "a warning": {port: "1", "holdfast.dev/prot": "2"}, "nothing": nil} {
		if resp := s.Handle(t.Context(), request(annotations)); !resp.Allowed {
			t.Errorf("%s: the pod is refused: %+v", name, resp)
		}
	}
}

func TestAPodWithAContainerOfThatNameIsNotRefused(t *testing.T) {
	s := newSetup(func(o *webhook.Options) { o.Deny = true })
	req := request(map[string]string{port: "1"})
	req.Object.Raw = bytes.Replace(req.Object.Raw, []byte(`"app"`), []byte(`"telegraf"`), 1)
	if resp := s.Handle(t.Context(), req); !resp.Allowed {
		t.Errorf("the answer is %+v", resp)
	}
}

func TestADryRunCountsNothing(t *testing.T) {
	s := newSetup(nil)
	for _, annotations := range []map[string]string{{port: "1"}, {port: "x"}, {port: "1", "holdfast.dev/class": "panic"}} {
		req := request(annotations)
		req.DryRun = new(true)
		if resp := s.Handle(t.Context(), req); !resp.Allowed {
			t.Errorf("the answer is %+v", resp)
		}
	}
	if n := testutil.CollectAndCount(s.metrics); n != 0 {
		t.Errorf("dry runs are counted: %v", s.counted(t))
	}
}

func TestAFailureOfTheOperatorLeavesThePodAsItIs(t *testing.T) {
	for name, change := range map[string]func(*admission.Request){
		"a panic": func(req *admission.Request) {
			*req = request(map[string]string{port: "1", "holdfast.dev/class": "panic"})
		},
		"not readable": func(req *admission.Request) { req.Object.Raw = []byte(`{"metadata": [], "spec": {}}`) },
		"nothing":      func(req *admission.Request) { req.Object.Raw = nil },
	} {
		for _, deny := range []bool{false, true} {
			s := newSetup(func(o *webhook.Options) { o.Deny = deny })
			req := request(nil)
			change(&req)
			resp := s.Handle(t.Context(), req)
			if !resp.Allowed || len(resp.Patch) > 0 || len(resp.Warnings) != 1 || s.counted(t)["Error"] != 1 {
				t.Errorf("%s, deny %v: the answer is %+v, counted is %v", name, deny, resp, s.counted(t))
			}
		}
	}
}

func TestOtherRequestsAreNotHeeded(t *testing.T) {
	for name, change := range map[string]func(*admission.Request){
		"update":           func(req *admission.Request) { req.Operation = admissionv1.Update },
		"delete":           func(req *admission.Request) { req.Operation = admissionv1.Delete },
		"connect":          func(req *admission.Request) { req.Operation = admissionv1.Connect },
		"a subresource":    func(req *admission.Request) { req.SubResource = "ephemeralcontainers" },
		"another resource": func(req *admission.Request) { req.Resource.Resource = "deployments" },
		"an exempt one":    func(req *admission.Request) { req.Namespace = "kube-system" },
	} {
		s := newSetup(func(o *webhook.Options) { o.Deny = true })
		req := request(map[string]string{port: "x"})
		change(&req)
		if resp := s.Handle(t.Context(), req); !resp.Allowed || len(resp.Patch)+len(resp.Warnings) > 0 || len(s.counted(t)) > 0 {
			t.Errorf("%s: the answer is %+v", name, resp)
		}
	}
}

// Was: the mirror showed a sidecar that no kubelet runs, and counted as injected.
func TestMirrorOfAStaticPodIsLeftAlone(t *testing.T) {
	s := newSetup(nil)
	resp := s.Handle(t.Context(), request(map[string]string{port: "8080", "kubernetes.io/config.mirror": "x"}))
	if !resp.Allowed || resp.Patch != nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "static pod") {
		t.Errorf("the answer is %+v", resp)
	}
	if got := s.counted(t); len(got) > 0 {
		t.Errorf("it is counted: %v", got)
	}
	if resp := s.Handle(t.Context(), request(map[string]string{port: "8080", "note": "kubernetes.io/config.mirror"})); resp.Patch == nil {
		t.Error("a pod whose annotation only names the key has no sidecar")
	}
}
