package deliver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// presentSource is the key under which the cache keeps the hash of a pod's annotations as they are. It is on no pod.
const presentSource = annotation.Written + "present-source-hash"

// edited says whether the annotations of an injected pod are other than those that its configuration was made from.
func edited(o client.Object) bool {
	made := o.GetAnnotations()[sidecar.SourceAnnotation]
	return made != "" && o.GetLabels()[sidecar.InjectedLabel] == "true" && o.GetDeletionTimestamp() == nil && made != o.GetAnnotations()[presentSource]
}

// setupFollow adds what brings edited annotations of running pods to their sidecars.
func (c *Controller) setupFollow(m manager.Manager) error {
	ctl, err := controller.New("annotations", m, controller.Options{Reconciler: reconcile.Func(c.follow)})
	if err != nil {
		return err
	}
	return ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), &handler.EnqueueRequestForObject{}, predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return edited(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return edited(e.ObjectNew) },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}))
}

// follow writes the configuration of one pod anew. What the annotations ask for and only a new pod can have is told, once for each edit.
func (c *Controller) follow(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	whole := &unstructured.Unstructured{}
	whole.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := c.Live.Get(ctx, req.NamespacedName, whole); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if whole.GetDeletionTimestamp() != nil || whole.GetAnnotations()[sidecar.SourceAnnotation] == sidecar.SourceHash(whole.GetAnnotations()) {
		return reconcile.Result{}, nil
	}
	raw, err := whole.MarshalJSON()
	if err != nil {
		return reconcile.Result{}, err
	}
	fresh, err := c.Builder.Refresh(raw, req.Namespace)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("pod %s: %w", req.NamespacedName, err)
	}
	pod := podMeta()
	pod.ObjectMeta = metav1.ObjectMeta{Namespace: whole.GetNamespace(), Name: whole.GetName(), UID: whole.GetUID(), OwnerReferences: whole.GetOwnerReferences()}
	// The version makes an edit that came meanwhile win: it is looked at again, and told then.
	written, err := c.patchPod(ctx, pod, map[string]any{"annotations": fresh.Annotations, "resourceVersion": whole.GetResourceVersion()})
	if err != nil || !written {
		return reconcile.Result{}, err
	}
	if fresh.Problem != "" {
		Tell(c.Recorder, pod, "AnnotationsNotFollowed", fresh.Problem)
		return reconcile.Result{}, nil
	}
	c.Logger.Info("a running pod's configuration follows its annotations", "namespace", req.Namespace, "pod", req.Name)
	return reconcile.Result{}, nil
}
