package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// deliveredAnnotation says on an object which texts it has: class=hash, sorted, with commas between.
const deliveredAnnotation = annotation.Written + "classes"

// ErrForeign is the error of a namespace where something else has the name of what is delivered.
var ErrForeign = errors.New(sidecar.ClassesName + " of the namespace is not the operator's: delete it, or label it " +
	ManagedBy + "=" + ManagedByValue + " to let the operator have it")

// ErrOutOfScope is the error of a namespace with pods that say they have a sidecar, although no pod there may have one.
var ErrOutOfScope = errors.New("no class is delivered to a namespace that the operator's webhook does not select (the chart's injectionMode and " +
	"excludeNamespaces): its pods keep the texts that they have")

// outOfScopeAgain is when a namespace that was out of scope is looked at again.
const outOfScopeAgain = 10 * time.Second

// Reconcile brings what is delivered to one namespace in order. The labels of its pods follow what is in it; see label.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !c.delivers(req.Name) {
		return reconcile.Result{}, nil // pods there have sidecars from a time when it was delivered to: they keep what they have
	}
	select {
	case <-c.Classes.Known():
	case <-ctx.Done():
		return reconcile.Result{}, ctx.Err()
	}
	result, err := c.reconcile(ctx, req.Name)
	if err != nil {
		c.metrics.failures.WithLabelValues(req.Name).Inc()
		return result, fmt.Errorf("delivering classes to namespace %s: %w", req.Name, err)
	}
	return result, nil
}

func (c *Controller) reconcile(ctx context.Context, namespace string) (result reconcile.Result, err error) {
	pods := podMetaList()
	if err := c.Cache.List(ctx, pods, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return result, err
	}
	object, err := c.object(ctx, namespace)
	if err != nil {
		return result, err
	}
	space := c.memory.of(namespace)
	c.logUnserved(namespace, space, pods.Items)
	result.RequeueAfter = space.keep(c.classesOf(pods.Items), slices.Collect(maps.Keys(deliveredTo(object))), c.Now(), c.Grace)
	texts, err := c.deliver(ctx, namespace, space, object)
	if errors.Is(err, ErrOutOfScope) {
		// Nobody's mistake but the pods': their namespace is looked at now and then, for it may come into scope.
		c.tellFailure(space, pods.Items, err)
		c.report(namespace, space, pods.Items, texts)
		return reconcile.Result{RequeueAfter: outOfScopeAgain}, nil
	}
	if namespaceGone(err) {
		// Nothing can be delivered there any more. What pods it has is told until they are gone too.
		clear(space.needed)
		texts, result, err = nil, reconcile.Result{}, nil
	}
	if err != nil {
		c.tellFailure(space, pods.Items, err)
		return result, err
	}
	space.failure, space.told = "", nil
	c.report(namespace, space, pods.Items, texts)
	if len(space.needed) == 0 && len(pods.Items) == 0 {
		c.memory.forget(namespace)
	}
	return result, err
}

// maxTold bounds the pods of a namespace that are told of one failure.
const maxTold = 100

// tellFailure says on pods that wait for their classes why they do: once for each reason, and only of failures that time alone does not
// mend.
func (c *Controller) tellFailure(space *space, pods []metav1.PartialObjectMetadata, err error) {
	if !errors.Is(err, ErrForeign) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrOutOfScope) && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		return
	}
	if space.failure != err.Error() {
		space.failure, space.told = err.Error(), map[types.UID]bool{}
	}
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || pod.Labels[sidecar.InjectedLabel] != "true" || !c.serves(pod) || space.told[pod.UID] || len(space.told) >= maxTold {
			continue
		}
		space.told[pod.UID] = true
		Tell(c.Recorder, pod, "NotDelivered", "the classes of the sidecar cannot be delivered: "+err.Error())
	}
}

// namespaceGone says that a write failed because its namespace is gone or going.
func namespaceGone(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}

// serves says whether a pod mounts what this controller delivers, and not an object of the other kind.
func (c *Controller) serves(pod *metav1.PartialObjectMetadata) bool {
	return sidecar.ClassesIn(pod.Labels) == c.Object
}

