// Package deliver brings the classes' texts to where sidecars read them, and keeps account of who has what.
//
// In each namespace with injected pods there is one object, sidecar.ClassesName, with the texts of the classes that those pods have. It
// is a Secret, or a ConfigMap where no Secret may be made; the operator has to do with one of the two kinds only.
// It follows from what is observed, never from an event alone, namespace by namespace: what fails in one does not stop another, and is
// tried again. A text that is refused never gets here; the last good one stays. Every pod carries the hash of each of its classes in a
// label, which follows what was delivered, so one query tells which pods have the newest text. Labels and annotations are written
// through the pod's status: the right to do that does not include changing what a pod runs.
//
// Labels say which classes a pod has, and whoever creates a pod chooses its labels. So texts go only to namespaces in scope, which are
// those where the webhook may have written the labels; see package scope.
//
// The objects belong to the resource definition of ClusterTelegrafClass. They outlive the operator, whose absence must not take a
// running sidecar's outputs away, and go when the definition goes. A class that no pod of a namespace has any more is taken out of its
// object after Grace.
//
// A pod that mounts an object of the other kind, since it was injected before the kind was changed, goes on with what that has: such an
// object is neither written nor deleted, the pod's labels stay, and it counts as one without the newest text from the next change on.
package deliver

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// FieldOwner is the name under which the operator applies objects.
const FieldOwner = "holdfast-operator"

// ManagedBy is the label, and its value, of what the operator has made.
const (
	ManagedBy      = "app.kubernetes.io/managed-by"
	ManagedByValue = "holdfast-operator"
)

// Text is the text of a class in use.
type Text struct {
	Text []byte
	Hash string
	// Since is when the text was first seen; zero when that is not known.
	Since time.Time
}

// Classes is where the texts are.
type Classes interface {
	// Known is closed once the texts are there: before, one that is missing may only be late.
	Known() <-chan struct{}
	// Text returns the last good text of a class as a namespace sees it. ok is false when there is none.
	Text(namespace, class string) (text Text, ok bool)
	// Report tells how many pods of a namespace have a class, and how many of those were delivered the text in use.
	Report(namespace string, counts map[string]Count)
}

// Scope is the rule for which namespaces may have which classes.
type Scope interface {
	// Holds says whether a namespace may have any class.
	Holds(ctx context.Context, namespace string) (bool, error)
	// Grants says whether a namespace may have a class although it does not hold.
	Grants(namespace, class string) bool
}

// Count is how many pods have a class.
type Count struct{ Pods, Current int }

// Controller delivers. Only the leader may run one.
type Controller struct {
	// Client writes.
	Client client.Client
	// Object is what texts are delivered in.
	Object sidecar.ClassesObject
	// Namespaces are those that classes are delivered to; none means all.
	Namespaces []string
	// Cache has what CacheOptions says. A manager's client is no such reader: it asks the API server for pods and what is delivered.
	Cache client.Reader
	// Live reads from the API server.
	Live    client.Reader
	Classes Classes
	// Scope is asked before anything is written to a namespace.
	Scope Scope
	// Builder writes configurations anew when annotations were edited.
	Builder *sidecar.Builder
	// Checker says whether Telegraf accepts a pod's raw inputs; nil when there is none to ask.
	Checker agent.Checker
	// Owner is the definition that owns what is delivered.
	Owner    metav1.OwnerReference
	Recorder record.EventRecorder
	Logger   *slog.Logger
	// Grace is how long a class stays in a namespace after its last pod.
	Grace time.Duration
	Now   func() time.Time

	metrics   *metrics
	memory    memory
	inspected inspected
}

// delivers says whether classes are delivered to a namespace.
func (c *Controller) delivers(namespace string) bool {
	return len(c.Namespaces) == 0 || slices.Contains(c.Namespaces, namespace)
}

type metrics struct {
	pods     *prometheus.GaugeVec
	writes   *prometheus.CounterVec
	reload   prometheus.Histogram
	failures *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		pods: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_operator_pods",
			Help: "Pods with a sidecar, by namespace, class, and whether the text in use was delivered to them.",
		}, []string{"namespace", "class", "current"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_operator_writes_total",
			Help: "Objects written, by kind: secret, configmap, pod.",
		}, []string{"kind"}),
		reload: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "holdfast_operator_reload_seconds",
			Help:    "Time from when the operator saw another text of a class to when a namespace that had the old one was given it.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 12),
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_operator_delivery_failures_total",
			Help: "Deliveries that failed and are tried again, by namespace.",
		}, []string{"namespace"}),
	}
	r.MustRegister(m.pods, m.writes, m.reload, m.failures)
	return m
}

// podMeta and podMetaList ask a client for metadata alone.
func podMeta() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return o
}

func podMetaList() *metav1.PartialObjectMetadataList {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	return l
}
