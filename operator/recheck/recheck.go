// Package recheck finds pods that ask for a sidecar and have none, although they would get one if they were created now: the operator
// was away when they were, or their class came later.
//
// It looks at the whole cluster now and then, page by page, and keeps little. What it finds it counts and tells; it makes such pods be
// created anew only when told to, only where something creates them anew, and only through the eviction API, so that disruption
// budgets hold. Where pods come back without a sidecar, it stops: the operator may reach an API server that does not reach the webhook.
package recheck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/deliver"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// Mode is what is done about pods that are found.
type Mode string

// The modes.
const (
	Off    Mode = "off"
	Report Mode = "report"
	Evict  Mode = "evict"
)

// Scope is the rule for where pods may have sidecars.
type Scope interface {
	// Namespaces are those where they may.
	Namespaces(context.Context) (map[string]bool, error)
}

// Rechecker looks for pods without their sidecar. Only the leader may run one.
type Rechecker struct {
	// Live reads from the API server; a cache would have to hold every pod of the cluster.
	Live client.Reader
	// Client evicts.
	Client   client.Client
	Builder  *sidecar.Builder
	Recorder record.EventRecorder
	Logger   *slog.Logger
	Mode     Mode
	// Interval is how often it looks. It also looks Settle after Trigger was called.
	Interval, Settle time.Duration
	// Scope has the namespaces whose pods may have sidecars.
	Scope Scope
	// MaxEvictions bounds the evictions of one look, PageSize the pods that are held in memory at once.
	MaxEvictions int
	PageSize     int64
	// Cache has the pods with a sidecar.
	Cache client.Reader
	Now   func() time.Time

	once    sync.Once
	trigger chan struct{}
	bare    *prometheus.GaugeVec
	evicted *prometheus.CounterVec
	futile  prometheus.Gauge
	history history
}

// Register adds the metrics.
func (r *Rechecker) Register(registerer prometheus.Registerer) {
	r.bare = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_operator_bare_pods",
		Help: "Pods that ask for a sidecar, have none, and would get one if they were created now, by namespace.",
	}, []string{"namespace"})
	r.evicted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_operator_evictions_total",
		Help: "Evictions of pods without their sidecar, by result: evicted, held (by a disruption budget), failed.",
	}, []string{"result"})
	r.futile = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_operator_evictions_stopped",
		Help: "Pods without their sidecar that are not evicted, because pods that replaced evicted ones had none either.",
	})
	registerer.MustRegister(r.bare, r.evicted, r.futile)
}

func (r *Rechecker) triggers() chan struct{} {
	r.once.Do(func() { r.trigger = make(chan struct{}, 1) })
	return r.trigger
}

// Trigger asks for a look soon: a class has appeared.
func (r *Rechecker) Trigger() {
	select {
	case r.triggers() <- struct{}{}:
	default:
	}
}

// NeedLeaderElection makes a manager run it on the leader only.
func (r *Rechecker) NeedLeaderElection() bool { return true }

// Start looks until the context ends.
func (r *Rechecker) Start(ctx context.Context) error {
	if r.Mode == Off {
		return nil
	}
	next := time.NewTimer(r.Settle)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.triggers():
			next.Reset(r.Settle)
			continue
		case <-next.C:
		}
		if err := r.Look(ctx); err != nil && ctx.Err() == nil {
			r.Logger.Error("looking for pods without their sidecar; trying again at the next round", "error", err)
		}
		next.Reset(r.Interval)
	}
}

// Look goes through the cluster once.
func (r *Rechecker) Look(ctx context.Context) error {
	eligible, err := r.Scope.Namespaces(ctx)
	if err != nil {
		return err
	}
	bare := map[string]int{}
	var toEvict []*metav1.PartialObjectMetadata
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	options := []client.ListOption{client.Limit(r.PageSize), client.MatchingLabelsSelector{Selector: without}}
	for {
		if err := r.Live.List(ctx, page, append(options, client.Continue(page.Continue))...); err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		for i := range page.Items {
			pod := &page.Items[i]
			if !eligible[pod.Namespace] || !r.candidate(pod) {
				continue
			}
			found, err := r.wouldGet(ctx, pod)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			bare[pod.Namespace]++
			if r.Mode != Evict || metav1.GetControllerOf(pod) == nil {
				deliver.Tell(r.Recorder, pod, "SidecarMissing", missing)
				continue
			}
			toEvict = append(toEvict, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
				CreationTimestamp: pod.CreationTimestamp, OwnerReferences: pod.OwnerReferences}})
		}
		if page.Continue == "" {
			break
		}
	}
	if err := r.evictSome(ctx, groups(toEvict)); err != nil {
		return err
	}
	r.bare.Reset()
	for namespace, n := range bare {
		r.bare.WithLabelValues(namespace).Set(float64(n))
	}
	return nil
}

