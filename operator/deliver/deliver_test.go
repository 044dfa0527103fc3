package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-telemetry/holdfast/operator/deliver"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

const grace = 10 * time.Minute

// texts are the classes as a registry would answer, the same in all namespaces.
type texts struct {
	all    map[string]string
	since  time.Time
	counts map[string]map[string]deliver.Count
}

func (c *texts) Text(_, class string) (deliver.Text, bool) {
	text, ok := c.all[class]
	return deliver.Text{Text: []byte(text), Hash: "hash-" + text, Since: c.since}, ok
}

// Known is closed: there is nothing to wait for.
func (c *texts) Known() <-chan struct{} {
	known := make(chan struct{})
	close(known)
	return known
}

func (c *texts) Report(namespace string, counts map[string]deliver.Count) {
	c.counts[namespace] = counts
}

// cluster is a controller before a fake API server.
type cluster struct {
	*deliver.Controller
	client.Client
	classes *texts
	metrics *prometheus.Registry
	events  *record.FakeRecorder
	now     time.Time
	// fail, when set, is asked before each write of a namespace's object, such as "secret a".
	fail func(what string) error
	// writes are those that were done.
	writes []string
	// out is the namespace that is out of scope, but for the class granted.
	out, granted string
}

func (c *cluster) Holds(_ context.Context, namespace string) (bool, error) {
	return namespace != c.out, nil
}

func (c *cluster) Grants(namespace, class string) bool {
	return namespace == c.out && class == c.granted
}

func newCluster(objects ...client.Object) *cluster { return newClusterOf(sidecar.InSecret, objects...) }

// ofEachKind tests what holds whatever texts are delivered in.
func ofEachKind(t *testing.T, test func(t *testing.T, kind sidecar.ClassesObject)) {
	for _, kind := range []sidecar.ClassesObject{sidecar.InSecret, sidecar.InConfigMap} {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}

// newClusterOf is one whose controller delivers in objects of a kind, and whose pods mount those.
func newClusterOf(kind sidecar.ClassesObject, objects ...client.Object) *cluster {
	for _, o := range objects {
		if p, ok := o.(*corev1.Pod); ok && kind == sidecar.InConfigMap {
			p.Labels[sidecar.ClassesInLabel] = string(kind)
		}
	}
	c := &cluster{classes: &texts{all: map[string]string{}, counts: map[string]map[string]deliver.Count{}}, metrics: prometheus.NewRegistry(),
		events: record.NewFakeRecorder(100), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	write := func(kind, namespace string) error {
		what := kind + " " + namespace
		if c.fail != nil {
			if err := c.fail(what); err != nil {
				return err
			}
		}
		c.writes = append(c.writes, what)
		return nil
	}
	c.Client = fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, under client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			named := o.(interface {
				GetNamespace() *string
				GetKind() *string
			})
			if err := write(strings.ToLower(*named.GetKind()), *named.GetNamespace()); err != nil {
				return err
			}
			return under.Apply(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, under client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if err := write("delete", o.GetNamespace()); err != nil {
				return err
			}
			return under.Delete(ctx, o, opts...)
		},
		// An API server takes metadata through the status; the fake one does not.
		SubResourcePatch: func(ctx context.Context, under client.Client, sub string, o client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
			if err := write("pod", o.GetNamespace()+"/"+o.GetName()); err != nil || sub != "status" {
				return err
			}
			return under.Patch(ctx, o, patch)
		},
	}).Build()
	c.Controller = &deliver.Controller{Client: c.Client, Cache: c.Client, Live: c.Client, Classes: c.classes, Scope: c,
		Recorder: c.events, Logger: slog.New(slog.DiscardHandler), Object: kind,
		Owner: metav1.OwnerReference{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "clustertelegrafclasses.holdfast.dev", UID: "1"},
		Grace: grace, Now: func() time.Time { return c.now }}
	c.Register(c.metrics)
	return c
}

// pod has a sidecar of the classes, "class=hash" each.
func pod(namespace, name string, classes ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "1", Labels: map[string]string{sidecar.InjectedLabel: "true"}}}
	for _, c := range classes {
		class, hash, _ := strings.Cut(c, "=")
		p.Labels["class.holdfast.dev/"+class] = hash
	}
	return p
}

