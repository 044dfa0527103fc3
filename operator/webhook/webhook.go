// Package webhook answers the API server's question of what to add to a pod that is being created.
//
// Answering has no side effect but a counter, also when it is no dry run: nothing is written anywhere. A pod is never refused because of
// a mistake of the operator, and because of one of its annotations only when the operator is told to: then the author sees a warning
// and the pod says why it has no sidecar.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/holdfast-telemetry/holdfast/operator/scope"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// Path is where the API server asks; telegraf-operator's is the same.
const Path = "/mutate-v1-pod"

// Handler answers admission requests.
type Handler struct {
	builder *sidecar.Builder
	deny    bool
	scope   *scope.Scope
	logger  *slog.Logger

	injections *prometheus.CounterVec
}

// Options are what a handler needs.
type Options struct {
	Builder *sidecar.Builder
	// Deny refuses pods that ask for a sidecar that cannot be made. Otherwise they are admitted without it.
	Deny bool
	// Scope exempts namespaces whose pods never get a sidecar, whatever the webhook configuration says.
	Scope      *scope.Scope
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// New makes a handler.
func New(o Options) *Handler {
	h := &Handler{builder: o.Builder, deny: o.Deny, scope: o.Scope, logger: o.Logger,
		injections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_operator_injections_total",
			Help: "Sidecars that pods asked for, by what became of them. Dry runs are not counted.",
		}, []string{"result"}),
	}
	o.Registerer.MustRegister(h.injections)
	return h
}

// Handle answers one request.
func (h *Handler) Handle(_ context.Context, req admission.Request) (resp admission.Response) {
	defer func() {
		if p := recover(); p != nil {
			resp = h.leave(req, p)
		}
	}()
	if req.Operation != admissionv1.Create || req.SubResource != "" || req.Resource.Resource != "pods" || h.scope.Exempts(req.Namespace) {
		return admission.Allowed("")
	}
	if mirrors(req) {
		return admission.Allowed("").WithWarnings("holdfast-operator leaves a static pod as it is: a kubelet runs it from its own file, and what is added to it here would not run")
	}
	in, err := h.builder.Inject(req.Object.Raw, req.Namespace)
	if err != nil {
		return h.leave(req, err)
	}
	return h.answer(req, in)
}

// mirrors says whether a pod only shows one that a kubelet runs from a file. Telling takes reading the whole object, so the key is sought first.
func mirrors(req admission.Request) bool {
	if !bytes.Contains(req.Object.Raw, []byte(corev1.MirrorPodAnnotationKey)) {
		return false
	}
	var o metav1.PartialObjectMetadata
	return json.Unmarshal(req.Object.Raw, &o) == nil && o.Annotations[corev1.MirrorPodAnnotationKey] != ""
}

// leave admits a pod unchanged because deciding about it failed. Whether it is a pod at all is the API server's to say.
func (h *Handler) leave(req admission.Request, why any) admission.Response {
	h.logger.Error("a pod was admitted unchanged, because deciding about it failed", "namespace", req.Namespace, "pod", podName(req), "error", why)
	h.count(req, "Error")
	return admission.Allowed("").WithWarnings("holdfast-operator failed on this pod and left it as it is")
}

func (h *Handler) answer(req admission.Request, in *sidecar.Injection) admission.Response {
	for _, o := range in.Outcomes {
		if !in.Again {
			h.count(req, string(o.Reason))
			h.logger.Info("sidecar", "namespace", req.Namespace, "pod", podName(req), "container", o.Container, "result", o.Reason, "message", o.Message)
		}
		if h.deny && o.Reason != sidecar.Injected && o.Reason != sidecar.ContainerExists && o.Reason != sidecar.NothingAsked {
			resp := admission.Denied(fmt.Sprintf("no sidecar %s: %s", o.Container, o.Message))
			resp.Warnings = in.Warnings
			return resp
		}
	}
	patch, err := sidecar.Marshal(in.Patch)
	if err != nil {
		panic(err) // of a value that this program built
	}
	resp := admission.Allowed("")
	resp.Warnings = in.Warnings
	if patch != nil {
		resp.Patch, resp.PatchType = patch, new(admissionv1.PatchTypeJSONPatch)
	}
	return resp
}

func (h *Handler) count(req admission.Request, result string) {
	if req.DryRun == nil || !*req.DryRun {
		h.injections.WithLabelValues(result).Inc()
	}
}

// podName is the pod's name, or the beginning of one that it will get.
func podName(req admission.Request) string {
	if req.Name != "" {
		return req.Name
	}
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal(req.Object.Raw, &o); err != nil {
		return ""
	}
	return o.GenerateName + "*"
}
