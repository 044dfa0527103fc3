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

// workers is how many namespaces are brought in order at once.
const workers = 4

// CacheOptions is what a cache must keep for a Controller, and no more: the metadata of pods that asked for a sidecar, without what is
// not needed of it, and that of the Secrets called sidecar.ClassesSecret. Asking by that name is also what makes the request allowed.
func CacheOptions() map[client.Object]cache.ByObject {
	asked, err := labels.NewRequirement(sidecar.InjectedLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // of a constant
	}
	return map[client.Object]cache.ByObject{
		podMeta():    {Label: labels.NewSelector().Add(*asked), Transform: strip},
		secretMeta(): {Field: fields.OneTermEqualSelector("metadata.name", sidecar.ClassesSecret), Transform: strip},
	}
}

// strip leaves of an object's metadata what a Controller looks at, so that memory stays small and flat.
func strip(object any) (any, error) {
	o, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion, CreationTimestamp: o.CreationTimestamp,
		DeletionTimestamp: o.DeletionTimestamp, OwnerReferences: o.OwnerReferences, Labels: ourLabels(o.Labels),
	}}
	kept.Annotations = ourAnnotations(o.Annotations)
	return kept, nil
}

// ourAnnotations keeps short ones only, and of long ones what is to be known of them.
func ourAnnotations(all map[string]string) map[string]string {
	ours := map[string]string{}
	for _, key := range []string{deliveredAnnotation, sidecar.StatusAnnotation, sidecar.SourceAnnotation, sidecar.HashAnnotation} {
		if v, ok := all[key]; ok {
			ours[key] = v
		}
	}
	if _, ok := ours[sidecar.SourceAnnotation]; ok {
		ours[presentSource] = sidecar.SourceHash(all)
	}
	for key := range all {
		if strings.HasPrefix(key, annotation.Written) && strings.HasSuffix(key, inputsSuffix) {
			ours[hasInputs] = ""
		}
	}
	return ours
}

// inputsSuffix ends the keys of annotations with raw inputs.
var inputsSuffix = strings.TrimPrefix(sidecar.InputsAnnotation(""), annotation.Written)

func ourLabels(all map[string]string) map[string]string {
	ours := map[string]string{}
	for k, v := range all {
		if k == ManagedBy || k == sidecar.InjectedLabel || len(k) > len(annotation.ClassLabel) && k[:len(annotation.ClassLabel)] == annotation.ClassLabel {
			ours[k] = v
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
	if err := ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), byNamespace, relevant)); err != nil {
		return err
	}
	if err := ctl.Watch(source.Kind[client.Object](m.GetCache(), secretMeta(), byNamespace)); err != nil {
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
	if err := c.Client.List(ctx, pods, client.UnsafeDisableDeepCopy); err != nil {
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

// OwnerOf returns a reference to the definition that owns delivered Secrets.
func OwnerOf(ctx context.Context, live client.Reader) (metav1.OwnerReference, error) {
	o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
	const name = "clustertelegrafclasses.holdfast.dev"
	if err := live.Get(ctx, client.ObjectKey{Name: name}, o); err != nil {
		return metav1.OwnerReference{}, fmt.Errorf("looking up the resource definition %s, which owns the delivered Secrets: %w", name, err)
	}
	return metav1.OwnerReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: name, UID: o.UID}, nil
}
