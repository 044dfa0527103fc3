package class

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Options are a registry's. The zero value of each has a meaning.
type Options struct {
	// Checkers ask the agents themselves. Without any the built-in check is the last word; where there are some, classes
	// of an agent without one are in use as not checked.
	Checkers map[v1alpha1.Agent]agent.Checker
	// DefaultAgent is that of sidecars whose class names none; telegraf without it.
	DefaultAgent v1alpha1.Agent
	// Logger, or nothing is logged.
	Logger *slog.Logger
	// Registerer of the registry's metrics, or there are none.
	Registerer prometheus.Registerer
	// RetryMin and RetryMax bound the time until a checker that did not answer is asked again: 5 s to 5 min.
	RetryMin, RetryMax time.Duration
	// Now is the clock; time.Now without it.
	Now func() time.Time

	// offline is that whoever asks has chosen which agents are asked.
	offline bool
}

// Registry holds the classes of all sources, checked.
type Registry struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	sources []Source

	view   atomic.Pointer[view]
	synced chan struct{} // closed once every class of every source has a first answer

	mu          sync.Mutex
	offered     map[int]map[Key]Raw // by source: the newest report that is not evaluated yet
	forget      []Key
	subscribers map[int]func([]Key)
	subscribed  int

	poke chan struct{}
	eval *evaluator // of the goroutine of Run alone
}

// NewRegistry returns a registry of the sources. It answers once Run runs, or Load gave it last good texts.
func NewRegistry(o Options, sources ...Source) *Registry {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.DefaultAgent == "" {
		o.DefaultAgent = v1alpha1.AgentTelegraf
	}
	if o.RetryMin <= 0 {
		o.RetryMin = 5 * time.Second
	}
	if o.RetryMax <= 0 {
		o.RetryMax = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Registry{
		o: o, log: o.Logger, sources: sources, metrics: newMetrics(o.Registerer, o.Now),
		synced: make(chan struct{}), offered: map[int]map[Key]Raw{}, subscribers: map[int]func([]Key){}, poke: make(chan struct{}, 1),
	}
	r.eval = newEvaluator(r)
	r.view.Store(&view{})
	return r
}

// Run runs the sources and evaluates what they report, until ctx ends and all of that has ended. It fails when a source fails. It is
// called once.
func (r *Registry) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for i, s := range r.sources {
		go func() {
			err := s.Run(ctx, func(all map[Key]Raw) { r.offer(i, all) })
			if err != nil {
				cancel()
			}
			ended <- err
		}()
	}
	r.eval.run(ctx)
	var all error
	for range r.sources {
		all = errors.Join(all, <-ended)
	}
	if all != nil {
		return fmt.Errorf("classes: %w", all)
	}
	return nil
}

// offer takes a report. An older one of the same source that was not evaluated yet is forgotten, so that a storm of changes costs one
// evaluation.
func (r *Registry) offer(source int, all map[Key]Raw) {
	r.mu.Lock()
	r.offered[source] = all
	r.mu.Unlock()
	r.wake()
}

func (r *Registry) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Synced is closed once every source has reported and every class in those reports is in use or refused.
func (r *Registry) Synced() <-chan struct{} { return r.synced }

// Subscribe has changed called after every change with the keys of the classes whose verdict, text or settings changed, or that came or
// went. The calls come one after the other, must not block, and end with cancel.
func (r *Registry) Subscribe(changed func([]Key)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribed++
	id := r.subscribed
	r.subscribers[id] = changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.subscribers, id)
	}
}

// Forget drops the texts of classes that are gone from their source and that no pod runs with any more. Keys of classes that are there
// are passed over.
func (r *Registry) Forget(keys ...Key) {
	r.mu.Lock()
	r.forget = append(r.forget, keys...)
	r.mu.Unlock()
	r.wake()
}

// publish makes the view what callers see, and tells the subscribers.
func (r *Registry) publish(v *view, changed []Key) {
	r.view.Store(v)
	r.metrics.show(v)
	if len(changed) == 0 {
		return
	}
	r.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.subscribers))
	calls := make([]func([]Key), 0, len(ids))
	for _, id := range ids {
		calls = append(calls, r.subscribers[id])
	}
	r.mu.Unlock()
	for _, call := range calls {
		call(slices.Clone(changed))
	}
}

// Load gives the registry the last good texts of an earlier process. It is called before Run. The texts are delivered to running pods at
// once, and new pods get them as soon as their sources report that the classes are still there.
func (r *Registry) Load(good map[Key]Good) {
	for key, g := range good {
		tables, err := agent.Syntax(agent.File{Name: FileName(key.Name), Text: g.Text})
		if err != nil || ValidName(key.Name) != nil {
			r.log.Warn("a last good text that was kept is not good", "class", key.String())
			continue
		}
		c := &Class{
			Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Text: g.Text, Hash: Hash(g.Text), Tables: tables,
			Sidecar: g.Sidecar, Source: "kept from before the operator was started",
		}
		r.eval.entries[key] = &entry{key: key, goneAt: r.o.Now(), uid: g.UID, good: c, sure: g.Sure}
		r.eval.changed[key] = true
	}
	r.eval.flush()
}

// Good are the texts in use, of classes that are there and of those that are gone, for LastGood.
func (r *Registry) Good() map[Key]Good {
	good := map[Key]Good{}
	for key, h := range r.view.Load().classes {
		if h.class != nil {
			good[key] = Good{Text: h.class.Text, Sidecar: h.class.Sidecar, UID: h.uid, Sure: h.sure, Gone: !h.present}
		}
	}
	return good
}