// look brings a namespace and the labels of its pods in order, and returns when to look again.
func (c *cluster) look(t *testing.T, namespace string) (again time.Duration) {
	t.Helper()
	c.writes = nil
	for range 2 { // the labels are a change to look at
		result, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
		if err != nil {
			t.Fatal(err)
		}
		again = result.RequeueAfter
		if err := c.Follow(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	return again
}

// delivered is the data of a namespace's object; nil without one.
func (c *cluster) delivered(t *testing.T, namespace string) map[string]string {
	t.Helper()
	all := map[string]string{}
	o := c.get(t, namespace)
	switch o := o.(type) {
	case *corev1.Secret:
		for key, text := range o.Data {
			all[key] = string(text)
		}
	case *corev1.ConfigMap:
		maps.Copy(all, o.Data)
		for key, text := range o.BinaryData {
			all[key] = string(text)
		}
	default:
		return nil
	}
	return all
}

// get returns what is delivered to a namespace: a Secret or ConfigMap; nil when there is none.
func (c *cluster) get(t *testing.T, namespace string) client.Object {
	t.Helper()
	o := object(c.Object, namespace, nil)
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// object is one with the name of what is delivered, and this data.
func object(kind sidecar.ClassesObject, namespace string, data map[string]string) client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: sidecar.ClassesName}
	if kind == sidecar.InConfigMap {
		return &corev1.ConfigMap{ObjectMeta: meta, Data: data}
	}
	o := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{}}
	for key, text := range data {
		o.Data[key] = []byte(text)
	}
	return o
}

func (c *cluster) want(t *testing.T, namespace string, files map[string]string) {
	t.Helper()
	if got := c.delivered(t, namespace); !maps.Equal(got, files) || (got == nil) != (files == nil) {
		t.Errorf("namespace %s has %v, want %v", namespace, got, files)
	}
}

func TestClassesAreDeliveredAndStamped(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "old", "default=old"), pod("a", "new", "default=hash-1", "team=x"), pod("b", "other", "team=hash-2"))
		c.classes.all = map[string]string{"default": "1", "team": "2", "unused": "3"}
		c.look(t, "a")
		c.want(t, "a", map[string]string{"default.conf": "1", "team.conf": "2"})
		c.want(t, "b", nil)
		if want := []string{strings.ToLower(string(kind)) + " a", "pod a/new", "pod a/old"}; !slices.Equal(c.writes, want) {
			t.Errorf("the writes are %q, want %q", c.writes, want)
		}
		p := &corev1.Pod{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "old"}, p); err != nil || p.Labels["class.holdfast.dev/default"] != "hash-1" {
			t.Errorf("%v; the labels are %v", err, p.Labels)
		}
		o := c.get(t, "a")
		if len(o.GetOwnerReferences()) != 1 || o.GetLabels()[deliver.ManagedBy] != deliver.ManagedByValue || o.GetAnnotations()["sidecar.holdfast.dev/classes"] != "default=hash-1,team=hash-2" {
			t.Errorf("the %s is %+v", kind, o)
		}
		if got := c.classes.counts["a"]; got["default"] != (deliver.Count{Pods: 2, Current: 2}) || got["team"] != (deliver.Count{Pods: 1, Current: 1}) {
			t.Errorf("the counts are %v", got)
		}
		if again := c.look(t, "a"); again != 0 || len(c.writes) > 0 {
			t.Errorf("a second look writes %q, and asks for another after %s", c.writes, again)
		}
	})
}

func TestOnlyWhatDiffersIsStamped(t *testing.T) {
	c := newCluster(pod("a", "old", "default=hash-0"), pod("a", "new", "default=hash-1"), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "none",
		Labels: map[string]string{sidecar.InjectedLabel: "false", "class.holdfast.dev/default": "x"}}})
	c.classes.all["default"] = "1"
	c.look(t, "a")
	if want := []string{"secret a", "pod a/old"}; !slices.Equal(c.writes, want) {
		t.Errorf("the writes are %q, want %q", c.writes, want)
	}
}

func TestAChangeOfAClassIsDelivered(t *testing.T) {
	c := newCluster(pod("a", "p", "default=hash-1"))
	c.classes.all["default"] = "1"
	c.look(t, "a")
	c.classes.all["default"] = "2"
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "2"})
	if want := []string{"secret a", "pod a/p"}; !slices.Equal(c.writes, want) {
		t.Errorf("the writes are %q, want %q", c.writes, want)
	}
}

