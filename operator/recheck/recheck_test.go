package recheck_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/recheck"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// cluster is a rechecker before a fake API server that has pages.
type cluster struct {
	*recheck.Rechecker
	client.Client
	metrics *prometheus.Registry
	events  *record.FakeRecorder
	// evict answers an eviction; nil is yes.
	evict   func(pod string) error
	evicted []string
	pages   []int
	now     time.Time
}

const interval = 5 * time.Minute

// start is when tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	c := &cluster{metrics: prometheus.NewRegistry(), events: record.NewFakeRecorder(1000), now: start}
	c.Client = fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		List: c.list,
		SubResourceCreate: func(_ context.Context, _ client.Client, sub string, o client.Object, of client.Object, _ ...client.SubResourceCreateOption) error {
			e := of.(*policyv1.Eviction)
			if sub != "eviction" || *e.DeleteOptions.Preconditions.UID != "uid-x" {
				t.Errorf("a %s of %s is made with %+v", sub, o.GetName(), e)
			}
			if c.evict != nil {
				if err := c.evict(o.GetName()); err != nil {
					return err
				}
			}
			c.evicted = append(c.evicted, o.GetName())
			return nil
		},
	}).Build()
	c.Rechecker = &recheck.Rechecker{Live: c.Client, Client: c.Client, Recorder: c.events, Logger: slog.New(slog.DiscardHandler), Mode: recheck.Report,
		Scope: within{"a": true}, Cache: c.Client, Now: func() time.Time { return c.now }, Interval: interval, MaxEvictions: 10, PageSize: 3,
		Builder: &sidecar.Builder{Defaults: sidecar.Defaults{Class: "default", Sidecar: v1alpha1.SidecarSpec{Image: "telegraf"}}, Native: func() bool { return true },
			Classes: func(namespace, name string) (*class.Class, error) {
				if name == "default" {
					return &class.Class{Name: name, Hash: "0123456789"}, nil
				}
				return nil, &class.ResolveError{Problem: class.ProblemUnknown, Namespace: namespace, Name: name}
			}}}
	c.Register(c.metrics)
	return c
}

// within are the namespaces in scope.
type within map[string]bool

func (w within) Namespaces(context.Context) (map[string]bool, error) { return w, nil }

// unknown is a scope that cannot be found out.
type unknown struct{}

func (unknown) Namespaces(context.Context) (map[string]bool, error) {
	return nil, errors.New("no webhook configuration")
}

// looked is a scope that tells when it is asked.
type looked chan struct{}

func (l looked) Namespaces(context.Context) (map[string]bool, error) {
	l <- struct{}{}
	return nil, nil
}

// list is the fake one's, in pages: a token is how many were there before.
func (c *cluster) list(ctx context.Context, under client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	pods, ok := into.(*metav1.PartialObjectMetadataList)
	if !ok || pods.Kind != "PodList" || o.Limit == 0 { // a cache has no pages
		return under.List(ctx, into, opts...)
	}
	all := pods.DeepCopy()
	if err := under.List(ctx, all, client.MatchingLabelsSelector{Selector: o.LabelSelector}); err != nil {
		return err
	}
	from, _ := strconv.Atoi(o.Continue)
	to := min(from+int(o.Limit), len(all.Items))
	pods.Items, pods.Continue = all.Items[from:to], ""
	if to < len(all.Items) {
		pods.Continue = strconv.Itoa(to)
	}
	c.pages = append(c.pages, len(pods.Items))
	return nil
}

// pod asks for a sidecar, has none, and is one of a ReplicaSet.
func pod(namespace, name string, changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-x", Annotations: map[string]string{"telegraf.influxdata.com/port": "8080"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "2", Controller: new(true)}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	for _, change := range changes {
		change(p)
	}
	return p
}

// of has another owner.
func of(owner string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.OwnerReferences[0].UID = types.UID(owner) }
}

func bare(p *corev1.Pod) { p.OwnerReferences = nil }

// figures are those of a metric by the value of its label.
func (c *cluster) figures(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				all[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// gauge is a figure without labels.
func (c *cluster) gauge(t *testing.T, name string) (value float64) {
	t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			value = f.Metric[0].GetGauge().GetValue()
		}
	}
	return value
}

