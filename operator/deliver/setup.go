package deliver

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultGrace keeps a class in a namespace while the last pod that has it is being replaced.
const DefaultGrace = 10 * time.Minute

// workers is how many namespaces are brought in order at once. It is no less than labelers: texts are not to wait behind labels.
const workers = 16

// CacheOptions is what a cache must keep for a Controller, and no more: the metadata of pods that asked for a sidecar, without what is
// not needed of it, and that of the objects called sidecar.ClassesName, of the kind that is delivered. Asking by that name is also what makes the
// request allowed. With namespaces, those objects are asked for in those alone, each by itself, so that a right in each is enough.
func CacheOptions(object sidecar.ClassesObject, namespaces []string) map[client.Object]cache.ByObject {
	asked, err := labels.NewRequirement(sidecar.InjectedLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // of a constant
	}
	var only map[string]cache.Config
	for _, namespace := range namespaces {
		if only == nil {
			only = map[string]cache.Config{}
		}
		only[namespace] = cache.Config{}
	}
	return map[client.Object]cache.ByObject{
		podMeta():          {Label: labels.NewSelector().Add(*asked), Transform: strip},
		objectMeta(object): {Field: fields.OneTermEqualSelector("metadata.name", sidecar.ClassesName), Transform: strip, Namespaces: only},
	}
}

// strip leaves of an object's metadata what a Controller looks at, so that memory stays small and flat. What a usual pod has beyond its
// name is its owner's and two or three labels: the rest is kept of pods that there is something to tell about.
func strip(object any) (any, error) {
	o, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: shared.of(o.APIVersion), Kind: shared.of(o.Kind)}, ObjectMeta: metav1.ObjectMeta{
		Name: o.Name, Namespace: shared.of(o.Namespace), UID: o.UID, ResourceVersion: o.ResourceVersion, CreationTimestamp: o.CreationTimestamp,
		DeletionTimestamp: o.DeletionTimestamp, OwnerReferences: controllerOf(o), Labels: ourLabels(o.Labels), Annotations: ourAnnotations(o),
	}}
	return kept, nil
}

// controllerOf keeps the owner that is told what a pod is told.
func controllerOf(o *metav1.PartialObjectMetadata) []metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(o)
	if owner == nil {
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: shared.of(owner.APIVersion), Kind: shared.of(owner.Kind), Name: shared.of(owner.Name),
		UID: types.UID(shared.of(string(owner.UID))), Controller: &controls}}
}

// controls is what Controller points to of every owner that is kept. It is never changed.
var controls = true

// ourAnnotations keeps short ones only, and of long ones what is to be known of them. It returns nil for a pod with a sidecar whose
// annotations are those that it was made from, if it brings no raw inputs.
func ourAnnotations(o *metav1.PartialObjectMetadata) (ours map[string]string) {
	keep := func(key, value string) {
		if ours == nil {
			ours = map[string]string{}
		}
		ours[key] = value
	}
	if v, ok := o.Annotations[deliveredAnnotation]; ok {
		keep(deliveredAnnotation, v)
	}
	if v, ok := o.Annotations[sidecar.StatusAnnotation]; ok && (o.Labels[sidecar.InjectedLabel] != "true" || sidecar.Refused(v) || sidecar.Warned(v)) {
		keep(sidecar.StatusAnnotation, v)
	}
	if made, ok := o.Annotations[sidecar.SourceAnnotation]; ok {
		if present := sidecar.SourceHash(o.Annotations); present != made {
			keep(sidecar.SourceAnnotation, made)
			keep(presentSource, present)
		}
	}
	for key := range o.Annotations {
		if strings.HasPrefix(key, annotation.Written) && strings.HasSuffix(key, inputsSuffix) {
			keep(hasInputs, "")
			keep(sidecar.HashAnnotation, o.Annotations[sidecar.HashAnnotation])
		}
	}
	return ours
}

// inputsSuffix ends the keys of annotations with raw inputs.
var inputsSuffix = strings.TrimPrefix(sidecar.InputsAnnotation(""), annotation.Written)

