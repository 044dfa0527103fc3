package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// deliveredAnnotation says on a Secret which texts it has: class=hash, sorted, with commas between.
const deliveredAnnotation = annotation.Written + "classes"

// ErrForeignSecret is the error of a namespace where something else has the Secret's name.
var ErrForeignSecret = errors.New("the Secret " + sidecar.ClassesSecret + " of the namespace is not the operator's: delete it, or label it " +
	ManagedBy + "=" + ManagedByValue + " to let the operator have it")

// Reconcile brings the Secret of one namespace in order. The labels of its pods follow what is in it; see label.
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
	secret, err := c.secret(ctx, namespace)
	if err != nil {
		return result, err
	}
	space := c.memory.of(namespace)
	result.RequeueAfter = space.keep(classesOf(pods.Items), slices.Collect(maps.Keys(deliveredTo(secret))), c.Now(), c.Grace)
	texts, err := c.deliver(ctx, namespace, space, secret)
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
	if !errors.Is(err, ErrForeignSecret) && !errors.Is(err, ErrTooLarge) && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		return
	}
	if space.failure != err.Error() {
		space.failure, space.told = err.Error(), map[types.UID]bool{}
	}
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || pod.Labels[sidecar.InjectedLabel] != "true" || space.told[pod.UID] || len(space.told) >= maxTold {
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

// classesOf returns the classes that injected pods have.
func classesOf(pods []metav1.PartialObjectMetadata) []string {
	seen := map[string]bool{}
	for i := range pods {
		for class := range podClasses(&pods[i]) {
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

// deliveredTo returns the classes that a Secret has, with the hashes of their texts.
func deliveredTo(secret *metav1.PartialObjectMetadata) map[string]string {
	if secret == nil || secret.Labels[ManagedBy] != ManagedByValue {
		return nil
	}
	hashes := map[string]string{}
	for pair := range strings.SplitSeq(secret.Annotations[deliveredAnnotation], ",") {
		if class, hash, ok := strings.Cut(pair, "="); ok {
			hashes[class] = hash
		}
	}
	return hashes
}

// deliver makes the Secret of a namespace as it should be, and returns the texts that it has.
func (c *Controller) deliver(ctx context.Context, namespace string, space *space, secret *metav1.PartialObjectMetadata) (map[string]Text, error) {
	texts := map[string]Text{}
	var pairs []string
	complete := true
	for _, class := range slices.Sorted(maps.Keys(space.needed)) {
		text, ok := c.Classes.Text(namespace, class)
		if !ok {
			complete = false
			continue
		}
		texts[class] = text
		pairs = append(pairs, class+"="+text.Hash)
	}
	if secret != nil && secret.Labels[ManagedBy] != ManagedByValue {
		return nil, ErrForeignSecret
	}
	if len(space.needed) == 0 {
		return texts, c.remove(ctx, namespace, space, secret)
	}
	delivered := strings.Join(pairs, ",")
	if secret != nil && secret.Annotations[deliveredAnnotation] == delivered && space.version == secret.ResourceVersion {
		return texts, nil
	}
	data := map[string][]byte{}
	if !complete && secret != nil {
		// What this process has no text of stays as it was delivered by another.
		old := &corev1.Secret{}
		if err := c.Live.Get(ctx, client.ObjectKeyFromObject(secret), old); err != nil {
			return nil, err
		}
		for name := range space.needed {
			if text, ok := old.Data[class.FileName(name)]; ok && texts[name].Text == nil {
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
	if err := fits(data); err != nil {
		return nil, err
	}
	return texts, c.apply(ctx, namespace, space, delivered, data)
}

// ErrTooLarge is the error of a namespace whose classes are larger together than a Secret can be.
var ErrTooLarge = errors.New("the classes of the namespace are too large together")

func fits(data map[string][]byte) error {
	size := 0
	var sizes []string
	for _, file := range slices.Sorted(maps.Keys(data)) {
		size += len(data[file])
		sizes = append(sizes, fmt.Sprintf("%s %d", file, len(data[file])))
	}
	if size > corev1.MaxSecretSize {
		return fmt.Errorf("%w: a Secret has at most %d bytes, and they have %d (%s)", ErrTooLarge, corev1.MaxSecretSize, size, strings.Join(sizes, ", "))
	}
	return nil
}

// apply writes the Secret.
func (c *Controller) apply(ctx context.Context, namespace string, space *space, delivered string, data map[string][]byte) error {
	secret := applycorev1.Secret(sidecar.ClassesSecret, namespace).
		WithLabels(map[string]string{ManagedBy: ManagedByValue}).
		WithAnnotations(map[string]string{deliveredAnnotation: delivered}).
		WithOwnerReferences(applymetav1.OwnerReference().WithAPIVersion(c.Owner.APIVersion).WithKind(c.Owner.Kind).WithName(c.Owner.Name).WithUID(c.Owner.UID)).
		WithType(corev1.SecretTypeOpaque).
		WithData(data)
	if err := c.Client.Apply(ctx, secret, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return fmt.Errorf("writing the Secret %s: %w", sidecar.ClassesSecret, err)
	}
	// What is as it should be keeps its version: the cache had not caught up, or nothing was known yet of an earlier leader's work.
	if v := secret.ResourceVersion; v == nil || *v != space.version {
		c.metrics.writes.WithLabelValues("secret").Inc()
	}
	if secret.ResourceVersion != nil {
		space.version = *secret.ResourceVersion
	}
	return nil
}

// remove deletes a Secret that no pod needs.
func (c *Controller) remove(ctx context.Context, namespace string, space *space, secret *metav1.PartialObjectMetadata) error {
	space.version = ""
	if secret == nil {
		return nil
	}
	err := c.Client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion})
	if err == nil {
		c.Logger.Info("removed a namespace's classes, which no pod has any more", "namespace", namespace)
		c.metrics.writes.WithLabelValues("secret").Inc()
	}
	return client.IgnoreNotFound(err)
}
