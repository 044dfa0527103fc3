package class_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// events are those that were made, as "KIND NAME TYPE REASON MESSAGE".
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) Event(object runtime.Object, eventtype, reason, message string) {
	ref := object.(*corev1.ObjectReference)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprint(ref.Kind, " ", ref.Name, " ", eventtype, " ", reason, " ", message))
}

func (e *events) list() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// report runs a reporter until the test ends or stop.
func report(t *testing.T, r *class.Registry, c client.Client) (*class.Reporter, *events, func()) {
	t.Helper()
	var e events
	reporter := class.NewReporter(r, c, &e, quiet())
	reporter.Interval = time.Millisecond
	reporter.ClassesObject = &corev1.ObjectReference{Kind: "Secret", Name: "classes", Namespace: ownNamespace}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- reporter.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return reporter, &e, stop
}

func ofResource(o client.Object, text string, generation int64) class.Raw {
	return class.Raw{Text: []byte(text), Generation: generation, Object: &corev1.ObjectReference{Kind: "ClusterTelegrafClass", Name: o.GetName(), UID: o.GetUID()}}
}

func statusOf(t *testing.T, c client.Client, name string) (v1alpha1.ClassStatus, metav1.Condition) {
	t.Helper()
	var object v1alpha1.ClusterTelegrafClass
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &object); err != nil {
		t.Fatal(err)
	}
	condition := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionValid)
	if condition == nil {
		return object.Status, metav1.Condition{}
	}
	return object.Status, *condition
}

func TestTheAuthorOfAResourceIsToldOncePerChange(t *testing.T) {
	source, object := newHand(class.KindClusterTelegrafClass), wide("a", "")
	c := newObjects(t, object)
	r := start(t, withAgent(&fakeAgent{answer: refuseBad}), source)
	_, made, stop := report(t, r, c)
	source.reports <- map[class.Key]class.Raw{cluster("a"): ofResource(object, output("1"), 1)}
	good := class.Hash([]byte(output("1")))
	eventually(t, "the class is said to be valid", func() bool { _, v := statusOf(t, c, "a"); return v.Status == metav1.ConditionTrue })
	if s, v := statusOf(t, c, "a"); s.Hash != good || s.ObservedGeneration != 1 || v.Reason != "Accepted" || v.ObservedGeneration != 1 {
		t.Errorf("the status is %+v", s)
	}
	source.reports <- map[class.Key]class.Raw{cluster("a"): ofResource(object, output("bad"), 2)}
	eventually(t, "the class is said to be refused", func() bool { _, v := statusOf(t, c, "a"); return v.Status == metav1.ConditionFalse })
	s, v := statusOf(t, c, "a")
	if s.Hash != good || s.ObservedGeneration != 2 || v.Reason != "RefusedByAgent" || !strings.Contains(v.Message, "no such plugin; the last good text "+good+" stays in use") {
		t.Errorf("the status is %+v", s)
	}
	eventually(t, "there are two events", func() bool { return len(made.list()) >= 2 })
	stop()
	want := []string{
		"ClusterTelegrafClass a Normal Accepted the text " + good + " is in use; the agent accepts it",
		"ClusterTelegrafClass a Warning RefusedByAgent x.conf: no such plugin; the last good text " + good + " stays in use",
	}
	if got := made.list(); !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}

	reporter, again, stop := report(t, r, c) // of the next leader
	reporter.SetUsage(cluster("a"), class.Usage{Pods: 1})
	eventually(t, "it is at work", func() bool { s, _ := statusOf(t, c, "a"); return s.Pods == 1 })
	stop()
	if got := again.list(); len(got) != 0 {
		t.Errorf("the next leader says again %q", got)
	}
}

func TestAClassThatIsNoResourceIsTalkedAboutOnTheSecret(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{folder("good"): raw(output("1")), folder("broken"): raw("[agent")}
	<-r.Synced()
	_, made, stop := report(t, r, newObjects(t))
	eventually(t, "there is an event", func() bool { return len(made.list()) > 0 })
	source.reports <- map[class.Key]class.Raw{folder("good"): raw(output("2")), folder("broken"): raw("[agent")}
	eventually(t, "there is another", func() bool { return len(made.list()) > 1 })
	stop()
	want := []string{
		"Secret classes Warning SyntaxError class broken: broken.conf:1: invalid TOML syntax; there is no good text yet",
		"Secret classes Normal Accepted class good: the text " + class.Hash([]byte(output("2"))) + " is in use; it passed the built-in check",
	}
	if got := made.list(); !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

// patches counts the writes to a cluster.
type patches struct {
	client.Client
	mu sync.Mutex
	n  int
}

func (p *patches) Status() client.SubResourceWriter { return countingWriter{p.Client.Status(), p} }

type countingWriter struct {
	client.SubResourceWriter
	count *patches
}

func (w countingWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	w.count.mu.Lock()
	w.count.n++
	w.count.mu.Unlock()
	return w.SubResourceWriter.Patch(ctx, obj, patch, opts...)
}

func TestNumbersAreWrittenAtMostEveryIntervalAndOnlyWhenTheyDiffer(t *testing.T) {
	source, object := newHand(class.KindClusterTelegrafClass), wide("a", "")
	c := &patches{Client: newObjects(t, object)}
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{cluster("a"): ofResource(object, output("1"), 1)}
	<-r.Synced()
	reporter := class.NewReporter(r, c, &events{}, quiet())
	reporter.Interval = 200 * time.Millisecond
	background(t, func() error { return reporter.Run(t.Context()) })
	begin := time.Now()
	for i := range int32(100) {
		reporter.SetUsage(cluster("a"), class.Usage{Namespaces: 1, Pods: 100, CurrentPods: i + 1})
		time.Sleep(time.Millisecond)
	}
	eventually(t, "the last numbers are written", func() bool { s, _ := statusOf(t, c, "a"); return s.CurrentPods == 100 })
	most := int(time.Since(begin)/reporter.Interval) + 2
	reporter.SetUsage(cluster("a"), class.Usage{Namespaces: 1, Pods: 100, CurrentPods: 100})
	time.Sleep(2 * reporter.Interval)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n > most {
		t.Errorf("%d writes, want at most %d", c.n, most)
	}
}
