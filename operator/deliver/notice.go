package deliver

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// noticeAge is how old a pod may be for its refusal to be news. It keeps a new leader from repeating what the last one has said.
const noticeAge = 10 * time.Minute

// setupNotices adds what tells of sidecars that were not made, and of annotations that are not heeded. Admission itself must not, for it has no side effects.
func (c *Controller) setupNotices(m manager.Manager) error {
	ctl, err := controller.New("notices", m, controller.Options{Reconciler: reconcile.Func(c.notice)})
	if err != nil {
		return err
	}
	news := func(o client.Object) bool {
		return o.GetLabels()[sidecar.InjectedLabel] != "true" || o.GetAnnotations()[sidecar.StatusAnnotation] != "" // which is kept of no other pods
	}
	return ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), &handler.EnqueueRequestForObject{}, predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return news(e.Object) },
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}))
}

// notice says on a pod and on what owns it why there is no sidecar, or none as asked.
func (c *Controller) notice(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := podMeta()
	if err := c.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if c.Now().Sub(pod.CreationTimestamp.Time) > noticeAge {
		return reconcile.Result{}, nil
	}
	status, reason := pod.Annotations[sidecar.StatusAnnotation], "AnnotationWarning"
	if !sidecar.Warned(status) || sidecar.Refused(status) {
		reason = "NoSidecar"
	}
	Tell(c.Recorder, pod, reason, status)
	return reconcile.Result{}, nil
}

// maxNote is the API server's bound for the text of an event, in bytes.
const maxNote = 900 // with room for the name of a pod

// Tell records a warning on a pod and on the object that controls it, where people look first.
func Tell(r record.EventRecorder, pod *metav1.PartialObjectMetadata, reason, note string) {
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-3], "") + "..."
	}
	r.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		corev1.EventTypeWarning, reason, note)
	if owner := metav1.GetControllerOf(pod); owner != nil {
		r.Event(&corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: pod.Namespace, Name: owner.Name, UID: owner.UID},
			corev1.EventTypeWarning, reason, "pod "+pod.Name+": "+note)
	}
}
