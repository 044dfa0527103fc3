//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fault is what the link between two nodes does to a request.
type fault int32

const (
	pass fault = iota
	refuse
	hang
	reset
	answer500
	answer429
	answer413
	slow       // the answer takes longer than a sender's usual patience between two saves of its position
	lostAnswer // the remote stores the request and the link dies before its answer comes back
	faultKinds // how many there are
)

func (f fault) String() string {
	return [...]string{"pass", "refuse", "hang", "reset", "500", "429", "413", "slow", "lost answer"}[f]
}

// link is a proxy before a node that can fail in every way a link does.
type link struct {
	t        testing.TB
	addr     string
	fault    atomic.Int32
	requests [faultKinds]atomic.Int64

	mu     sync.Mutex
	server *http.Server // nil while refusing
	proxy  *httputil.ReverseProxy
	done   chan struct{}
}

func startLink(t testing.TB, to string) *link {
	t.Helper()
	u, err := url.Parse("http://" + to)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{t: t, addr: freeAddr(t), proxy: httputil.NewSingleHostReverseProxy(u), done: make(chan struct{})}
	l.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	l.listen()
	t.Cleanup(func() { close(l.done); l.hangUp() })
	return l
}

func (l *link) url() string { return "http://" + l.addr }

// set changes what the link does from now on.
func (l *link) set(f fault) {
	was := fault(l.fault.Swap(int32(f)))
	if f == refuse && was != refuse {
		l.hangUp()
	}
	if f != refuse && was == refuse {
		l.listen()
	}
}

func (l *link) listen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, err := net.Listen("tcp", l.addr)
	if err != nil {
		l.t.Errorf("link: %v", err)
		return
	}
	l.server = &http.Server{Handler: http.HandlerFunc(l.serve)}
	go func(s *http.Server) { _ = s.Serve(ln) }(l.server)
}

func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		_ = l.server.Close()
		l.server = nil
	}
}

func (l *link) serve(w http.ResponseWriter, r *http.Request) {
	f := fault(l.fault.Load())
	l.requests[f].Add(1)
	switch f {
	case hang:
		select {
		case <-l.done:
		case <-r.Context().Done():
		case <-time.After(3 * time.Second): // bounded, as a NAT that forgot the connection is
		}
		l.drop(w)
	case reset:
		_, _ = io.CopyN(io.Discard, r.Body, 100)
		l.drop(w)
	case answer500:
		http.Error(w, `{"code":"internal error","message":"test"}`, http.StatusInternalServerError)
	case answer429:
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"code":"too many requests","message":"test"}`, http.StatusTooManyRequests)
	case answer413:
		if r.ContentLength > 600 {
			http.Error(w, `{"code":"request too large","message":"test"}`, http.StatusRequestEntityTooLarge)
			return
		}
		l.proxy.ServeHTTP(w, r)
	case slow:
		time.Sleep(300 * time.Millisecond)
		l.proxy.ServeHTTP(w, r)
	case lostAnswer:
		l.proxy.ServeHTTP(discard{}, r)
		l.drop(w)
	default:
		l.proxy.ServeHTTP(w, r)
	}
}

// drop cuts the connection so that the peer sees a reset.
func (l *link) drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (l *link) counts() string {
	s := ""
	for f := pass; f < faultKinds; f++ {
		s += fmt.Sprintf("%v %d, ", f, l.requests[f].Load())
	}
	return s[:len(s)-2]
}

// discard is where an answer goes that nobody receives.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
