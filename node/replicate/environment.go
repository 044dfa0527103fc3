package replicate

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// environment is what all streams of a set share.
type environment struct {
	dir       string
	log       *slog.Logger
	journal   func(id.ID) (journal.Log, error)
	rows      func(id.ID) Rows
	target    func(Spec) (Target, error)
	deadBytes int64
	agent     string
	pool      transports
}

// newTarget makes the target of a spec.
func (e *environment) newTarget(s Spec) (Target, error) {
	if e.target != nil {
		if t, err := e.target(s); t != nil || err != nil {
			return t, err
		}
	}
	t, release, err := e.pool.get(s.Remote)
	if err != nil {
		return nil, err
	}
	return newHTTPTarget(s, t, e.agent, release), nil
}

// transports holds one keep-alive transport for each remote in use.
type transports struct {
	dial dialFunc

	mu    sync.Mutex
	inUse map[Remote]*transport
}

type transport struct {
	*http.Transport
	users int
}

// get returns the transport of a remote and the function that gives it back.
func (p *transports) get(r Remote) (*http.Transport, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.inUse[r]
	if t == nil {
		made, err := newTransport(r, p.dial)
		if err != nil {
			return nil, nil, err
		}
		t = &transport{Transport: made}
		p.inUse[r] = t
	}
	t.users++
	return t.Transport, sync.OnceFunc(func() { p.put(r, t) }), nil
}

func (p *transports) put(r Remote, t *transport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.users--
	if t.users == 0 {
		delete(p.inUse, r)
		t.CloseIdleConnections()
	}
}
