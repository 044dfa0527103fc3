package signature

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// challenge is how a registry wants to be authenticated to.
type challenge = transport.Challenge

// session is what may be done with a repository. Its token is used until the registry refuses it.
type session struct {
	turn   chan struct{} // one token: who makes the client
	client *http.Client  // nil until it is made
	scheme string        // http or https; from then on
}

// request is one to a registry.
type request struct {
	doing  string
	repo   name.Repository
	scope  string
	method string
	path   string   // below the repository
	at     *url.URL // instead of a path: where the registry said
	query  url.Values
	header map[string]string
	body   []byte
	limit  int64 // bytes of the answer
	want   []int
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL
}

// send sends a request, once. A token or a password that is refused is looked up anew for a second try.
func (c *Client) send(ctx context.Context, r *registry, q request) (*answer, error) {
	a, err := c.sendOnce(ctx, r, q)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		r.forget(q)
		a, err = c.sendOnce(ctx, r, q)
	}
	return a, err
}

func (c *Client) sendOnce(ctx context.Context, r *registry, q request) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, fmt.Errorf("no answer within %s: %w", c.o.Timeout, context.DeadlineExceeded))
	defer cancel()
	note := &asked{}
	ctx = context.WithValue(ctx, askedKey{}, note)
	a, err := c.exchange(ctx, r, q)
	wait := time.Duration(note.wait.Load())
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.As(err, new(*refusal)) && !tooLong(err) {
			err = cause
		}
		return nil, failure(q.doing, err, wait)
	}
	if !slices.Contains(q.want, a.status) {
		return nil, refused(q.doing, a, wait)
	}
	return a, nil
}

func (c *Client) exchange(ctx context.Context, r *registry, q request) (*answer, error) {
	s, err := c.session(ctx, r, q.repo, q.scope)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, q.method, r.url(q, s.scheme).String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	wanted := slices.Contains(q.want, resp.StatusCode)
	limit := cmp.Or(q.limit, maxErrorBody)
	if !wanted {
		limit = maxErrorBody
	}
	if wanted && resp.ContentLength > limit {
		return nil, &excess{limit}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil && wanted:
		return nil, err
	case wanted && int64(len(body)) > limit:
		return nil, &excess{limit}
	}
	return &answer{resp.StatusCode, resp.Header, body, resp.Request.URL}, nil
}

// url is where a request goes.
func (r *registry) url(q request, scheme string) *url.URL {
	u := url.URL{Host: r.name.RegistryStr(), Path: "/v2/" + q.repo.RepositoryStr() + q.path}
	if q.at != nil {
		u = *q.at
	}
	// A registry behind a proxy may not know that it is spoken to with TLS, and points to itself without.
	if strings.EqualFold(u.Host, r.name.RegistryStr()) {
		u.Scheme = scheme
	}
	if len(q.query) > 0 {
		query := u.Query()
		for k, v := range q.query {
			query[k] = v
		}
		u.RawQuery = query.Encode()
	}
	return &u
}

// forget drops what a registry has refused.
func (r *registry) forget(q request) {
	r.challenge.Store(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, sessionName(q.repo, q.scope))
}

func sessionName(repo name.Repository, scope string) string {
	return repo.RepositoryStr() + ":" + scope
}

// session returns the session with a repository, and begins it for the first.
func (c *Client) session(ctx context.Context, r *registry, repo name.Repository, scope string) (*session, error) {
	r.mu.Lock()
	s := r.sessions[sessionName(repo, scope)]
	if s == nil {
		makeRoom(r.sessions, maxSessions)
		s = &session{turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		r.sessions[sessionName(repo, scope)] = s
	}
	r.mu.Unlock()
	select {
	case <-s.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	if s.client != nil {
		return s, nil
	}
	pr, err := c.ping(ctx, r)
	if err != nil {
		return nil, err
	}
	authenticated, err := c.authenticate(ctx, r, repo, scope, pr)
	if err != nil {
		return nil, err
	}
	s.scheme = "https"
	if pr.Insecure {
		s.scheme = "http"
	}
	s.client = &http.Client{Transport: authenticated, CheckRedirect: redirect}
	return s, nil
}

// authenticate asks for a token where the registry wants one.
func (c *Client) authenticate(ctx context.Context, r *registry, repo name.Repository, scope string, pr *challenge) (http.RoundTripper, error) {
	found, err := authn.Resolve(ctx, c.o.Keychain, repo)
	if err != nil {
		return nil, refuse("the credentials for %s cannot be read from the docker configuration", repo.RegistryStr())
	}
	token := &transport.Token{}
	if strings.EqualFold(pr.Scheme, "bearer") {
		if token, err = c.token(ctx, r, found, repo.Scope(scope), pr); err != nil {
			return nil, err
		}
	}
	return transport.FromToken(r.name, found, c.wire, pr, token)
}

func (c *Client) token(ctx context.Context, r *registry, found authn.Authenticator, scope string, pr *challenge) (*transport.Token, error) {
	known, err := authn.Authorization(ctx, found)
	if err != nil {
		return nil, refuse("the credentials for %s cannot be read from the docker configuration", r.name.RegistryStr())
	}
	if known.RegistryToken != "" {
		return &transport.Token{Token: known.RegistryToken}, nil
	}
	token, err := transport.Exchange(ctx, r.name, found, c.wire, []string{scope}, pr)
	if err != nil {
		return nil, err
	}
	token.Token = cmp.Or(token.AccessToken, token.Token) // some registries name it one way, some the other
	return token, nil
}

// ping asks a registry how it wants to be authenticated to, once.
func (c *Client) ping(ctx context.Context, r *registry) (*challenge, error) {
	select {
	case <-r.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { r.turn <- struct{}{} }()
	if pr := r.challenge.Load(); pr != nil {
		return pr, nil
	}
	below := &pinging{wire: c.wire, plain: c.plain(r.name.RegistryStr())}
	pr, err := transport.Ping(ctx, r.name, below)
	if err != nil {
		if without := below.without.Load(); without != nil && errors.Is(err, http.ErrSchemeMismatch) {
			return nil, *without // that it does not speak TLS is not what is wrong
		}
		return nil, err
	}
	r.challenge.Store(pr)
	return pr, nil
}

// pinging keeps a ping from also trying without TLS where that may not be, as it does for hosts whose names or addresses look local. Where
// it may be, it keeps why that failed.
type pinging struct {
	*wire
	plain   bool
	without atomic.Pointer[error]
}

var errTLSOnly = errors.New("without TLS it is not tried; name it as a plain registry where that is wanted")

func (p *pinging) RoundTrip(in *http.Request) (*http.Response, error) {
	if in.URL.Scheme == "https" {
		return p.wire.RoundTrip(in)
	}
	if !p.plain {
		return nil, errTLSOnly
	}
	resp, err := p.wire.RoundTrip(in)
	if err != nil {
		p.without.Store(&err)
	}
	return resp, err
}
