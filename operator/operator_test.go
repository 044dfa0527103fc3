package operator

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/version"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/deliver"
)

// server answers with a version.
type server version.Info

func (s server) ServerVersion() (*version.Info, error) { v := version.Info(s); return &v, nil }

func TestNativeSidecarsAreKnownByTheServersVersion(t *testing.T) {
	for v, want := range map[server]bool{{Major: "1", Minor: "28"}: false, {Major: "1", Minor: "29"}: true, {Major: "1", Minor: "30+"}: true, {Major: "2", Minor: "0"}: true} {
		n := &nativeSidecars{client: v, logger: slog.New(slog.DiscardHandler)}
		if err := n.look(); err != nil || n.known() != want {
			t.Errorf("%v: %v, %v", v, n.known(), err)
		}
	}
	n := &nativeSidecars{client: server{Major: "1", Minor: "x", GitVersion: "v1.x"}, logger: slog.New(slog.DiscardHandler)}
	if err := n.look(); err == nil {
		t.Error("a version that is no number is no error")
	}
}

func TestChangesAreHandedOnOnceForEachNamespace(t *testing.T) {
	c := newChanges()
	for range 100 {
		c.note("a")
		c.note("b")
	}
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- c.run(ctx) }()
	got := []string{(<-c.out).Object.GetNamespace(), (<-c.out).Object.GetNamespace()}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("it hands on %q", got)
	}
	c.note("")
	if got := (<-c.out).Object.GetNamespace(); got != "" {
		t.Errorf("it hands on %q, want all", got)
	}
}

func TestFiguresOfNamespacesAreSummedUp(t *testing.T) {
	registry := class.NewRegistry(class.Options{Registerer: prometheus.NewRegistry()})
	key := class.Key{Kind: class.KindClusterTelegrafClass, Name: "default"}
	registry.Load(map[class.Key]class.Good{key: {Text: []byte("[[outputs.discard]]"), Sure: true}})
	sums := map[class.Key]class.Usage{}
	d := &delivery{registry: registry, report: func(key class.Key, u class.Usage) { sums[key] = u }, namespaces: map[string]map[class.Key]deliver.Count{}}
	if text, ok := d.Text("a", "default"); !ok || text.Hash != class.Hash([]byte("[[outputs.discard]]")) {
		t.Errorf("the text is %+v, %v", text, ok)
	}
	if _, ok := d.Text("a", "none"); ok {
		t.Error("a class that is not there has a text")
	}
	d.Report("a", map[string]deliver.Count{"default": {Pods: 3, Current: 2}, "none": {Pods: 1}})
	d.Report("b", map[string]deliver.Count{"default": {Pods: 1, Current: 1}})
	if want := (class.Usage{Namespaces: 2, Pods: 4, CurrentPods: 3}); sums[key] != want {
		t.Errorf("the sum is %+v, want %+v", sums[key], want)
	}
	d.Report("a", nil)
	d.Report("b", nil)
	if sums[key] != (class.Usage{}) || len(d.namespaces) > 0 {
		t.Errorf("the sum is %+v", sums[key])
	}
}

// folder is a source of classes that says what it is told to.
type folder struct{ classes chan map[class.Key]class.Raw }

func (f folder) Kinds() []class.Kind { return []class.Kind{class.KindDirectory} }

func (f folder) Run(ctx context.Context, report func(map[class.Key]class.Raw)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case all := <-f.classes:
			report(all)
		}
	}
}

func TestAClassThatIsGoneIsForgottenWhenNoPodHasHadItForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := folder{make(chan map[class.Key]class.Raw)}
		registry := class.NewRegistry(class.Options{Registerer: prometheus.NewRegistry()}, source)
		d := &delivery{registry: registry, report: func(class.Key, class.Usage) {}, namespaces: map[string]map[class.Key]deliver.Count{}}
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); running.Wait() }()
		running.Go(func() { _ = registry.Run(ctx) })
		running.Go(func() { _ = d.forgetUnused(ctx) })
		unused, used := class.Key{Kind: class.KindDirectory, Name: "unused"}, class.Key{Kind: class.KindDirectory, Name: "used"}
		text := class.Raw{Text: []byte("[[outputs.discard]]\n")}
		source.classes <- map[class.Key]class.Raw{unused: text, used: text}
		synctest.Wait()
		source.classes <- map[class.Key]class.Raw{}
		synctest.Wait()
		d.Report("a", map[string]deliver.Count{"used": {Pods: 1}})
		for _, c := range []struct {
			after time.Duration
			want  []class.Key
		}{
			{deliver.DefaultGrace / 2, []class.Key{unused, used}},
			{deliver.DefaultGrace, []class.Key{unused, used}},
			{deliver.DefaultGrace, []class.Key{used}},
			{3 * deliver.DefaultGrace, []class.Key{used}},
		} {
			time.Sleep(c.after)
			synctest.Wait()
			if got := registry.Retained(); !slices.Equal(got, c.want) {
				t.Errorf("after another %s there are %v, want %v", c.after, got, c.want)
			}
		}
		d.Report("a", nil)
		synctest.Wait()
		if got := registry.Good(); len(got) > 0 {
			t.Errorf("when its last pod has gone there is %v", got)
		}
	})
}

// silent is a checker that answers when it is let.
type silent struct{ let chan struct{} }

func (s silent) Check(ctx context.Context, _ []agent.File) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.let:
		return nil
	}
}

func TestReadinessWaitsForTheClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, checker := folder{make(chan map[class.Key]class.Raw)}, silent{make(chan struct{})}
		registry := class.NewRegistry(class.Options{Registerer: prometheus.NewRegistry(), Checkers: map[v1alpha1.Agent]agent.Checker{v1alpha1.AgentTelegraf: checker}}, source)
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); running.Wait() }()
		running.Go(func() { _ = registry.Run(ctx) })
		ready := known(registry)
		for _, c := range []struct {
			when string
			do   func()
			want bool
		}{
			{"before the source has said anything", func() {}, false},
			{"before the agent has answered", func() {
				source.classes <- map[class.Key]class.Raw{{Kind: class.KindDirectory, Name: "a"}: {Text: []byte("[[outputs.discard]]\n")}}
			}, false},
			{"after it has", func() { close(checker.let) }, true},
		} {
			c.do()
			synctest.Wait()
			if err := ready(nil); (err == nil) != c.want {
				t.Errorf("%s: %v", c.when, err)
			}
		}
	})
}

func TestCheckersArePlaces(t *testing.T) {
	all := checkers(map[v1alpha1.Agent]string{v1alpha1.AgentTelegraf: "unix:/run/checker", v1alpha1.AgentHoldfast: ""})
	if len(all) != 1 || all[v1alpha1.AgentTelegraf] == nil {
		t.Errorf("the checkers are %v", all)
	}
}
