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
	if status(err, http.StatusUnauthorized) {
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
	client, err := c.session(ctx, r, q.repo, q.scope)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, q.method, r.url(q).String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
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
func (r *registry) url(q request) *url.URL {
	u := url.URL{Scheme: "https", Host: r.name.RegistryStr(), Path: "/v2/" + q.repo.RepositoryStr() + q.path}
	if q.at != nil {
		u = *q.at
	}
	// A registry behind a proxy may not know that it is spoken to with TLS, and points to itself without.
	if strings.EqualFold(u.Host, r.name.RegistryStr()) {
		u.Scheme = "https"
		if pr := r.challenge.Load(); pr != nil && pr.Insecure {
			u.Scheme = "http"
		}
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

// session returns the client for a repository, and makes it for the first.
func (c *Client) session(ctx context.Context, r *registry, repo name.Repository, scope string) (*http.Client, error) {
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
		return s.client, nil
	}
	authenticated, err := c.authenticate(ctx, r, repo, scope)
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: authenticated, CheckRedirect: redirect}
	return s.client, nil
}

// authenticate asks once per registry how, and once per repository and scope for a token.
func (c *Client) authenticate(ctx context.Context, r *registry, repo name.Repository, scope string) (http.RoundTripper, error) {
	pr, err := c.ping(ctx, r)
	if err != nil {
		return nil, err
	}
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

// ping asks a registry how it wants to be authenticated to.
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
	var below http.RoundTripper = c.wire
	if !c.plain(r.name.RegistryStr()) {
		below = tlsOnly{c.wire}
	}
	pr, err := transport.Ping(ctx, r.name, below)
	if err != nil {
		return nil, err
	}
	r.challenge.Store(pr)
	return pr, nil
}

// tlsOnly keeps a ping from also trying without TLS, as it does for hosts whose names or addresses look local.
type tlsOnly struct{ *wire }

var errTLSOnly = errors.New("without TLS it is not tried; name it as a plain registry where that is wanted")

func (t tlsOnly) RoundTrip(in *http.Request) (*http.Response, error) {
	if in.URL.Scheme != "https" {
		return nil, errTLSOnly
	}
	return t.wire.RoundTrip(in)
}
