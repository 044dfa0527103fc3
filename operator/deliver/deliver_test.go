package deliver_test

import (
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
	counts map[string]map[string]deliver.Count
}

func (c *texts) Text(_, class string) (deliver.Text, bool) {
	text, ok := c.all[class]
	return deliver.Text{Text: []byte(text), Hash: "hash-" + text}, ok
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
}

func newCluster(objects ...client.Object) *cluster {
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
			named := o.(interface{ GetNamespace() *string })
			if err := write("secret", *named.GetNamespace()); err != nil {
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
	c.Controller = &deliver.Controller{Client: c.Client, Cache: c.Client, Live: c.Client, Classes: c.classes, Recorder: c.events, Logger: slog.New(slog.DiscardHandler),
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

// delivered is the data of a namespace's Secret; nil without one.
func (c *cluster) delivered(t *testing.T, namespace string) map[string]string {
	t.Helper()
	secret := &corev1.Secret{}
	err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: sidecar.ClassesSecret}, secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for key, text := range secret.Data {
		all[key] = string(text)
	}
	return all
}

func (c *cluster) want(t *testing.T, namespace string, files map[string]string) {
	t.Helper()
	if got := c.delivered(t, namespace); !maps.Equal(got, files) || (got == nil) != (files == nil) {
		t.Errorf("namespace %s has %v, want %v", namespace, got, files)
	}
}

func TestClassesAreDeliveredAndStamped(t *testing.T) {
	c := newCluster(pod("a", "old", "default=old"), pod("a", "new", "default=hash-1", "team=x"), pod("b", "other", "team=hash-2"))
	c.classes.all = map[string]string{"default": "1", "team": "2", "unused": "3"}
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "1", "team.conf": "2"})
	c.want(t, "b", nil)
	if want := []string{"secret a", "pod a/new", "pod a/old"}; !slices.Equal(c.writes, want) {
		t.Errorf("the writes are %q, want %q", c.writes, want)
	}
	p := &corev1.Pod{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "old"}, p); err != nil || p.Labels["class.holdfast.dev/default"] != "hash-1" {
		t.Errorf("%v; the labels are %v", err, p.Labels)
	}
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: sidecar.ClassesSecret}, secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.OwnerReferences) != 1 || secret.Labels[deliver.ManagedBy] != deliver.ManagedByValue || secret.Annotations["sidecar.holdfast.dev/classes"] != "default=hash-1,team=hash-2" {
		t.Errorf("the Secret is %+v", secret.ObjectMeta)
	}
	if got := c.classes.counts["a"]; got["default"] != (deliver.Count{Pods: 2, Current: 2}) || got["team"] != (deliver.Count{Pods: 1, Current: 1}) {
		t.Errorf("the counts are %v", got)
	}
	if again := c.look(t, "a"); again != 0 || len(c.writes) > 0 {
		t.Errorf("a second look writes %q, and asks for another after %s", c.writes, again)
	}
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
	c := newCluster(pod("a", "p", "default=hash-1", "team=hash-2"))
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
	next := newCluster()
	next.Client, next.Controller.Client, next.Cache, next.Live, next.classes.all = c.Client, c.Client, c.Client, c.Client, c.classes.all
	next.look(t, "a")
	next.want(t, "a", map[string]string{"default.conf": "3", "team.conf": "2"})
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

func TestASecretThatNoPodNeedsGoesAfterTheGraceWhoeverLeads(t *testing.T) {
	c := newCluster(pod("a", "p", "default=hash-1"))
	c.classes.all["default"] = "1"
	c.look(t, "a")
	if err := c.Delete(t.Context(), pod("a", "p")); err != nil {
		t.Fatal(err)
	}
	next := newCluster()
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
}

func TestAForeignSecretIsLeftAlone(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: sidecar.ClassesSecret}, Data: map[string][]byte{"x": []byte("y")}}
	c := newCluster(pod("a", "p", "default=hash-1"), secret)
	c.classes.all["default"] = "1"
	request := reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}}
	if _, err := c.Reconcile(t.Context(), request); !errors.Is(err, deliver.ErrForeignSecret) {
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
	if _, err := c.Reconcile(t.Context(), request); !errors.Is(err, deliver.ErrForeignSecret) {
		t.Errorf("without a pod, the error is %v", err)
	}
	c.want(t, "a", map[string]string{"x": "y"})
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
	terminating := apierrors.NewForbidden(secrets, sidecar.ClassesSecret, errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, failure := range map[string]error{"terminating": terminating, "gone": apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "a")} {
		c := newCluster(pod("a", "p", "default=hash-1"))
		c.classes.all["default"] = "1"
		c.look(t, "a")
		if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: sidecar.ClassesSecret}}); err != nil {
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

func TestClassesThatFitNoSecretTogetherAreAnErrorOfTheNamespace(t *testing.T) {
	c := newCluster(pod("a", "p", "default=x", "team=x"))
	c.classes.all = map[string]string{"default": strings.Repeat("x", 600<<10), "team": strings.Repeat("y", 600<<10)}
	_, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "a"}})
	if !errors.Is(err, deliver.ErrTooLarge) || len(c.events.Events) != 1 || !strings.Contains(err.Error(), "default.conf 614400, team.conf 614400") || len(c.writes) > 0 {
		t.Errorf("it writes %q; the error is %v", c.writes, err)
	}
}

func TestASecretThatSomebodyChangesIsMendedAndOneThatIsDeletedComesBack(t *testing.T) {
	c := newCluster(pod("a", "p", "default=hash-1"))
	c.classes.all["default"] = "1"
	c.look(t, "a")
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: sidecar.ClassesSecret}, secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["default.conf"] = []byte("x")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "1"})
	if err := c.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.look(t, "a")
	c.want(t, "a", map[string]string{"default.conf": "1"})
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