// servedClasses is podClasses of a pod that the controller serves, and yields nothing of others.
func (c *Controller) servedClasses(pod *metav1.PartialObjectMetadata) func(func(class, hash string) bool) {
	if !c.serves(pod) {
		return func(func(class, hash string) bool) {}
	}
	return podClasses(pod)
}

// logUnserved says once of a namespace that it has pods which wait to be created anew.
func (c *Controller) logUnserved(namespace string, space *space, pods []metav1.PartialObjectMetadata) {
	unserved := 0
	for i := range pods {
		if pods[i].Labels[sidecar.InjectedLabel] == "true" && !c.serves(&pods[i]) {
			unserved++
		}
	}
	if unserved > 0 && !space.unserved {
		c.Logger.Warn("pods mount their classes from another kind of object than is delivered now. That object is left as it is: they get no change of a class until they are created anew",
			"namespace", namespace, "pods", unserved, "object", sidecar.ClassesName, "delivered", c.Object)
	}
	space.unserved = unserved > 0
}

// classesOf returns the classes that injected pods need in what is delivered.
func (c *Controller) classesOf(pods []metav1.PartialObjectMetadata) []string {
	seen := map[string]bool{}
	for i := range pods {
		for class := range c.servedClasses(&pods[i]) {
			seen[class] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// podClasses yields the classes of a pod with the hashes that its labels say.
func podClasses(pod *metav1.PartialObjectMetadata) func(func(class, hash string) bool) {
	return func(yield func(class, hash string) bool) {
		if pod.DeletionTimestamp != nil || pod.Labels[sidecar.InjectedLabel] != "true" {
			return
		}
		for key, hash := range pod.Labels {
			if class, ok := strings.CutPrefix(key, annotation.ClassLabel); ok && !yield(class, hash) {
				return
			}
		}
	}
}

// deliveredTo returns the classes that an object has, with the hashes of their texts.
func deliveredTo(object *metav1.PartialObjectMetadata) map[string]string {
	if object == nil || object.Labels[ManagedBy] != ManagedByValue {
		return nil
	}
	hashes := map[string]string{}
	for pair := range strings.SplitSeq(object.Annotations[deliveredAnnotation], ",") {
		if class, hash, ok := strings.Cut(pair, "="); ok {
			hashes[class] = hash
		}
	}
	return hashes
}

// deliver makes the object of a namespace as it should be, and returns the texts that it has. Out of scope, classes that are granted to
// the namespace are all that is written; without one, what is there stays as it is until no pod needs it.
func (c *Controller) deliver(ctx context.Context, namespace string, space *space, object *metav1.PartialObjectMetadata) (map[string]Text, error) {
	if object != nil && object.Labels[ManagedBy] != ManagedByValue {
		return nil, fmt.Errorf("the %s %w", c.Object, ErrForeign)
	}
	if len(space.needed) == 0 {
		return nil, c.remove(ctx, namespace, space, object)
	}
	needed := slices.Sorted(maps.Keys(space.needed))
	texts, err := c.write(ctx, namespace, space, object, needed)
	if !errors.Is(err, ErrOutOfScope) {
		return texts, err
	}
	granted := slices.DeleteFunc(needed, func(class string) bool { return !c.Scope.Grants(namespace, class) })
	if len(granted) == 0 {
		return nil, err
	}
	texts, failed := c.write(ctx, namespace, space, object, granted)
	return texts, cmp.Or(failed, err)
}

// write makes the object have the texts of these classes, unless it has. It fails with ErrOutOfScope instead of bringing a class to a
// namespace that may not have it.
func (c *Controller) write(ctx context.Context, namespace string, space *space, object *metav1.PartialObjectMetadata, classes []string) (map[string]Text, error) {
	texts := map[string]Text{}
	var pairs []string
	for _, class := range classes {
		if text, ok := c.Classes.Text(namespace, class); ok {
			texts[class] = text
			pairs = append(pairs, class+"="+text.Hash)
		}
	}
	delivered := strings.Join(pairs, ",")
	if object != nil && object.Annotations[deliveredAnnotation] == delivered && space.version == object.ResourceVersion {
		return texts, nil
	}
	// Asked before each write, and of the API server: what a pod's labels say is the pod's author's word.
	if err := c.mayHave(ctx, namespace, classes); err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	if len(texts) < len(classes) && object != nil {
		// What this process has no text of stays as it was delivered by another.
		old, err := carrierOf(c.Object).texts(ctx, c.Live, client.ObjectKeyFromObject(object))
		if err != nil {
			return nil, err
		}
		for _, name := range classes {
			if text, ok := old[class.FileName(name)]; ok && texts[name].Text == nil {
				data[class.FileName(name)] = text
			}
		}
	}
	for name, text := range texts {
		data[class.FileName(name)] = text.Text
	}
	if len(data) == 0 {
		return texts, nil
	}
	if err := fits(c.Object, data); err != nil {
		return nil, err
	}
	if err := c.apply(ctx, namespace, space, delivered, data); err != nil {
		return texts, err
	}
	c.measure(object, texts)
	return texts, nil
}

// measure notes how long the texts took that took the place of others.
func (c *Controller) measure(object *metav1.PartialObjectMetadata, texts map[string]Text) {
	for class, old := range deliveredTo(object) {
		if text, ok := texts[class]; ok && text.Hash != old && !text.Since.IsZero() {
			c.metrics.reload.Observe(c.Now().Sub(text.Since).Seconds())
		}
	}
}

// mayHave fails with ErrOutOfScope unless a namespace may have each of the classes.
func (c *Controller) mayHave(ctx context.Context, namespace string, classes []string) error {
	if !slices.ContainsFunc(classes, func(class string) bool { return !c.Scope.Grants(namespace, class) }) {
		return nil
	}
	switch holds, err := c.Scope.Holds(ctx, namespace); {
	case err != nil:
		return err
	case !holds:
		return ErrOutOfScope
	}
	return nil
}

// ErrTooLarge is the error of a namespace whose classes are larger together than an object can be.
var ErrTooLarge = errors.New("the classes of the namespace are too large together")

func fits(in sidecar.ClassesObject, data map[string][]byte) error {
	size := 0
	var sizes []string
	for _, file := range slices.Sorted(maps.Keys(data)) {
		size += len(data[file])
		sizes = append(sizes, fmt.Sprintf("%s %d", file, len(data[file])))
	}
	if size > maxObject {
		return fmt.Errorf("%w: a %s has at most %d bytes, and they have %d (%s)", ErrTooLarge, in, maxObject, size, strings.Join(sizes, ", "))
	}
	return nil
}

// apply writes the object.
func (c *Controller) apply(ctx context.Context, namespace string, space *space, delivered string, data map[string][]byte) error {
	meta := applymetav1.ObjectMeta().WithName(sidecar.ClassesName).WithNamespace(namespace).
		WithLabels(map[string]string{ManagedBy: ManagedByValue}).
		WithAnnotations(map[string]string{deliveredAnnotation: delivered}).
		WithOwnerReferences(applymetav1.OwnerReference().WithAPIVersion(c.Owner.APIVersion).WithKind(c.Owner.Kind).WithName(c.Owner.Name).WithUID(c.Owner.UID))
	version, err := carrierOf(c.Object).apply(ctx, c.Client, meta, data)
	if err != nil {
		return fmt.Errorf("writing the %s %s: %w", c.Object, sidecar.ClassesName, err)
	}
	// What is as it should be keeps its version: the cache had not caught up, or nothing was known yet of an earlier leader's work.
	if version == nil || *version != space.version {
		c.countWrite()
	}
	if version != nil {
		space.version = *version
	}
	return nil
}

// countWrite counts a write of what is delivered.
func (c *Controller) countWrite() {
	c.metrics.writes.WithLabelValues(strings.ToLower(string(c.Object))).Inc()
}

// remove deletes an object that no pod needs.
func (c *Controller) remove(ctx context.Context, namespace string, space *space, object *metav1.PartialObjectMetadata) error {
	space.version = ""
	if object == nil {
		return nil
	}
	err := c.Client.Delete(ctx, object, client.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion})
	if err == nil {
		c.Logger.Info("removed a namespace's classes, which no pod has any more", "namespace", namespace)
		c.countWrite()
	}
	return client.IgnoreNotFound(err)
}
