package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// labelers is how many pods are written on at once. It is what bounds the load on the API server after a change of a class that many pods
// have: the client has no rate of its own, and priority and fairness gives it its share.
const labelers = 16

// setupLabels adds what has the labels of pods follow what was delivered to them. It is apart from delivery, so that no namespace waits
// for its texts while the pods of another are written on.
func (c *Controller) setupLabels(m manager.Manager) error {
	ctl, err := controller.New("labels", m, controller.Options{Reconciler: reconcile.Func(c.label), MaxConcurrentReconciles: labelers})
	if err != nil {
		return err
	}
	if err := ctl.Watch(source.Kind[client.Object](m.GetCache(), objectMeta(c.Object), handler.EnqueueRequestsFromMapFunc(c.outdated))); err != nil {
		return err
	}
	pods := func(ctx context.Context, o client.Object, q requests) {
		pod, ok := o.(*metav1.PartialObjectMetadata)
		if !ok {
			return
		}
		object, err := c.object(ctx, pod.Namespace)
		if err != nil || len(c.news(pod, deliveredTo(object))) > 0 {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		}
	}
	return ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q requests) { pods(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q requests) { pods(ctx, e.ObjectNew, q) },
	}, relevant))
}

// requests is a queue of a controller.
type requests = workqueue.TypedRateLimitingInterface[reconcile.Request]

// outdated are the pods of an object's namespace whose labels say another text than the object has.
func (c *Controller) outdated(ctx context.Context, o client.Object) (found []reconcile.Request) {
	object, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil
	}
	delivered := deliveredTo(object)
	pods := podMetaList()
	if err := c.Cache.List(ctx, pods, client.InNamespace(object.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		c.Logger.Error("listing the pods that classes were delivered to", "namespace", object.Namespace, "error", err)
		return nil
	}
	for i := range pods.Items {
		if len(c.news(&pods.Items[i], delivered)) > 0 {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
		}
	}
	return found
}

// news are the labels of a pod that say another text than was delivered, as they should be.
func (c *Controller) news(pod *metav1.PartialObjectMetadata, delivered map[string]string) (labels map[string]string) {
	for class, hash := range c.servedClasses(pod) {
		if now, ok := delivered[class]; ok && now != hash {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[annotation.ClassLabel+class] = now
		}
	}
	return labels
}

// label writes on a pod the hashes of the texts that its namespace has now. To the kubelet that is a change of the pod, so it looks at
// the pod's volumes at once instead of at its next round.
func (c *Controller) label(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := podMeta()
	if err := c.Cache.Get(ctx, req.NamespacedName, pod, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	object, err := c.object(ctx, req.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	labels := c.news(pod, deliveredTo(object))
	if len(labels) == 0 {
		return reconcile.Result{}, nil
	}
	_, err = c.patchPod(ctx, pod, map[string]any{"labels": labels})
	return reconcile.Result{}, err
}

// object returns the metadata of what was delivered to a namespace as the cache has it, which is not to be changed; nil when there is none
// or none of the controller's concern.
func (c *Controller) object(ctx context.Context, namespace string) (*metav1.PartialObjectMetadata, error) {
	if !c.delivers(namespace) {
		return nil, nil
	}
	object := objectMeta(c.Object)
	err := c.Cache.Get(ctx, client.ObjectKey{Namespace: namespace, Name: sidecar.ClassesName}, object, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if object.DeletionTimestamp != nil {
		return nil, nil
	}
	return object, nil
}

// patchPod changes a pod's metadata through its status, so that the right to change the pod itself is not needed. A pod that is gone,
// or another of its name or, with a version, of another version, is left alone: then it was not written.
func (c *Controller) patchPod(ctx context.Context, pod *metav1.PartialObjectMetadata, metadata map[string]any) (written bool, err error) {
	metadata["uid"] = pod.UID
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return false, err
	}
	err = c.Client.SubResource("status").Patch(ctx, pod.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	switch {
	case err == nil:
		c.metrics.writes.WithLabelValues("pod").Inc()
		return true, nil
	case gone(err):
		return false, nil
	}
	return false, fmt.Errorf("writing on pod %s: %w", pod.Name, err)
}

// report counts the pods of each class, and those whose labels say that they were delivered the text in use.
func (c *Controller) report(namespace string, space *space, pods []metav1.PartialObjectMetadata, texts map[string]Text) {
	counts := map[string]Count{}
	for i := range pods {
		for class, hash := range podClasses(&pods[i]) {
			n := counts[class]
			n.Pods++
			text, ok := texts[class]
			if !ok && !c.serves(&pods[i]) {
				text, ok = c.Classes.Text(namespace, class) // which the pod may have got from the other kind of object
			}
			if ok && text.Hash == hash {
				n.Current++
			}
			counts[class] = n
		}
	}
	var classes []string
	for class, n := range counts {
		classes = append(classes, class)
		c.metrics.pods.WithLabelValues(namespace, class, "true").Set(float64(n.Current))
		c.metrics.pods.WithLabelValues(namespace, class, "false").Set(float64(n.Pods - n.Current))
	}
	for _, class := range space.reported {
		if !slices.Contains(classes, class) {
			c.metrics.pods.DeletePartialMatch(map[string]string{"namespace": namespace, "class": class})
		}
	}
	space.reported = classes
	c.Classes.Report(namespace, counts)
}