func TestAClassThatIsGoneKeepsItsText(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "p", "default=hash-1", "team=hash-2"))
		c.classes.all = map[string]string{"default": "1", "team": "2"}
		c.look(t, "a")
		delete(c.classes.all, "team")
		c.classes.all["default"] = "3"
		c.look(t, "a")
		c.want(t, "a", map[string]string{"default.conf": "3", "team.conf": "2"})
		if got := c.classes.counts["a"]["team"]; got != (deliver.Count{Pods: 1}) {
			t.Errorf("the count is %v: a text that is unknown is nobody's newest", got)
		}
		if c.look(t, "a"); len(c.writes) > 0 {
			t.Errorf("a second look writes %q", c.writes)
		}
		// Another leader does not know the text either.
		next := newClusterOf(kind)
		next.Client, next.Controller.Client, next.Cache, next.Live, next.classes.all = c.Client, c.Client, c.Client, c.Client, c.classes.all
		next.look(t, "a")
		next.want(t, "a", map[string]string{"default.conf": "3", "team.conf": "2"})
	})
}

func TestAClassThatNoPodHasGoesAfterTheGrace(t *testing.T) {
	c := newCluster(pod("a", "p", "default=hash-1"), pod("a", "q", "team=hash-2"))
	c.classes.all = map[string]string{"default": "1", "team": "2"}
	c.look(t, "a")
	if err := c.Delete(t.Context(), pod("a", "q")); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Minute)
	if again := c.look(t, "a"); again != grace-time.Minute {
		t.Errorf("it looks again after %s, want %s", again, grace-time.Minute)
	}
	c.want(t, "a", map[string]string{"default.conf": "1", "team.conf": "2"})
	c.now = c.now.Add(grace)
	if again := c.look(t, "a"); again != 0 {
		t.Errorf("it looks again after %s", again)
	}
	c.want(t, "a", map[string]string{"default.conf": "1"})
	if n := testutil.CollectAndCount(c.metrics, "holdfast_operator_pods"); n != 2 {
		t.Errorf("%d figures are shown, want those of default alone", n)
	}
}

func TestWhatNoPodNeedsGoesAfterTheGraceWhoeverLeads(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "p", "default=hash-1"))
		c.classes.all["default"] = "1"
		c.look(t, "a")
		if err := c.Delete(t.Context(), pod("a", "p")); err != nil {
			t.Fatal(err)
		}
		next := newClusterOf(kind)
		next.Client, next.Controller.Client, next.Cache, next.Live, next.classes.all = c.Client, c.Client, c.Client, c.Client, c.classes.all
		if again := next.look(t, "a"); again != grace {
			t.Fatalf("a new leader looks again after %s, want %s", again, grace)
		}
		next.want(t, "a", map[string]string{"default.conf": "1"})
		next.now = next.now.Add(grace)
		next.look(t, "a")
		next.want(t, "a", nil)
		if got := next.Remembered(); len(got) > 0 {
			t.Errorf("it remembers %q", got)
		}
	})
}

func TestAForeignObjectIsLeftAlone(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "p", "default=hash-1"), object(kind, "a", map[string]string{"x": "y"}))
		c.classes.all["default"] = "1"
		request := reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}}
		if _, err := c.Reconcile(t.Context(), request); !errors.Is(err, deliver.ErrForeign) || !strings.Contains(err.Error(), "the "+string(kind)+" holdfast-classes of the namespace is not the operator's") {
			t.Errorf("the error is %v", err)
		}
		c.want(t, "a", map[string]string{"x": "y"})
		if got := testutil.ToFloat64(collector(t, c, "holdfast_operator_delivery_failures_total")); got != 1 {
			t.Errorf("%v failures are counted", got)
		}
		if err := c.Delete(t.Context(), pod("a", "p")); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(2 * grace)
		if _, err := c.Reconcile(t.Context(), request); !errors.Is(err, deliver.ErrForeign) {
			t.Errorf("without a pod, the error is %v", err)
		}
		c.want(t, "a", map[string]string{"x": "y"})
	})
}

// collector is one metric of a cluster, summed up.
func collector(t *testing.T, c *cluster, name string) prometheus.Collector {
	t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum.Add(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return sum
}

func TestANamespaceThatGoesIsForgotten(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	terminating := apierrors.NewForbidden(secrets, sidecar.ClassesName, errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, failure := range map[string]error{"terminating": terminating, "gone": apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "a")} {
		c := newCluster(pod("a", "p", "default=hash-1"))
		c.classes.all["default"] = "1"
		c.look(t, "a")
		if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: sidecar.ClassesName}}); err != nil {
			t.Fatal(err)
		}
		c.fail = func(string) error { return failure }
		if again := c.look(t, "a"); again != 0 {
			t.Errorf("%s: it looks again after %s", name, again)
		}
		if got := c.classes.counts["a"]["default"]; got != (deliver.Count{Pods: 1}) {
			t.Errorf("%s: the count is %v", name, got)
		}
		c.fail = nil
		if err := c.Delete(t.Context(), pod("a", "p")); err != nil {
			t.Fatal(err)
		}
		c.fail = func(string) error { return failure }
		c.look(t, "a")
		if got := c.Remembered(); len(got) > 0 || len(c.classes.counts["a"]) > 0 || testutil.CollectAndCount(c.metrics, "holdfast_operator_pods") > 0 {
			t.Errorf("%s: it remembers %q, counts %v", name, got, c.classes.counts)
		}
	}
}

