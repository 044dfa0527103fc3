package replicate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// link is a network with one server on it. It can go down, which breaks its connections.
type link struct {
	mu    sync.Mutex
	down  bool
	dials int
	conns map[net.Conn]bool
	queue chan net.Conn
	shut  chan struct{}
	rate  int // bytes/s towards the server, 0 for no limit
}

func newLink() *link {
	return &link{conns: map[net.Conn]bool{}, queue: make(chan net.Conn), shut: make(chan struct{})}
}

func (l *link) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errors.New("connect: network is unreachable")
	}
	near, far := net.Pipe()
	l.dials++
	l.conns[far] = true
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case l.queue <- far:
		return &slowConn{Conn: near, link: l}, nil
	case <-l.shut:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// slowConn delays what is written as a thin link does.
type slowConn struct {
	net.Conn
	link *link
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	rate := c.link.rate
	c.link.mu.Unlock()
	if rate == 0 {
		return c.Conn.Write(p)
	}
	for at := 0; at < len(p); {
		n := min(len(p)-at, max(rate/20, 1))
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		wrote, err := c.Conn.Write(p[at : at+n])
		at += wrote
		if err != nil {
			return at, err
		}
	}
	return len(p), nil
}

// set takes the link down or up.
func (l *link) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down {
		for c := range l.conns {
			_ = c.Close() // the point is that it breaks
		}
		clear(l.conns)
	}
}

func (l *link) dialed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// Accept, Close and Addr make the link the server's listener.
func (l *link) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.shut:
		return nil, net.ErrClosed
	}
}

func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.shut:
	default:
		close(l.shut)
	}
	return nil
}

func (l *link) Addr() net.Addr { return &net.UnixAddr{Name: "link", Net: "pipe"} }

// call is one request that the remote got.
type call struct {
	at    time.Time
	size  int // bytes of the body as sent
	lines []string
	query string
	auth  string
	code  int // of the answer
}

// reply is what the remote does with a request.
type reply struct {
	code   int // 0 is 204
	body   string
	header map[string]string
	store  []string // what is stored of the request, unless the code is 2xx, which stores all
	hang   bool     // no answer, until the client gives up
	reset  bool     // the connection breaks
	delay  time.Duration
}

// remote is an HTTP write API that remembers every line it stored.
type remote struct {
	t      *testing.T
	link   *link
	server *http.Server

	mu     sync.Mutex
	answer func(c *call) reply
	stored map[string]int // line -> how often
	calls  []call
	probes int
	broken int // requests whose body did not arrive whole
}

const remoteURL = "http://remote.test/base"

func newRemote(t *testing.T) *remote {
	r := &remote{t: t, link: newLink(), stored: map[string]int{}}
	r.server = &http.Server{Handler: r}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.server.Serve(r.link); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("remote: %v", err)
		}
	}()
	t.Cleanup(func() {
		if err := r.server.Close(); err != nil {
			t.Errorf("close remote: %v", err)
		}
		<-done
	})
	return r
}

// script sets how the remote answers from now on. nil is 204 to everything.
func (r *remote) script(f func(c *call) reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c, err := readCall(req)
	if err != nil {
		r.mu.Lock()
		r.broken++
		r.mu.Unlock()
		return
	}
	r.mu.Lock()
	answer := reply{}
	if r.answer != nil {
		answer = r.answer(c)
	}
	r.mu.Unlock()
	if answer.delay > 0 {
		select {
		case <-time.After(answer.delay):
		case <-req.Context().Done():
			return
		}
	}
	r.keep(c, answer)
	switch {
	case answer.hang:
		<-req.Context().Done()
		return
	case answer.reset:
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(c.code)
	_, _ = io.WriteString(w, answer.body) // the client may be gone
}

func readCall(req *http.Request) (*call, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	c := &call{at: time.Now(), size: len(raw), query: req.URL.RequestURI(), auth: req.Header.Get("Authorization")}
	text := string(raw)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			return nil, err
		}
		text = string(plain)
	}
	at := 0
	for _, end := range lineEnds(nil, []byte(text)) {
		c.lines = append(c.lines, strings.TrimSuffix(text[at:end], "\n"))
		at = end
	}
	return c, nil
}

// keep stores what the answer accepts.
func (r *remote) keep(c *call, a reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.code = a.code
	if c.code == 0 {
		c.code = http.StatusNoContent
	}
	if len(c.lines) == 0 {
		r.probes++
		return
	}
	r.calls = append(r.calls, *c)
	stored := a.store
	if c.code < 300 && !a.hang && !a.reset {
		stored = c.lines
	}
	for _, l := range stored {
		r.stored[l]++
	}
}

// lines returns the lines stored so far.
func (r *remote) lines() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[string]int, len(r.stored))
	for k, v := range r.stored {
		m[k] = v
	}
	return m
}

func (r *remote) requests() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

func (r *remote) probed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.probes
}

// refuseLines answers 400, storing nothing, when a line contains one of the words.
func refuseLines(code int, words ...string) func(*call) reply {
	return func(c *call) reply {
		for _, l := range c.lines {
			for _, w := range words {
				if strings.Contains(l, w) {
					return reply{code: code, body: `{"code":"invalid","message":"something is wrong with it"}`}
				}
			}
		}
		return reply{}
	}
}

// always answers every request the same way.
func always(r reply) func(*call) reply { return func(*call) reply { return r } }

// times gives the first replies to the first requests and 204 to the rest.
func times(replies ...reply) func(*call) reply {
	n := 0
	return func(c *call) reply {
		if len(c.lines) == 0 {
			return reply{}
		}
		n++
		if n <= len(replies) {
			return replies[n-1]
		}
		return reply{}
	}
}

func retryAfterSeconds(n int) map[string]string {
	return map[string]string{"Retry-After": fmt.Sprint(n)}
}
