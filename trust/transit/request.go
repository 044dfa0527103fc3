package transit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxAnswer bounds an answer, in bytes. The largest is a key of thousands of versions.
	maxAnswer    = 4 << 20
	maxRedirects = 3
	firstPause   = 100 * time.Millisecond
	maxPause     = 5 * time.Second
)

// secret is a text that no print of what holds it shows.
type secret func() string

func hidden(text string) secret { return func() string { return text } }

func (s secret) reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

// request is what is sent, at each attempt the same.
type request struct {
	doing   string // what it is for, at the beginning of errors
	method  string
	path    string // below /v1/
	body    any    // sent as JSON when it is not nil
	token   secret
	secrets []secret // that are in the body
	// once is for a request that must not be sent again when it may have arrived.
	once bool
}

// answer is an answer with any status.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	secrets []string
}

func (a *answer) hide(text string) string { return hide(text, a.secrets) }

// envelope is the form of Vault's answers.
type envelope struct {
	Data json.RawMessage `json:"data"`
	Auth *struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int64  `json:"lease_duration"` // seconds
		Renewable     bool   `json:"renewable"`
	} `json:"auth"`

	hide func(string) string // takes the request's secrets out of a text
}

// decode reads a success. There may be no body.
func (a *answer) decode() (*envelope, error) {
	e := &envelope{hide: a.hide}
	if len(bytes.TrimSpace(a.body)) == 0 {
		return e, nil
	}
	if err := json.Unmarshal(a.body, e); err != nil {
		return nil, fmt.Errorf("the answer is not Vault's JSON, is there a proxy before it? It is %q", excerpt(a.hide(string(a.body))))
	}
	if string(e.Data) == "null" {
		e.Data = nil
	}
	return e, nil
}

// do sends a request with a token and returns what a success answers. It logs in again, once, when the token is refused.
func (c *Client) do(ctx context.Context, r request, capability string) (*envelope, error) {
	s, err := c.token(ctx, r.doing)
	if err != nil {
		return nil, err
	}
	r.token = s.token
	a, err := c.send(ctx, r)
	if err == nil && a.status == http.StatusForbidden {
		again, err := c.again(ctx, r.doing, s)
		if err != nil {
			return nil, err
		}
		if again == nil {
			return nil, &DeniedError{r.doing, c.o.Namespace, r.path, capability}
		}
		r.token = again.token
		if a, err = c.send(ctx, r); err != nil {
			return nil, err
		}
		if a.status == http.StatusForbidden {
			c.deny()
			return nil, &DeniedError{r.doing, c.o.Namespace, r.path, capability}
		}
	}
	if err != nil {
		return nil, err
	}
	return r.success(a)
}

// success reads an answer that should be one.
func (r *request) success(a *answer) (*envelope, error) {
	if a.status < 200 || a.status > 299 {
		return nil, &Error{Doing: r.doing, Path: r.path, Status: a.status, Messages: a.messages()}
	}
	e, err := a.decode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.doing, err)
	}
	return e, nil
}

// transient says whether the same request may succeed later: 412 a node that has not caught up, 429 a quota, 472 and 473 standbys that
// do not forward, 5xx sealed, no leader, overloaded.
func transient(status int) bool {
	switch status {
	case http.StatusPreconditionFailed, http.StatusTooManyRequests, 472, 473:
		return true
	}
	return status >= 500
}

// send sends a request until there is an answer that is not transient, or patience ends.
func (c *Client) send(ctx context.Context, r request) (*answer, error) {
	end := c.now().Add(c.o.Patience)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		start := c.now()
		a, err := c.exchange(ctx, r)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", r.doing, ctx.Err())
		}
		if err == nil && !transient(a.status) {
			c.answers()
			return a, nil
		}
		wait := pause/2 + rand.N(pause)
		if err == nil {
			failure := &Error{Doing: r.doing, Path: r.path, Status: a.status, Messages: a.messages(), RetryAfter: retryAfter(a.header.Get("Retry-After"), c.now())}
			wait = max(wait, failure.RetryAfter)
			err = failure
			if a.status == http.StatusPreconditionFailed || a.status == http.StatusTooManyRequests {
				c.answers() // it is there
				if c.now().Add(wait).After(end) {
					return nil, err
				}
			}
		}
		unavailable := c.unavailable(r.doing, start, err)
		if r.once || lasting(err) || c.now().Add(wait).After(end) {
			return nil, unavailable
		}
		if err := sleep(ctx, c.ctx, wait); err != nil {
			return nil, fmt.Errorf("%s: %w; %w", r.doing, err, unavailable)
		}
	}
}