// without selects pods that have no sidecar and may have one.
var without = func() labels.Selector {
	s, err := labels.Parse(sidecar.InjectedLabel + "!=true,!telegraf.influxdata.com/ignore")
	if err != nil {
		panic(err) // of a constant
	}
	return s
}()

// candidate says whether a pod may be one that gets a sidecar. Static pods do not go through the webhook as others do.
func (r *Rechecker) candidate(pod *metav1.PartialObjectMetadata) bool {
	if pod.DeletionTimestamp != nil || pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		return false
	}
	return r.Builder.Asks(pod.Annotations)
}

// wouldGet asks for the pod as it is now, and whether it would get a sidecar if it were created so.
func (r *Rechecker) wouldGet(ctx context.Context, pod *metav1.PartialObjectMetadata) (bool, error) {
	whole := &unstructured.Unstructured{}
	whole.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(pod), whole); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	phase, _, _ := unstructured.NestedString(whole.Object, "status", "phase")
	if whole.GetUID() != pod.UID || whole.GetDeletionTimestamp() != nil || phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed) {
		return false, nil
	}
	raw, err := whole.MarshalJSON()
	if err != nil {
		return false, err
	}
	in, err := r.Builder.Inject(raw, pod.Namespace)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(in.Outcomes, func(o sidecar.Outcome) bool { return o.Reason == sidecar.Injected }), nil
}

// missing is what is said of a pod.
const missing = "this pod asks for a sidecar and was created without one; it gets one when it is created anew"

// evictSome evicts pods of each owner as far as earlier evictions had an effect, and tells of the others.
func (r *Rechecker) evictSome(ctx context.Context, all []*group) error {
	now := r.Now()
	r.history.observe(all, now)
	if !r.history.bareAt.IsZero() {
		ok, err := proven(ctx, r.Cache, r.history.bareAt)
		if err != nil {
			return err
		}
		if ok {
			r.history.bareAt = time.Time{}
		}
	}
	evictions, stopped := 0, 0
	for _, g := range all {
		allowed, why := r.history.allowed(g, now, r.Interval)
		if allowed == 0 && r.history.futile(g) {
			stopped += len(g.pods)
		}
		for _, pod := range g.pods {
			if allowed == 0 || evictions >= r.MaxEvictions {
				note := missing
				if allowed == 0 {
					note += "; " + why
				}
				deliver.Tell(r.Recorder, pod, "SidecarMissing", note)
				continue
			}
			evicted, err := r.evict(ctx, pod)
			if err != nil {
				return err
			}
			if evicted {
				r.history.evicted(g, now)
				evictions++
				allowed--
			}
		}
	}
	r.futile.Set(float64(stopped))
	if stopped > 0 {
		r.Logger.Warn("pods without their sidecar are not evicted, because pods that replaced evicted ones had none either: does the API server reach the webhook?", "pods", stopped)
	}
	return nil
}

// evict asks for the eviction of a pod, and says what came of it.
func (r *Rechecker) evict(ctx context.Context, pod *metav1.PartialObjectMetadata) (evicted bool, err error) {
	err = r.Client.SubResource("eviction").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil:
		r.evicted.WithLabelValues("evicted").Inc()
		deliver.Tell(r.Recorder, pod, "EvictedForSidecar", "this pod was created without the sidecar that it asks for, and is evicted to be created anew")
		return true, nil
	case apierrors.IsTooManyRequests(err):
		r.evicted.WithLabelValues("held").Inc()
		deliver.Tell(r.Recorder, pod, "SidecarMissing", missing+"; a disruption budget does not allow its eviction now")
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
	default:
		r.evicted.WithLabelValues("failed").Inc()
		if errors.Is(err, ctx.Err()) {
			return false, err
		}
		r.Logger.Error("evicting a pod that lacks its sidecar", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
	}
	return false, nil
}
