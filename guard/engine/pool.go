package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Engine renders. Its methods can be called by several goroutines.
type Engine struct {
	options Options
	memo    memo
	turns   chan struct{} // one for each worker that may be busy

	mu     sync.Mutex
	idle   []*process
	closed bool
}

// New returns an engine. It starts a worker when something is to be rendered.
func New(o Options) *Engine {
	if o.Workers <= 0 {
		o.Workers = min(4, runtime.GOMAXPROCS(0))
	}
	if o.Timeout <= 0 {
		o.Timeout = Timeout
	}
	if o.Memory <= 0 {
		o.Memory = Memory
	}
	if o.Output <= 0 {
		o.Output = Output
	}
	return &Engine{options: o, turns: make(chan struct{}, o.Workers)}
}

var shared = sync.OnceValue(func() *Engine { return New(Options{}) })

// Shared is the engine of the process, with the limits that the constants name.
func Shared() *Engine { return shared() }

// ErrClosed is what a closed engine says.
var ErrClosed = errors.New("the engine is closed")

// Render renders one source of a tree. That a source cannot be rendered is an *Error; other errors are of the tree or of ctx.
func (e *Engine) Render(ctx context.Context, t tree.Tree, s *Spec) (*Result, error) {
	return e.RenderWith(ctx, t, s, nil)
}

// RenderWith renders one source of a tree, unless a store has what it renders to.
func (e *Engine) RenderWith(ctx context.Context, t tree.Tree, s *Spec, store Store) (*Result, error) {
	if result, err, ok := e.memo.get(s.key(), newFiles(t), store); ok {
		return result, err
	}
	return e.render(ctx, t, s, store)
}

// Anew renders a source also where it was rendered before: what is random in it then differs.
func (e *Engine) Anew(ctx context.Context, t tree.Tree, s *Spec) (*Result, error) {
	return e.render(ctx, t, s, nil)
}

func (e *Engine) render(ctx context.Context, t tree.Tree, s *Spec, store Store) (*Result, error) {
	f := newFiles(t)
	select {
	case e.turns <- struct{}{}:
		defer func() { <-e.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, err := e.take()
	if err != nil {
		return nil, err
	}
	result, err := p.run(ctx, f, s, e.options)
	if err == nil || !errors.Is(err, errDead) {
		e.give(p)
	} else {
		_ = p.end() // why it ended is known
	}
	var failed *Error
	if errors.As(err, &failed) {
		err = failed
	}
	if err == nil || failed != nil && failed.Fault != OfLimit { // another time it may be faster
		e.memo.put(s.key(), f, result, failed, store)
	}
	return result, err
}

// take returns a worker that waits, or starts one.
func (e *Engine) take() (*process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	if n := len(e.idle); n > 0 {
		p := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return p, nil
	}
	return start()
}

// idleTime is how long a worker waits for something to render.
const idleTime = 10 * time.Second

// give keeps a worker for the next source.
func (e *Engine) give(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = p.end()
		return
	}
	e.idle = append(e.idle, p)
	time.AfterFunc(idleTime, func() { e.retire(p) })
}

// retire ends a worker that waited long enough.
func (e *Engine) retire(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n, q := range e.idle {
		if p == q {
			e.idle = append(e.idle[:n], e.idle[n+1:]...)
			_ = p.end() // it did nothing
			return
		}
	}
}

// Close ends the workers. An engine that is not closed ends them when the process ends, however that ends.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, p := range e.idle {
		_ = p.end() // it is killed
	}
	e.idle = nil
	return nil
}