// lasting says whether an attempt failed for a reason that no waiting mends.
func lasting(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate) || errors.Is(err, errAnswer) || errors.Is(err, ErrClosed)
}

// errAnswer is for an answer that is not read to its end, or points somewhere that is not followed.
var errAnswer = errors.New("the answer is refused")

// exchange sends a request once, and follows redirects.
func (c *Client) exchange(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, func() {
		if r.path != "auth/token/revoke-self" {
			cancel()
		}
	})()
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	target := c.base + "/v1/" + r.path
	for hop := 0; ; hop++ {
		a, err := c.roundTrip(ctx, r, target, body)
		if err != nil {
			return nil, err
		}
		if a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect {
			return a, nil
		}
		if hop == maxRedirects {
			return nil, fmt.Errorf("%w: it redirects more than %d times", errAnswer, maxRedirects)
		}
		if target, err = follow(target, a.header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

// follow returns where a redirect leads: to another node, but the same path, and not out of TLS.
func follow(from, location string) (string, error) {
	old, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	next, err := old.Parse(location)
	if err != nil || location == "" {
		return "", fmt.Errorf("%w: it redirects to what is no URL", errAnswer)
	}
	if next.EscapedPath() != old.EscapedPath() || next.RawQuery != "" || next.User != nil {
		return "", fmt.Errorf("%w: it redirects to another path, on %s", errAnswer, next.Host)
	}
	if next.Scheme != old.Scheme && next.Scheme != "https" || next.Scheme == "http" && !onThisMachine(next.Hostname()) {
		return "", fmt.Errorf("%w: it redirects to %s without TLS", errAnswer, next.Host)
	}
	return (&url.URL{Scheme: next.Scheme, Host: next.Host, Path: old.Path}).String(), nil
}

func (c *Client) roundTrip(ctx context.Context, r request, target string, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.o.UserAgent)
	req.Header.Set("X-Vault-Request", "true") // an agent can insist on it, against requests that a page makes a browser send
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.o.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.o.Namespace)
	}
	a := &answer{}
	for _, s := range r.secrets {
		a.secrets = append(a.secrets, s.reveal())
	}
	a.secrets = append(a.secrets, r.token.reveal())
	if token := r.token.reveal(); token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.readable(err, a)
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return nil, c.readable(err, a)
	}
	if len(a.body) > maxAnswer {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errAnswer, maxAnswer)
	}
	return a, nil
}

// readable makes an error of an exchange one that can be shown.
func (c *Client) readable(err error, a *answer) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // what was requested is said elsewhere
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v: %w", c.o.Timeout, err)
	}
	if text := err.Error(); a.hide(text) != text {
		return errors.New(a.hide(text)) // the error that it was goes with the secret
	}
	return err
}

// answers notes that Vault answers.
func (c *Client) answers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = time.Time{}
}

// unavailable notes that Vault did not answer an attempt that began at start, and says since when.
func (c *Client) unavailable(doing string, start time.Time, err error) error {
	if errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var answered *Error
	if errors.As(err, &answered) && (answered.Status == http.StatusPreconditionFailed || answered.Status == http.StatusTooManyRequests) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away.IsZero() {
		c.away = start
	}
	return &UnavailableError{Doing: doing, Address: c.base, Since: c.away, For: c.now().Sub(c.away), Err: err}
}

// sleep waits, unless either context ends.
func sleep(ctx, client context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-client.Done():
		return ErrClosed
	}
}

// retryAfter reads the header's two forms, seconds and an HTTP date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
