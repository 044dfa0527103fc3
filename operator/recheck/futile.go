package recheck

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// maxWait bounds the time after which an eviction that came to nothing is tried once more, and how long one is remembered.
const maxWait = 24 * time.Hour

// history is what became of evictions. It keeps them from going on for ever where the pods that replace the evicted ones are created
// without a sidecar too: while the operator reaches the API server and the API server does not reach the webhook. Times of pods are the
// API server's and are compared with each other alone. It is lost with the process: a new leader tries each owner once more.
type history struct {
	owners map[types.UID]*attempt
	// bareAt is when the newest pod was created that replaced an evicted one and had no sidecar; zero once a later pod was seen with one.
	bareAt time.Time
}

// attempt is what is known of the pods of one owner that were evicted.
type attempt struct {
	// newest is when the newest of its pods without a sidecar was created, as of the last eviction, which was done at.
	newest, at time.Time
	// bare is that one was created since; tries is how often in a row that was so.
	bare  bool
	tries int
}

// group are the pods of one owner that lack their sidecar.
type group struct {
	owner *metav1.OwnerReference
	pods  []*metav1.PartialObjectMetadata
	// newest is when the newest of them was created.
	newest time.Time
}

// groups puts the pods of each owner together, in the order in which they were found.
func groups(pods []*metav1.PartialObjectMetadata) (all []*group) {
	of := map[types.UID]*group{}
	for _, pod := range pods {
		owner := metav1.GetControllerOfNoCopy(pod)
		g := of[owner.UID]
		if g == nil {
			g = &group{owner: owner}
			of[owner.UID] = g
			all = append(all, g)
		}
		g.pods = append(g.pods, pod)
		if created := pod.CreationTimestamp.Time; created.After(g.newest) {
			g.newest = created
		}
	}
	return all
}

// observe notes which evictions came to nothing.
func (h *history) observe(all []*group, now time.Time) {
	here := map[types.UID]bool{}
	for _, g := range all {
		here[g.owner.UID] = true
		a := h.owners[g.owner.UID]
		if a == nil || a.bare || !g.newest.After(a.newest) {
			continue
		}
		a.bare = true
		a.tries++
		if g.newest.After(h.bareAt) {
			h.bareAt = g.newest
		}
	}
	for uid, a := range h.owners {
		if !here[uid] && now.Sub(a.at) > maxWait {
			delete(h.owners, uid)
		}
	}
}

// allowed is how many pods of an owner may be evicted now, and why no more. The first is a trial of one: the others follow when what
// replaced it does not lack its sidecar. After a trial that came to nothing there is another one later, each time after twice as long.
func (h *history) allowed(g *group, now time.Time, interval time.Duration) (n int, why string) {
	a := h.owners[g.owner.UID]
	const waits = "an eviction of another pod of the same owner comes first"
	switch {
	case a != nil && a.bare && now.Sub(a.at) >= wait(interval, a.tries):
		return 1, waits
	case a != nil && a.bare:
		return 0, "it is not evicted, for the pod that replaced an evicted one of the same owner was created without its sidecar too: does the API server reach the webhook?"
	case !h.bareAt.IsZero():
		return 0, "no pod is evicted now, for one that replaced an evicted pod was created without its sidecar too, and none with one since: does the API server reach the webhook?"
	case a == nil:
		return 1, waits
	case now.Sub(a.at) < interval:
		return 0, waits
	}
	return len(g.pods), ""
}

// futile says whether it is for want of an effect that pods of an owner are not evicted.
func (h *history) futile(g *group) bool {
	a := h.owners[g.owner.UID]
	return !h.bareAt.IsZero() || a != nil && a.bare
}

// wait is the time between two trials.
func wait(interval time.Duration, tries int) time.Duration {
	for ; tries > 0 && interval < maxWait; tries-- {
		interval *= 2
	}
	return min(interval, maxWait)
}

// evicted notes an eviction.
func (h *history) evicted(g *group, now time.Time) {
	if h.owners == nil {
		h.owners = map[types.UID]*attempt{}
	}
	a := h.owners[g.owner.UID]
	if a == nil {
		a = &attempt{}
		h.owners[g.owner.UID] = a
	}
	a.newest, a.at, a.bare = g.newest, now, false
}

// proven says whether a pod with a sidecar was created after the last that had none: the API server reaches the webhook again.
func proven(ctx context.Context, cache client.Reader, since time.Time) (bool, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := cache.List(ctx, list, client.MatchingLabels{sidecar.InjectedLabel: "true"}, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing the pods with a sidecar: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].CreationTimestamp.After(since) {
			return true, nil
		}
	}
	return false, nil
}
