package deliver

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Register makes the metrics, as Setup does.
func (c *Controller) Register(r prometheus.Registerer) { c.metrics = newMetrics(r) }

// Remembered are the namespaces in memory.
func (c *Controller) Remembered() (names []string) {
	for name := range c.memory.namespaces {
		names = append(names, name)
	}
	return names
}

// Strip is what a cache keeps of an object.
func Strip(o client.Object) client.Object {
	kept, err := strip(o)
	if err != nil {
		panic(err)
	}
	return kept.(client.Object)
}

// Notice is what setupNotices runs for a refused pod.
var Notice = (*Controller).notice

// FollowAnnotations is what setupFollow runs for an edited pod.
var FollowAnnotations = (*Controller).follow

// Follow has the labels of a namespace's pods follow what it has, as the controller of labels does: pod by pod.
func (c *Controller) Follow(ctx context.Context, namespace string) error {
	object, err := c.object(ctx, namespace)
	if err != nil || object == nil {
		return err
	}
	pods := c.outdated(ctx, object)
	slices.SortFunc(pods, func(a, b reconcile.Request) int { return cmp.Compare(a.Name, b.Name) })
	var failed []error
	for _, pod := range pods {
		_, err := c.label(ctx, pod)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