func ourLabels(all map[string]string) map[string]string {
	ours := map[string]string{}
	for k, v := range all {
		if k == ManagedBy || k == sidecar.InjectedLabel || k == sidecar.ClassesInLabel || len(k) > len(annotation.ClassLabel) && k[:len(annotation.ClassLabel)] == annotation.ClassLabel {
			ours[shared.of(k)] = shared.of(v)
		}
	}
	return ours
}

// Setup adds the controller to a manager whose cache has CacheOptions. Changes carries the namespaces whose classes have changed; an
// event without a namespace stands for all that have pods.
func (c *Controller) Setup(m manager.Manager, changes <-chan event.GenericEvent, registerer prometheus.Registerer) error {
	c.metrics = newMetrics(registerer)
	ctl, err := controller.New("delivery", m, controller.Options{Reconciler: c, MaxConcurrentReconciles: workers})
	if err != nil {
		return err
	}
	byNamespace := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
	})
	if err := ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), c.podEvents(), relevant)); err != nil {
		return err
	}
	if err := ctl.Watch(source.Kind[client.Object](m.GetCache(), objectMeta(c.Object), byNamespace)); err != nil {
		return err
	}
	if err := c.setupLabels(m); err != nil {
		return err
	}
	if err := c.setupNotices(m); err != nil {
		return err
	}
	if err := c.setupFollow(m); err != nil {
		return err
	}
	if err := c.setupInspect(m); err != nil {
		return err
	}
	return ctl.Watch(source.Channel(changes, handler.EnqueueRequestsFromMapFunc(c.namespaces)))
}

// gather is how long changes of pods are waited for to come together where they only change figures: looking at a namespace takes time
// for each of its pods, and many of them change at once.
const gather = time.Second

// podEvents has a pod's namespace looked at: at once when the pod waits for a text, a little later when it does not.
func (c *Controller) podEvents() handler.EventHandler {
	enqueue := func(ctx context.Context, o client.Object, q requests) {
		req := reconcile.Request{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}
		if c.waits(ctx, o) {
			q.Add(req)
		} else {
			q.AddAfter(req, gather)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q requests) { enqueue(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q requests) { enqueue(ctx, e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q requests) {
			q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKey{Name: e.Object.GetNamespace()}}, gather)
		},
	}
}

// waits says whether a pod has a class that was not delivered to its namespace.
func (c *Controller) waits(ctx context.Context, o client.Object) bool {
	pod, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return true
	}
	object, err := c.object(ctx, pod.Namespace)
	if err != nil {
		return true
	}
	delivered := deliveredTo(object)
	for class := range c.servedClasses(pod) {
		if _, ok := delivered[class]; !ok {
			return true
		}
	}
	return false
}

// relevant are the changes of a pod that change what its namespace needs; a pod's status changes far more often.
var relevant = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
		(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
}}

// namespaces are those that a change of classes concerns.
func (c *Controller) namespaces(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	if o.GetNamespace() != "" {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
	}
	pods := podMetaList()
	if err := c.Cache.List(ctx, pods, client.UnsafeDisableDeepCopy); err != nil {
		c.Logger.Error("listing the pods whose classes have changed", "error", err)
		return nil
	}
	seen := map[string]bool{}
	for i := range pods.Items {
		if ns := pods.Items[i].Namespace; !seen[ns] {
			seen[ns] = true
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: ns}})
		}
	}
	return requests
}

// gone says that the object of a write is not there any more, or is another.
func gone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// OwnerOf returns a reference to the definition that owns what is delivered.
func OwnerOf(ctx context.Context, live client.Reader) (metav1.OwnerReference, error) {
	o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
	const name = "clustertelegrafclasses.holdfast.dev"
	if err := live.Get(ctx, client.ObjectKey{Name: name}, o); err != nil {
		return metav1.OwnerReference{}, fmt.Errorf("looking up the resource definition %s, which owns what is delivered: %w", name, err)
	}
	return metav1.OwnerReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: name, UID: o.UID}, nil
}
