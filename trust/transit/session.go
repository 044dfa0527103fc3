package transit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	futilePause  = 10 * time.Second // in which a refused token is not answered with a login, after a login did not help
	refusedPause = 2 * time.Second  // in which a refused login is not tried again
	minRenew     = time.Second      // between renewals, however short the lease is
	maxIdle      = time.Hour        // after which the loop in the background looks again
	maxRetry     = 30 * time.Second // between attempts in the background
)

// attempt is a login on its way. Its fields are set when done is closed.
type attempt struct {
	done    chan struct{}
	session *session
	err     error
}

// refusal is a login that Vault refused.
type refusal struct {
	err  error
	till time.Time
}

// token returns the session, after a login when there is none, or when its token has ended or been replaced.
func (c *Client) token(ctx context.Context, doing string) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil && !s.ended(c.now()) && !c.o.Login.changed(s) {
		return s, nil
	}
	return c.signIn(ctx, doing, s)
}

// again returns the session to repeat a request with whose token was refused. There is none when a login would not help.
func (c *Client) again(ctx context.Context, doing string, refused *session) (*session, error) {
	c.mu.Lock()
	s, futile := c.session, c.futile
	c.mu.Unlock()
	if s != nil && !s.same(refused) {
		return s, nil // another goroutine was here
	}
	if !futile.IsZero() && c.now().Before(futile.Add(futilePause)) {
		return nil, nil
	}
	s, err := c.signIn(ctx, doing, refused)
	if err != nil {
		return nil, err
	}
	if s.same(refused) { // the token of a file that is the same
		c.deny()
		return nil, nil
	}
	return s, nil
}

// deny notes that a new login did not help.
func (c *Client) deny() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.futile = c.now()
}

// signIn returns a session other than old, by the one login that is on its way or by a new one.
func (c *Client) signIn(ctx context.Context, doing string, old *session) (*session, error) {
	c.mu.Lock()
	switch s := c.session; {
	case c.closed:
		c.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", doing, ErrClosed)
	case s != nil && s != old && !s.same(old) && !s.ended(c.now()):
		c.mu.Unlock()
		return s, nil
	case c.refused.err != nil && c.now().Before(c.refused.till):
		c.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", doing, c.refused.err)
	}
	a := c.signing
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		c.signing = a
		// Not under ctx: others wait for it as well.
		c.running.Go(func() { c.attempt(a) })
	}
	c.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	if a.err != nil {
		return nil, fmt.Errorf("%s: %w", doing, a.err)
	}
	return a.session, nil
}

func (c *Client) attempt(a *attempt) {
	a.session, a.err = c.o.Login.login(c.ctx, c)
	c.mu.Lock()
	c.signing = nil
	var answered *Error
	if a.err == nil {
		c.session, c.refused = a.session, refusal{}
	} else if errors.As(a.err, &answered) && !transient(answered.Status) {
		c.refused = refusal{a.err, c.now().Add(refusedPause)}
	}
	c.mu.Unlock()
	close(a.done)
	if a.err == nil { // else the loop keeps its pause
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
}

// keep logs in and renews until the client is closed.
func (c *Client) keep() {
	pause := time.Second
	for {
		c.mu.Lock()
		s := c.session
		c.mu.Unlock()
		wait := maxIdle
		err := error(nil)
		switch {
		case s == nil:
			_, err = c.signIn(c.ctx, "log in", nil)
			wait = 0 // look at what it is
		case s.lease > 0:
			wait = s.obtained.Add(s.lease * 2 / 3).Sub(c.now())
			if wait <= 0 {
				err = c.renew(s)
				wait = minRenew
			}
		}
		if c.ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = pause/2 + rand.N(pause/2)
			c.o.Logger.Warn("the token for Vault", "vault", c.base, "error", err, "retry_in", wait)
			pause = min(2*pause, maxRetry)
		} else {
			pause = time.Second
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.changed:
		case <-c.ctx.Done():
		}
		timer.Stop()
	}
}

// renew extends the lease of a session, or logs in where that cannot be.
func (c *Client) renew(s *session) error {
	if !s.renewable {
		_, err := c.signIn(c.ctx, "log in", s)
		return err
	}
	r := request{doing: "renew Vault's token", method: http.MethodPost, path: "auth/token/renew-self", body: struct{}{}, token: s.token}
	a, err := c.send(c.ctx, r)
	if err != nil {
		return err
	}
	e, err := r.success(a)
	if err == nil {
		var renewed *session
		if renewed, err = c.granted(e); err == nil && renewed.lease >= s.first/2 {
			renewed.token, renewed.first, renewed.ours, renewed.file = s.token, s.first, s.ours, s.file
			c.mu.Lock()
			if c.session.same(s) {
				c.session = renewed
			}
			c.mu.Unlock()
			return nil
		}
	}
	// The token ends, or comes to the end of what it can be extended to.
	if _, err := c.signIn(c.ctx, "log in", s); err != nil {
		return err
	}
	return nil
}
