package class_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

func TestTheNearestClassWins(t *testing.T) {
	resources, dir := newHand(class.KindTelegrafClass, class.KindClusterTelegrafClass), newHand(class.KindDirectory)
	r := start(t, class.Options{}, resources, dir)
	dir.reports <- map[class.Key]class.Raw{folder("a"): raw(output("folder")), folder("b"): raw(output("folder")), folder("c"): raw(output("folder"))}
	resources.reports <- map[class.Key]class.Raw{inNamespace("x", "a"): raw(output("namespace")), cluster("a"): raw(output("cluster")), cluster("b"): raw(output("cluster"))}
	<-r.Synced()
	for _, test := range []struct{ namespace, name, want string }{
		{"x", "a", "namespace"}, {"y", "a", "cluster"}, {"x", "b", "cluster"}, {"x", "c", "folder"},
	} {
		if got := text(r, test.namespace, test.name); got != output(test.want) {
			t.Errorf("%s in %s is %q, want that of the %s", test.name, test.namespace, got, test.want)
		}
	}
}

func TestARefusedTextReplacesNothing(t *testing.T) {
	source, reg := newHand(class.KindClusterTelegrafClass), prometheus.NewRegistry()
	o := withAgent(&fakeAgent{answer: refuseBad})
	o.Registerer = reg
	r := start(t, o, source)
	source.reports <- map[class.Key]class.Raw{cluster("a"): {Text: []byte(output("1")), Sidecar: v1alpha1.SidecarSpec{Image: "one"}}}
	<-r.Synced()
	for _, test := range []struct {
		text string
		want class.Reason
	}{{output("bad"), class.ReasonRefusedByAgent}, {"[agent", class.ReasonSyntaxError}} {
		source.reports <- map[class.Key]class.Raw{cluster("a"): {Text: []byte(test.text), Sidecar: v1alpha1.SidecarSpec{Image: "two"}}}
		eventually(t, "the text is refused", func() bool { return reason(r, cluster("a")) == test.want })
		c, err := r.Resolve("x", "a")
		if err != nil || string(c.Text) != output("1") || c.Sidecar.Image != "one" {
			t.Errorf("the class in use is %+v, %v; want the last good text with its settings", c, err)
		}
		v, _ := r.Verdict(cluster("a"))
		if v.Valid || v.Hash != class.Hash([]byte(test.text)) || v.InUse != c.Hash || v.Message == "" {
			t.Errorf("the verdict is %+v", v)
		}
	}
	want := "# HELP holdfast_operator_classes Classes, by whether their newest text is valid.\n# TYPE holdfast_operator_classes gauge\n" +
		"holdfast_operator_classes{valid=\"false\"} 1\nholdfast_operator_classes{valid=\"true\"} 0\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "holdfast_operator_classes"); err != nil {
		t.Error(err)
	}
	source.reports <- map[class.Key]class.Raw{cluster("a"): raw(output("2"))}
	eventually(t, "the next good text is in use", func() bool { return text(r, "x", "a") == output("2") })
}

func TestOneBadClassNeverStopsTheOthers(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, withAgent(&fakeAgent{answer: func(text string) error {
		if strings.Contains(text, "hang") {
			return errors.New("no answer within 20s")
		}
		return refuseBad(text)
	}}), source)
	all := map[class.Key]class.Raw{
		folder("a-syntax"): raw("[agent"), folder("b-agent"): raw(output("bad")), folder("c-unreadable"): {Err: errors.New("permission denied")},
		folder("../d"): raw(output("d")), folder("e-hangs"): raw(output("hang")), folder("f-binary"): raw("\x00"), folder("g-good"): raw(output("g")),
	}
	source.reports <- all
	<-r.Synced()
	if got := text(r, "x", "g-good"); got != output("g") {
		t.Errorf("the good class is %q", got)
	}
	var reasons []string
	for _, v := range r.Verdicts() {
		reasons = append(reasons, v.Key.Name+" "+string(v.Reason))
	}
	want := []string{"../d InvalidName", "a-syntax SyntaxError", "b-agent RefusedByAgent", "c-unreadable Unreadable", "e-hangs NotChecked", "f-binary SyntaxError", "g-good Accepted"}
	if !slices.Equal(reasons, want) {
		t.Errorf("the verdicts are %q, want %q", reasons, want)
	}
}