func TestOneNamespaceThatFailsStopsNoOther(t *testing.T) {
	c := newCluster(pod("a", "p", "default=x"), pod("b", "p", "default=x"))
	c.classes.all["default"] = "1"
	c.fail = func(what string) error {
		if what == "secret a" {
			return apierrors.NewInternalError(errors.New("etcd is away"))
		}
		return nil
	}
	if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}}); err == nil || !strings.Contains(err.Error(), "namespace a") {
		t.Errorf("the error is %v", err)
	}
	if len(c.writes) > 0 {
		t.Errorf("pods are stamped with what was not delivered: %q", c.writes)
	}
	c.look(t, "b")
	c.want(t, "b", map[string]string{"default.conf": "1"})
	c.fail = nil
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "1"})
}

func TestOnePodThatCannotBeStampedStopsNoOther(t *testing.T) {
	c := newCluster(pod("a", "p", "default=x"), pod("a", "q", "default=x"), pod("a", "r", "default=x"))
	c.classes.all["default"] = "1"
	pods := schema.GroupResource{Resource: "pods"}
	c.fail = func(what string) error {
		switch what {
		case "pod a/p":
			return apierrors.NewInternalError(errors.New("no"))
		case "pod a/q": // made anew meanwhile
			return apierrors.NewConflict(pods, "q", errors.New("another uid"))
		}
		return nil
	}
	if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	err := c.Follow(t.Context(), "a")
	if err == nil || !strings.Contains(err.Error(), "pod p") || strings.Contains(err.Error(), "pod q") {
		t.Errorf("the error is %v", err)
	}
	if want := []string{"secret a", "pod a/r"}; !slices.Equal(c.writes, want) {
		t.Errorf("the writes are %q, want %q", c.writes, want)
	}
}

func TestClassesThatFitNoObjectTogetherAreAnErrorOfTheNamespace(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "p", "default=x", "team=x"))
		c.classes.all = map[string]string{"default": strings.Repeat("x", 600<<10), "team": strings.Repeat("y", 600<<10)}
		_, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}})
		if !errors.Is(err, deliver.ErrTooLarge) || len(c.events.Events) != 1 || !strings.Contains(err.Error(), "a "+string(kind)+" has at most 1048576 bytes, and they have 1228800 (default.conf 614400, team.conf 614400)") || len(c.writes) > 0 {
			t.Errorf("it writes %q; the error is %v", c.writes, err)
		}
	})
}

func TestWhatSomebodyChangesIsMendedAndWhatIsDeletedComesBack(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("a", "p", "default=hash-1"))
		c.classes.all["default"] = "1"
		c.look(t, "a")
		o := object(kind, "a", map[string]string{"default.conf": "x"})
		o.SetLabels(map[string]string{deliver.ManagedBy: deliver.ManagedByValue})
		if err := c.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		c.look(t, "a")
		c.want(t, "a", map[string]string{"default.conf": "1"})
		if err := c.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		c.look(t, "a")
		c.want(t, "a", map[string]string{"default.conf": "1"})
	})
}

func TestACacheKeepsWhatIsUsed(t *testing.T) {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", UID: "1", ResourceVersion: "2", Finalizers: []string{"x"},
		CreationTimestamp: metav1.Unix(1, 0), DeletionTimestamp: new(metav1.Unix(2, 0)), OwnerReferences: []metav1.OwnerReference{{Name: "no controller"}},
		Labels:      map[string]string{"app": "web", sidecar.InjectedLabel: "true", "class.holdfast.dev/default": "1", deliver.ManagedBy: "x"},
		Annotations: map[string]string{"huge": "x", sidecar.StatusAnnotation: "s", "sidecar.holdfast.dev/classes": "c", sidecar.ConfigAnnotation("telegraf"): "x"}}}
	kept := deliver.Strip(o.DeepCopy()).(*metav1.PartialObjectMetadata)
	want := o.DeepCopy()
	want.Finalizers, want.OwnerReferences = nil, nil
	delete(want.Labels, "app")
	want.Annotations = map[string]string{"sidecar.holdfast.dev/classes": "c"}
	if got, want := fmt.Sprintf("%+v", kept.ObjectMeta), fmt.Sprintf("%+v", want.ObjectMeta); got != want {
		t.Errorf("it keeps %s\nwant %s", got, want)
	}
}

