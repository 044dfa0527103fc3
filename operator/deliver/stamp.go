package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
)

// stamp writes on each pod the hashes of the texts that its namespace has now. To the kubelet that is a change of the pod, so it looks
// at the pod's volumes at once instead of at its next round.
func (c *Controller) stamp(ctx context.Context, pods []metav1.PartialObjectMetadata, texts map[string]Text) error {
	var failed []error
	for i := range pods {
		pod := &pods[i]
		labels := map[string]string{}
		for class, hash := range podClasses(pod) {
			if text, ok := texts[class]; ok && text.Hash != hash {
				labels[annotation.ClassLabel+class] = text.Hash
			}
		}
		if len(labels) == 0 {
			continue
		}
		if err := c.patchPod(ctx, pod, map[string]any{"labels": labels}); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// patchPod changes a pod's metadata through its status, so that the right to change the pod itself is not needed. A pod that is gone,
// or another of its name, is left alone.
func (c *Controller) patchPod(ctx context.Context, pod *metav1.PartialObjectMetadata, metadata map[string]any) error {
	metadata["uid"] = pod.UID
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	err = c.Client.SubResource("status").Patch(ctx, pod.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	switch {
	case err == nil:
		c.metrics.writes.WithLabelValues("pod").Inc()
		return nil
	case gone(err):
		return nil
	}
	return fmt.Errorf("writing on pod %s: %w", pod.Name, err)
}

// report counts the pods of each class.
func (c *Controller) report(namespace string, space *space, pods []metav1.PartialObjectMetadata, texts map[string]Text) {
	counts := map[string]Count{}
	for i := range pods {
		for class := range podClasses(&pods[i]) {
			n := counts[class]
			n.Pods++
			if _, ok := texts[class]; ok {
				n.Current++ // stamp has brought its label up to date
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