func (c *cluster) told() (all []string) {
	for {
		select {
		case e := <-c.events.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func (c *cluster) look(t *testing.T) {
	t.Helper()
	if err := c.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const bareMetric = "holdfast_operator_bare_pods"

func TestOnlyPodsThatWouldGetASidecarAreFound(t *testing.T) {
	label := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels = map[string]string{key: value} }
	}
	annotate := func(key, value string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Annotations[key] = value } }
	c := newCluster(t,
		pod("a", "found"), pod("a", "refused-then", label(sidecar.InjectedLabel, "false")),
		pod("a", "has", label(sidecar.InjectedLabel, "true")), pod("a", "ignored", label("telegraf.influxdata.com/ignore", "true")),
		pod("a", "asks-nothing", func(p *corev1.Pod) { p.Annotations = nil }), pod("a", "switched-off", annotate("holdfast.dev/inject", "false")),
		pod("a", "static", annotate(corev1.MirrorPodAnnotationKey, "x")), pod("a", "done", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("a", "failed", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), pod("a", "mistaken", annotate("telegraf.influxdata.com/port", "x")),
		pod("a", "no-class", annotate("telegraf.influxdata.com/class", "nowhere")), pod("a", "old-kind", func(p *corev1.Pod) { p.Spec.Containers[0].Name = "telegraf" }),
		pod("a", "going", func(p *corev1.Pod) { p.Finalizers, p.DeletionTimestamp = []string{"x/y"}, new(metav1.Now()) }),
		pod("out-of-scope", "p"))
	c.look(t)
	if got := c.figures(t, bareMetric); len(got) != 1 || got["a"] != 2 {
		t.Errorf("the figures are %v, want 2 in a", got)
	}
	if got := c.told(); len(got) != 4 || !slices.Contains(got, "Warning SidecarMissing this pod asks for a sidecar and was created without one; it gets one when it is created anew") {
		t.Errorf("the events are %q, want one on each pod and on its owner", got)
	}
	if len(c.evicted) > 0 {
		t.Errorf("pods are evicted: %q", c.evicted)
	}
}

func TestTheClusterIsReadPageByPage(t *testing.T) {
	c := newCluster(t)
	for i := range 8 {
		if err := c.Create(t.Context(), pod("a", fmt.Sprint("p", i))); err != nil {
			t.Fatal(err)
		}
	}
	c.look(t)
	if !slices.Equal(c.pages, []int{3, 3, 2}) || c.figures(t, bareMetric)["a"] != 8 {
		t.Errorf("the pages have %v pods, the figures are %v", c.pages, c.figures(t, bareMetric))
	}
	for i := range 8 {
		if err := c.Delete(t.Context(), pod("a", fmt.Sprint("p", i))); err != nil {
			t.Fatal(err)
		}
	}
	if c.look(t); len(c.figures(t, bareMetric)) != 0 {
		t.Errorf("the figures stay %v", c.figures(t, bareMetric))
	}
}

func TestEvictionsAreBounded(t *testing.T) {
	c := newCluster(t, pod("a", "p0", bare))
	for i := range 5 {
		if err := c.Create(t.Context(), pod("a", fmt.Sprint("p", i+1), of(fmt.Sprint("rs", i)))); err != nil {
			t.Fatal(err)
		}
	}
	c.Mode, c.MaxEvictions = recheck.Evict, 2
	c.look(t)
	if !slices.Equal(c.evicted, []string{"p1", "p2"}) || c.figures(t, "holdfast_operator_evictions_total")["evicted"] != 2 {
		t.Errorf("it evicts %q: at most 2, and none that nothing creates anew", c.evicted)
	}
	if got := c.figures(t, bareMetric)["a"]; got != 6 {
		t.Errorf("%v pods are found", got)
	}
}

func TestABudgetHoldsAnEvictionAndNoOther(t *testing.T) {
	c := newCluster(t, pod("a", "p1"), pod("a", "p2"), pod("a", "p3"), pod("a", "p4"))
	c.Mode = recheck.Evict
	pods := schema.GroupResource{Resource: "pods"}
	c.evict = func(pod string) error {
		return map[string]error{"p1": apierrors.NewTooManyRequests("a disruption budget", 10), "p2": apierrors.NewNotFound(pods, "p2"), "p3": apierrors.NewInternalError(errors.New("no"))}[pod]
	}
	c.look(t)
	if got := c.figures(t, "holdfast_operator_evictions_total"); !slices.Equal(c.evicted, []string{"p4"}) || got["held"] != 1 || got["failed"] != 1 || got["evicted"] != 1 {
		t.Errorf("it evicts %q, the figures are %v", c.evicted, got)
	}
	want := "Warning SidecarMissing this pod asks for a sidecar and was created without one; it gets one when it is created anew; a disruption budget does not allow its eviction now"
	if got := c.told(); !slices.Contains(got, want) {
		t.Errorf("the events are %q", got)
	}
}

func TestAPodThatWasReplacedMeanwhileIsLeftAlone(t *testing.T) {
	c := newCluster(t, pod("a", "p"))
	c.Mode = recheck.Evict
	c.Live = replaced{c.Client}
	c.look(t)
	if len(c.evicted) > 0 || len(c.figures(t, bareMetric)) > 0 {
		t.Errorf("it evicts %q, the figures are %v", c.evicted, c.figures(t, bareMetric))
	}
}

// replaced answers with another pod of the name than was listed.
type replaced struct{ client.Reader }

func (r replaced) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	err := r.Reader.Get(ctx, key, o, opts...)
	o.SetUID("another")
	return err
}

func TestWhatCannotBeListedIsAnError(t *testing.T) {
	c := newCluster(t, pod("a", "p"))
	c.look(t)
	c.Scope = unknown{}
	if err := c.Look(t.Context()); err == nil {
		t.Error("there is no error")
	}
	if got := c.figures(t, bareMetric)["a"]; got != 1 {
		t.Errorf("the figure is %v: a look that failed says nothing new", got)
	}
}

func TestItLooksAtTheStartAndWhenTriggered(t *testing.T) {
	for mode, want := range map[recheck.Mode]int{recheck.Report: 2, recheck.Off: 0} {
		c := newCluster(t)
		c.Mode, c.Settle, c.Interval = mode, time.Millisecond, time.Hour
		ctx, stop := context.WithCancel(t.Context())
		looked := make(looked, 10)
		c.Scope = looked
		ended := make(chan error, 1)
		go func() { ended <- c.Start(ctx) }()
		for range want {
			select {
			case <-looked:
			case <-time.After(20 * time.Second):
				t.Fatalf("mode %s: it does not look", mode)
			}
			c.Trigger()
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if mode == recheck.Off && len(looked) > 0 {
			t.Error("it looks although it is off")
		}
	}
}