func TestARefusedPodAndItsOwnerAreTold(t *testing.T) {
	young := pod("a", "young")
	young.Labels[sidecar.InjectedLabel] = "false"
	young.Annotations = map[string]string{sidecar.StatusAnnotation: "telegraf: not injected, " + strings.Repeat("é", 1000)}
	young.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "2", Controller: new(true)}}
	old := young.DeepCopy()
	old.Name = "old"
	c := newCluster()
	young.CreationTimestamp, old.CreationTimestamp = metav1.NewTime(c.now.Add(-time.Minute)), metav1.NewTime(c.now.Add(-time.Hour))
	for _, p := range []*corev1.Pod{young, old} {
		if err := c.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"young", "old", "gone"} {
		if _, err := deliver.Notice(c.Controller, t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "a", Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	close(c.events.Events)
	var got []string
	for e := range c.events.Events {
		got = append(got, e)
		if note := strings.TrimPrefix(e, "Warning NoSidecar "); len(note) > 1024 || !strings.Contains(note, "telegraf: not injected") {
			t.Errorf("the event is %q", e)
		}
	}
	if len(got) != 2 {
		t.Errorf("%d events are told, want one on the young pod and one on its owner", len(got))
	}
}

func TestATextThatIsNotUTF8ReachesAConfigMapUnchanged(t *testing.T) {
	c := newClusterOf(sidecar.InConfigMap, pod("a", "p", "default=x", "team=x"))
	c.classes.all = map[string]string{"default": "é", "team": "\xe9"}
	c.look(t, "a")
	m := c.get(t, "a").(*corev1.ConfigMap)
	if !maps.Equal(m.Data, map[string]string{"default.conf": "é"}) || len(m.BinaryData) != 1 || string(m.BinaryData["team.conf"]) != "\xe9" {
		t.Errorf("the data is %q, the binary data %q", m.Data, m.BinaryData)
	}
	c.classes.all = map[string]string{"default": "\xe9", "team": "é"}
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "\xe9", "team.conf": "é"})
	// What is kept from another leader is kept as it is.
	next := newClusterOf(sidecar.InConfigMap)
	next.Client, next.Controller.Client, next.Cache, next.Live, next.classes.all = c.Client, c.Client, c.Client, c.Client, map[string]string{"team": "2"}
	next.look(t, "a")
	next.want(t, "a", map[string]string{"default.conf": "\xe9", "team.conf": "2"})
}

// A pod that was injected before the kind was changed mounts an object that this controller has no right to write.
func TestPodsThatMountTheOtherKindKeepWhatTheyHave(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		other := sidecar.InSecret
		if kind == sidecar.InSecret {
			other = sidecar.InConfigMap
		}
		c := newClusterOf(other, pod("a", "old", "default=hash-1", "team=hash-3"))
		c.classes.all = map[string]string{"default": "1", "team": "3"}
		c.look(t, "a")

		var log bytes.Buffer
		next := newClusterOf(kind)
		next.Client, next.Controller.Client, next.Cache, next.Live = c.Client, c.Client, c.Client, c.Client
		next.Logger, next.classes.all = slog.New(slog.NewTextHandler(&log, nil)), c.classes.all
		fresh := pod("a", "new", "default=hash-1")
		fresh.Labels[sidecar.ClassesInLabel] = string(kind)
		if err := c.Create(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		next.look(t, "a")
		next.classes.all["default"] = "2"
		c.writes = nil
		next.look(t, "a")
		if want := []string{strings.ToLower(string(kind)) + " a", "pod a/new"}; !slices.Equal(c.writes, want) {
			t.Errorf("a change writes %q, want %q", c.writes, want)
		}
		next.want(t, "a", map[string]string{"default.conf": "2"})
		if got := next.classes.counts["a"]; got["default"] != (deliver.Count{Pods: 2, Current: 1}) || got["team"] != (deliver.Count{Pods: 1, Current: 1}) {
			t.Errorf("the counts are %v", got)
		}
		if n := strings.Count(log.String(), "until they are created anew"); n != 1 || !strings.Contains(log.String(), "pods=1") {
			t.Errorf("it is said %d times: %s", n, &log)
		}
		next.now = next.now.Add(2 * grace)
		next.look(t, "a")
		c.want(t, "a", map[string]string{"default.conf": "1", "team.conf": "3"})
	})
}

