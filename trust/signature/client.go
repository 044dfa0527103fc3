package signature

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Options say how registries are spoken to. The zero value is of use.
type Options struct {
	// Keychain finds credentials; by default in the docker configuration.
	Keychain authn.Keychain
	// Plain are the registries, HOST or HOST:PORT, that may be spoken to without TLS, where they do not speak it. Those on a loopback
	// address always may, and no others do, whatever their answers point to.
	Plain []string
	// CA are certificates in PEM that registries are verified by, besides those of the system.
	CA []byte
	// UserAgent is what the program calls itself.
	UserAgent string
	// Timeout bounds each request together with its answer; 30 s by default.
	Timeout time.Duration
	// Attempts is how often what fails for a time is tried; 6 by default.
	Attempts int
	// Backoff is the wait after the first failure; it doubles with each. 500 ms by default.
	Backoff time.Duration
	// MaxWait is the longest wait between two attempts; 2 minutes by default. A registry that asks for more is not asked again.
	MaxWait time.Duration
	// Connections bounds those to one registry; 32 by default.
	Connections int
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Bounds of what a client remembers. What is forgotten is asked for again.
const (
	maxRegistries = 256
	maxSessions   = 1024 // of a registry
	maxUploaded   = 4096 // of a registry
	maxRedirects  = 5
	maxBody       = 64 << 20 // bytes of any answer, whoever reads it
	maxErrorBody  = 64 << 10
)

// Client speaks to registries. It is safe for use by several goroutines, and one is enough for a process: connections, tokens, and what
// was learned of registries are shared.
type Client struct {
	o        Options
	wire     *wire
	requests atomic.Int64

	mu         sync.Mutex
	registries map[string]*registry
}

// NewClient makes a client. It contacts nobody.
func NewClient(o Options) (*Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(o.CA) > 0 && !roots.AppendCertsFromPEM(o.CA) {
		return nil, errors.New("the authority's certificates for registries: there is no certificate in PEM in them")
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	if o.UserAgent == "" {
		o.UserAgent = "holdfast-trust"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Timeout = orDefault(o.Timeout, 30*time.Second)
	o.Attempts = orDefault(o.Attempts, 6)
	o.Backoff = orDefault(o.Backoff, 500*time.Millisecond)
	o.MaxWait = orDefault(o.MaxWait, 2*time.Minute)
	o.Connections = orDefault(o.Connections, 32)
	c := &Client{o: o, registries: map[string]*registry{}}
	c.wire = &wire{client: c, inner: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: min(o.Timeout, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: min(o.Timeout, 10*time.Second), ResponseHeaderTimeout: o.Timeout, IdleConnTimeout: 90 * time.Second,
		ForceAttemptHTTP2: true, MaxIdleConns: 4 * o.Connections, MaxIdleConnsPerHost: o.Connections, MaxConnsPerHost: o.Connections,
		// What is read is small and bounded, and so it stays when nobody can pack it.
		DisableCompression: true, MaxResponseHeaderBytes: 256 << 10,
	}}
	return c, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Close gives back idle connections.
func (c *Client) Close() { c.wire.inner.CloseIdleConnections() }

// Requests is how many requests were sent, those for tokens included.
func (c *Client) Requests() int64 { return c.requests.Load() }

// plain says whether a host may be spoken to without TLS.
func (c *Client) plain(hostport string) bool {
	host := hostname(hostport)
	if host == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	return slices.ContainsFunc(c.o.Plain, func(p string) bool { return strings.EqualFold(p, hostport) || strings.EqualFold(p, host) })
}

// hostname is a host without its port.
func hostname(hostport string) string { return (&url.URL{Host: hostport}).Hostname() }

// registry is what is known of one.
type registry struct {
	name name.Registry
	// turn has one token: who asks how to authenticate.
	turn      chan struct{}
	challenge atomic.Pointer[challenge]

	// noSingle is true where the registry does not take a blob with the request that begins its upload.
	noSingle atomic.Bool

	mu       sync.Mutex
	sessions map[string]*session // by repository and scope
	uploaded map[string]bool     // by repository and digest: the configurations that are there
	until    time.Time           // not to be asked before
}

func (c *Client) registry(of name.Registry) (*registry, error) {
	host := of.RegistryStr()
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.registries[host]; r != nil {
		return r, nil
	}
	var options []name.Option
	if c.plain(host) {
		options = append(options, name.Insecure)
	}
	named, err := name.NewRegistry(host, options...)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", host, err)
	}
	makeRoom(c.registries, maxRegistries)
	r := &registry{name: named, turn: make(chan struct{}, 1), sessions: map[string]*session{}, uploaded: map[string]bool{}}
	r.turn <- struct{}{}
	c.registries[host] = r
	return r, nil
}

// makeRoom drops entries until there is room for one.
func makeRoom[V any](m map[string]V, size int) {
	for k := range m {
		if len(m) < size {
			return
		}
		delete(m, k)
	}
}

// has says whether a configuration is known to be in a repository.
func (r *registry) has(repo name.Repository, digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uploaded[repo.RepositoryStr()+"@"+digest]
}

func (r *registry) remember(repo name.Repository, digest string, there bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !there {
		delete(r.uploaded, repo.RepositoryStr()+"@"+digest)
		return
	}
	makeRoom(r.uploaded, maxUploaded)
	r.uploaded[repo.RepositoryStr()+"@"+digest] = true
}

// pause keeps everyone from a registry that asks to be left alone.
func (r *registry) pause(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.until) {
		r.until = until
	}
}

func (r *registry) paused(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until.Sub(now)
}

// retry tries until it works, fails for good, or was tried often enough. What is tried must be safe to do twice.
func (c *Client) retry(ctx context.Context, of name.Registry, try func(*registry) error) error {
	r, err := c.registry(of)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if err := c.await(ctx, r); err != nil {
			return err
		}
		err := try(r)
		var e *Error
		if err == nil || ctx.Err() != nil || !errors.As(err, &e) || !e.Temporary() || attempt == c.o.Attempts || e.RetryAfter > c.o.MaxWait {
			return err
		}
		if e.RetryAfter > 0 {
			r.pause(c.o.Now().Add(e.RetryAfter))
			continue
		}
		if cause := sleep(ctx, c.backoff(attempt)); cause != nil {
			return fmt.Errorf("%w (not tried again: %w)", err, cause)
		}
	}
}

// await waits while a registry is to be left alone, and then a little more, so that not all come back at once.
func (c *Client) await(ctx context.Context, r *registry) error {
	for {
		wait := r.paused(c.o.Now())
		if wait <= 0 {
			return nil
		}
		if cause := sleep(ctx, wait+rand.N(wait/8+time.Millisecond)); cause != nil {
			return &Error{Doing: "waiting for " + r.name.RegistryStr(), RetryAfter: wait, Err: cause}
		}
	}
}

// backoff is the wait after an attempt, between half of the doubled time and the whole.
func (c *Client) backoff(attempt int) time.Duration {
	d := min(c.o.Backoff<<min(attempt-1, 20), c.o.MaxWait)
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wire is below all that authenticates. It sees every request, those for tokens too.
type wire struct {
	client *Client
	inner  *http.Transport
}

// asked is in the context of a request: how long an answer asked to wait.
type asked struct{ wait atomic.Int64 }

type askedKey struct{}

// RoundTrip sends a request, if it is one that may be sent. It may be called twice with one request: a token may have to be renewed.
func (w *wire) RoundTrip(in *http.Request) (*http.Response, error) {
	out := in.Clone(in.Context())
	if in.Body != nil && in.GetBody != nil {
		defer func() { _ = in.Body.Close() }() // nobody reads it
		body, err := in.GetBody()
		if err != nil {
			return nil, fmt.Errorf("reading a request again: %w", err)
		}
		out.Body = body
	}
	if out.URL.Scheme != "https" && !w.client.plain(out.URL.Host) {
		if out.Body != nil {
			_ = out.Body.Close()
		}
		return nil, refuse("%s is not spoken to without TLS; name it as a plain registry where that is wanted", out.URL.Host)
	}
	out.Header.Set("User-Agent", w.client.o.UserAgent)
	w.client.requests.Add(1)
	resp, err := w.inner.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxBody}
	if note, ok := in.Context().Value(askedKey{}).(*asked); ok && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		note.wait.Store(int64(retryAfter(resp.Header.Get("Retry-After"), w.client.o.Now())))
	}
	return resp, nil
}

// bounded ends a body with an error once it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &excess{maxBody}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// redirect says whether to follow. Storage on other hosts is common; a host inside the network that the registry is not in is not.
func redirect(to *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return refuse("the registry redirects more than %d times", maxRedirects)
	}
	return elsewhere(via[0].URL, to.URL)
}

// elsewhere refuses to go from one host to another that is named by an address of a private network: whoever answers for the registry
// could make this process ask machines that it cannot reach itself.
func elsewhere(from, to *url.URL) error {
	if strings.EqualFold(from.Hostname(), to.Hostname()) {
		return nil
	}
	ip, err := netip.ParseAddr(to.Hostname())
	if err != nil {
		return nil
	}
	if ip = ip.Unmap(); ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() {
		return refuse("the registry %s points to the private address %s", from.Hostname(), ip)
	}
	return nil
}