func TestTheErrorOfResolveSaysWhatToDo(t *testing.T) {
	source := newHand(class.KindTelegrafClass, class.KindClusterTelegrafClass)
	r := start(t, class.Options{}, source)
	if _, err := r.Resolve("x", "infra"); err == nil || !strings.Contains(err.Error(), "there are no classes") {
		t.Errorf("without classes: %v", err)
	}
	all := map[class.Key]class.Raw{inNamespace("y", "secret-name"): raw(""), cluster("broken"): raw("[agent"), inNamespace("x", "infra"): raw(output("1"))}
	for i := range 12 {
		all[cluster(fmt.Sprintf("zone-%02d", i))] = raw("")
	}
	source.reports <- all
	<-r.Synced()
	for _, test := range []struct {
		name    string
		problem class.Problem
		want    string
	}{
		{"infar", class.ProblemUnknown, "there is no class infar for namespace x; did you mean infra? Known: broken, infra, zone-00"},
		{"zone-99", class.ProblemUnknown, "and 4 more"},
		{"secret-name", class.ProblemUnknown, "there is no class secret-name for namespace x; known:"},
		{"broken", class.ProblemNeverValid, "has no valid text yet: broken.conf:1: invalid TOML syntax"},
		{"../../etc/passwd", class.ProblemInvalidName, "give the name of the class alone, not a path"},
	} {
		_, err := r.Resolve("x", test.name)
		var re *class.ResolveError
		if !errors.As(err, &re) || re.Problem != test.problem || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the error of %s is %v, want %s with %q", test.name, err, test.problem, test.want)
		}
		if err != nil && test.name != "secret-name" && strings.Contains(err.Error(), "secret-name") {
			t.Errorf("the error of %s names another namespace's class: %v", test.name, err)
		}
	}
}

func TestAnInvalidClassOfTheNamespaceHidesTheClustersForNewPodsOnly(t *testing.T) {
	source := newHand(class.KindTelegrafClass, class.KindClusterTelegrafClass)
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{inNamespace("x", "a"): raw("[agent"), cluster("a"): raw(output("cluster"))}
	<-r.Synced()
	if c, err := r.Resolve("x", "a"); err == nil {
		t.Errorf("new pods get %q", c.Text)
	}
	if c, err := r.Delivered("x", "a"); err != nil || string(c.Text) != output("cluster") {
		t.Errorf("running pods get %v, %v", c, err)
	}
}

func TestAClassThatIsGoneIsKeptForRunningPodsUntilItIsForgotten(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, class.Options{}, source)
	var mu sync.Mutex
	var changes []class.Key
	cancel := r.Subscribe(func(keys []class.Key) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, keys...)
	})
	defer cancel()
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1")), folder("never"): raw("[agent")}
	<-r.Synced()
	source.reports <- map[class.Key]class.Raw{}
	eventually(t, "the class is unknown", func() bool { _, err := r.Resolve("x", "a"); return err != nil })
	if c, err := r.Delivered("x", "a"); err != nil || string(c.Text) != output("1") {
		t.Errorf("running pods get %v, %v", c, err)
	}
	if got := r.Retained(); !slices.Equal(got, []class.Key{folder("a")}) {
		t.Errorf("kept are %v", got)
	}
	r.Forget(folder("a"))
	eventually(t, "the class is forgotten", func() bool { _, err := r.Delivered("x", "a"); return err != nil })
	mu.Lock()
	defer mu.Unlock()
	if want := []class.Key{folder("a"), folder("never"), folder("a"), folder("never"), folder("a")}; !slices.Equal(changes, want) {
		t.Errorf("the changes told are %v, want %v", changes, want)
	}
}

func TestForgettingAClassThatIsThereDoesNothing(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1"))}
	<-r.Synced()
	r.Forget(folder("a"))
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1")), folder("b"): raw("")}
	eventually(t, "the next report is taken", func() bool { return reason(r, folder("b")) != "" })
	if got := text(r, "x", "a"); got != output("1") {
		t.Errorf("the class is %q", got)
	}
}

