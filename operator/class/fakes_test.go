package class_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// hand is a source whose reports the test gives.
type hand struct {
	kinds   []class.Kind
	reports chan map[class.Key]class.Raw
}

func newHand(kinds ...class.Kind) *hand {
	return &hand{kinds: kinds, reports: make(chan map[class.Key]class.Raw)}
}

func (h *hand) Kinds() []class.Kind { return h.kinds }

func (h *hand) Run(ctx context.Context, report func(map[class.Key]class.Raw)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case all := <-h.reports:
			report(all)
		}
	}
}

// fakeAgent answers checks by a function that the test may change.
type fakeAgent struct {
	mu     sync.Mutex
	answer func(text string) error
	asked  int
}

func (f *fakeAgent) Check(_ context.Context, files []agent.File) error {
	f.mu.Lock()
	f.asked++
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(string(files[0].Text))
}

// count is how often it was asked.
func (f *fakeAgent) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeAgent) set(answer func(text string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// refuseBad refuses texts that have the word bad in them.
func refuseBad(text string) error {
	if strings.Contains(text, "bad") {
		return &agent.Refusal{File: "x.conf", Message: "no such plugin"}
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start runs a registry until the test ends.
func start(t *testing.T, o class.Options, sources ...class.Source) *class.Registry {
	t.Helper()
	r := class.NewRegistry(o, sources...)
	run(t, r)
	return r
}

func run(t *testing.T, r *class.Registry) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the registry ended with %v", err)
		}
	})
}

func withAgent(a agent.Checker) class.Options {
	return class.Options{Checkers: map[v1alpha1.Agent]agent.Checker{v1alpha1.AgentTelegraf: a}, RetryMin: 10 * time.Millisecond, RetryMax: 20 * time.Millisecond}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func cluster(name string) class.Key {
	return class.Key{Kind: class.KindClusterTelegrafClass, Name: name}
}

func inNamespace(namespace, name string) class.Key {
	return class.Key{Kind: class.KindTelegrafClass, Namespace: namespace, Name: name}
}

func folder(name string) class.Key { return class.Key{Kind: class.KindDirectory, Name: name} }

func output(file string) string { return "[[outputs.file]]\n  files = [\"" + file + "\"]\n" }

func raw(text string) class.Raw { return class.Raw{Text: []byte(text)} }

// text is that of the class that a name resolves to, or the error's.
func text(r *class.Registry, namespace, name string) string {
	c, err := r.Resolve(namespace, name)
	if err != nil {
		return err.Error()
	}
	return string(c.Text)
}

func reason(r *class.Registry, key class.Key) class.Reason {
	v, _ := r.Verdict(key)
	return v.Reason
}