// Was: the labels of a pod that no webhook had seen brought the text of any class to any namespace (seen by running it).
func TestLabelsBringNoTextToANamespaceOutOfScope(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("shop", "p", "default=x"), pod("closed", "thief", "secret=x"))
		c.classes.all = map[string]string{"default": "text", "secret": "password"}
		c.out = "closed"
		c.look(t, "shop")
		if got := c.delivered(t, "shop"); got["default.conf"] != "text" {
			t.Errorf("a namespace in scope has %q", got)
		}
		again := c.look(t, "closed")
		if got := c.delivered(t, "closed"); got != nil || len(c.writes) > 0 {
			t.Errorf("one out of scope has %q, and there were the writes %q", got, c.writes)
		}
		if told := <-c.events.Events; !strings.Contains(told, "NotDelivered") || !strings.Contains(told, "does not select") {
			t.Errorf("the pod is told %q", told)
		}
		if again <= 0 {
			t.Error("it is not looked at again")
		}
		c.out = ""
		if c.look(t, "closed"); c.delivered(t, "closed")["secret.conf"] != "password" {
			t.Error("nothing is delivered to it once it is in scope")
		}
	})
}

func TestNamespaceThatWentOutOfScopeKeepsWhatItHasWhileItIsNeeded(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		p := pod("shop", "p", "default=x")
		c := newClusterOf(kind, p)
		c.classes.all = map[string]string{"default": "old", "secret": "password"}
		c.look(t, "shop")
		c.out = "shop"
		c.classes.all["default"] = "new"
		thief := pod("shop", "thief", "secret=x")
		thief.Labels[sidecar.ClassesInLabel] = p.Labels[sidecar.ClassesInLabel]
		if err := c.Create(t.Context(), thief); err != nil {
			t.Fatal(err)
		}
		c.look(t, "shop")
		if got := c.delivered(t, "shop"); len(got) != 1 || got["default.conf"] != "old" {
			t.Errorf("it has %q", got)
		}
		for _, o := range []client.Object{p, thief} {
			if err := c.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		c.look(t, "shop")
		c.now = c.now.Add(grace + time.Second)
		if c.look(t, "shop"); c.delivered(t, "shop") != nil {
			t.Error("it stays although no pod needs it")
		}
	})
}

func TestGrantedClassAloneReachesANamespaceOutOfScope(t *testing.T) {
	ofEachKind(t, func(t *testing.T, kind sidecar.ClassesObject) {
		c := newClusterOf(kind, pod("nodes", "agent", "default=x"), pod("nodes", "thief", "secret=x"))
		c.classes.all = map[string]string{"default": "text", "secret": "password"}
		c.out, c.granted = "nodes", "default"
		for _, text := range []string{"text", "newer"} {
			c.classes.all["default"] = text
			c.look(t, "nodes")
			if got := c.delivered(t, "nodes"); len(got) != 1 || got["default.conf"] != text {
				t.Errorf("it has %q, want the text %q of its class alone", got, text)
			}
		}
	})
}

// Was: an edit that came between reading and writing was told of twice, or said to be followed although nothing was written.
func TestAnEditIsToldOfOnceItsPodWasWritten(t *testing.T) {
	p := pod("a", "p")
	p.Annotations = map[string]string{"telegraf.influxdata.com/port": "no number", sidecar.SourceAnnotation: "before"}
	c := newCluster(p)
	c.Builder = &sidecar.Builder{Native: func() bool { return true }}
	follow := func() []string {
		t.Helper()
		if _, err := deliver.FollowAnnotations(c.Controller, t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)}); err != nil {
			t.Fatal(err)
		}
		var told []string
		for len(c.events.Events) > 0 {
			told = append(told, <-c.events.Events)
		}
		return told
	}
	c.fail = func(string) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "p", errors.New("it was edited"))
	}
	if told := follow(); len(told) > 0 {
		t.Errorf("nothing was written, and it is told %q", told)
	}
	c.fail = nil
	if told := follow(); len(told) != 1 || !strings.Contains(told[0], "AnnotationsNotFollowed") {
		t.Errorf("it was written, and is told %q", told)
	}
}