func TestAStormOfChangesIsCheckedOnce(t *testing.T) {
	source, fake, hold, asked := newHand(class.KindDirectory), &fakeAgent{}, make(chan struct{}), make(chan struct{})
	fake.set(func(text string) error {
		if strings.Contains(text, "first") {
			close(asked)
			<-hold
		}
		return nil
	})
	r := start(t, withAgent(fake), source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("first"))}
	<-asked
	for i := range 500 {
		source.reports <- map[class.Key]class.Raw{folder("a"): raw(output(fmt.Sprint(i)))}
	}
	close(hold)
	eventually(t, "the newest text is in use", func() bool { return text(r, "x", "a") == output("499") })
	if n := fake.count(); n > 3 { // the first text, the last, and the one before it if the last came a moment later
		t.Errorf("the agent was asked %d times", n)
	}
}

func TestAnUnchangedClassIsNotCheckedAgain(t *testing.T) {
	source, fake := newHand(class.KindDirectory), &fakeAgent{}
	r := start(t, withAgent(fake), source)
	for i := range 5 {
		source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1")), folder(fmt.Sprint("b", i)): raw("")}
		eventually(t, "the report is taken", func() bool { return reason(r, folder(fmt.Sprint("b", i))) == class.ReasonAccepted })
	}
	if n := fake.count(); n != 6 { // a, and each b
		t.Errorf("the agent was asked %d times", n)
	}
}

func TestTheSameTextIsInMemoryOnce(t *testing.T) {
	source := newHand(class.KindTelegrafClass)
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{inNamespace("x", "a"): raw(output("1")), inNamespace("y", "a"): raw(output("1"))}
	<-r.Synced()
	one, _ := r.Resolve("x", "a")
	two, _ := r.Resolve("y", "a")
	if one == two || &one.Text[0] != &two.Text[0] {
		t.Error("two classes of the same text have it twice")
	}
}

func TestAResourceMadeAnewInheritsNothing(t *testing.T) {
	source := newHand(class.KindTelegrafClass)
	r := start(t, class.Options{}, source)
	at := func(uid, text string) map[class.Key]class.Raw {
		return map[class.Key]class.Raw{inNamespace("x", "a"): {Text: []byte(text), Object: &corev1.ObjectReference{UID: types.UID(uid)}}}
	}
	source.reports <- at("1", output("token"))
	<-r.Synced()
	source.reports <- at("2", "[agent")
	eventually(t, "the new text is refused", func() bool { return reason(r, inNamespace("x", "a")) == class.ReasonSyntaxError })
	if c, err := r.Delivered("x", "a"); err == nil {
		t.Errorf("another's class has the text %q", c.Text)
	}
}

func TestAClassOfTheOtherAgentIsNotAskedOfThisOne(t *testing.T) {
	source := newHand(class.KindClusterTelegrafClass)
	fake := &fakeAgent{answer: func(string) error { return &agent.Refusal{Message: "undefined input journal"} }}
	r := start(t, withAgent(fake), source)
	source.reports <- map[class.Key]class.Raw{
		cluster("a"): {Text: []byte(output("1")), Sidecar: v1alpha1.SidecarSpec{Agent: v1alpha1.AgentHoldfast}},
		cluster("b"): raw("[journal]\n"),
		cluster("c"): {Text: []byte("[journal]\n"), Sidecar: v1alpha1.SidecarSpec{Agent: v1alpha1.AgentTelegraf}},
	}
	<-r.Synced()
	if a, b, c := reason(r, cluster("a")), reason(r, cluster("b")), reason(r, cluster("c")); a != class.ReasonNotChecked || b != class.ReasonNotChecked || c != class.ReasonSyntaxError {
		t.Errorf("the verdicts are %s, %s and %s", a, b, c)
	}
	if v, _ := r.Verdict(cluster("a")); !v.Valid || !strings.Contains(v.Message, "no checker of the agent holdfast") {
		t.Errorf("the verdict is %+v", v)
	}
}

func TestAnEmptyClassIsWarnedAbout(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, class.Options{}, source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw("# nothing\n")}
	<-r.Synced()
	if v, _ := r.Verdict(folder("a")); !v.Valid || !strings.Contains(v.Warning, "no plugin") {
		t.Errorf("the verdict is %+v", v)
	}
}

func TestResolveIsSafeBesideChanges(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, class.Options{}, source)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if c, err := r.Resolve("x", "a"); err == nil && c.Hash != class.Hash(c.Text) {
					t.Error("a class with another's hash")
				}
				r.Verdicts()
			}
		})
	}
	for i := range 200 {
		source.reports <- map[class.Key]class.Raw{folder("a"): raw(output(fmt.Sprint(i)))}
	}
	close(done)
	readers.Wait()
}
