// Package client asks a signing service to sign images, for CI and for whoever signs many again.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
)

// Client asks one service. It may be used by several goroutines.
type Client struct {
	url   string
	token func() (string, error)
	http  *http.Client
	// Attempts bounds how often what fails for a time is asked.
	Attempts int
	// Batch is how many images one request names, and Parallel how many requests are under way at once: a registry that waits for its disk
	// takes more signatures the more it is given at a time.
	Batch, Parallel int
	// Wait is the time before the second attempt; it doubles with each.
	Wait time.Duration
	// Again, when it is set, is told once of why a service is asked again, so that who waits knows.
	Again func(reason error)

	again sync.Once
}

// ErrAway is in the error when the service could not be asked, or could do nothing at that time.
var ErrAway = errors.New("the signing service cannot do it now")

// NotSignedError tells that the service did not sign some of the images.
type NotSignedError struct {
	Failed, Total int
	First         string // the first of them, and why
}

func (e *NotSignedError) Error() string {
	return fmt.Sprintf("%d of %d images were not signed; the first: %s", e.Failed, e.Total, e.First)
}

// awayError has ErrAway in it, and says only why.
type awayError struct{ error }

func (e *awayError) Unwrap() []error { return []error{e.error, ErrAway} }

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 4 << 20

// New returns a client of the service at an https URL, or an http URL of this machine. The token is asked for at each request; it may be nil
// where a client certificate says who asks.
func New(address string, token func() (string, error), ca []byte, certificate *tls.Certificate) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, fmt.Errorf("%q is no https URL of a signing service (http is for this machine only: a token would be sent in the clear)", address)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the authority of the signing service: there is no PEM certificate")
		}
	}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &Client{url: strings.TrimSuffix(address, "/") + "/v1/sign", token: token, Attempts: 6, Wait: time.Second, Batch: 50, Parallel: 4, http: &http.Client{
		Timeout:       5 * time.Minute,
		Transport:     &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes where it was meant for
	}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Sign has images signed, some batches at a time, and tells of each image, of one after the other. It goes on past those that fail, and returns
// a *NotSignedError when one did.
func (c *Client) Sign(ctx context.Context, request endpoint.Request, tell func(endpoint.Result)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := slices.Collect(slices.Chunk(request.Images, max(c.Batch, 1)))
	answers := make(chan *endpoint.Answer)
	go func() {
		defer close(answers)
		c.askAll(ctx, cancel, request, batches, answers)
	}()
	failed := &NotSignedError{Total: len(request.Images)}
	for a := range answers {
		for _, r := range a.Results {
			if tell(r); r.Error == "" {
				continue
			}
			if failed.Failed++; failed.First == "" {
				failed.First = r.Image + ": " + r.Error
			}
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if failed.Failed > 0 {
		return failed
	}
	return nil
}

// askAll asks for all batches, and returns when all are answered or one cannot be, of which it then cancels the others.
func (c *Client) askAll(ctx context.Context, cancel context.CancelCauseFunc, request endpoint.Request, batches [][]string, answers chan<- *endpoint.Answer) {
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, max(c.Parallel, 1))
	for _, images := range batches {
		slots <- struct{}{}
		if ctx.Err() != nil {
			return
		}
		workers.Go(func() {
			defer func() { <-slots }()
			batch := request
			batch.Images = images
			a, err := c.batch(ctx, batch)
			if err != nil {
				cancel(err)
				return
			}
			answers <- a
		})
	}
}

// batch asks once, and again as long as the service is away or overloaded.
func (c *Client) batch(ctx context.Context, request endpoint.Request) (*endpoint.Answer, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	wait := c.Wait
	for attempt := 1; ; attempt++ {
		a, again, err := c.ask(ctx, body)
		if err == nil {
			return a, answers(a, request.Images)
		}
		if again < 0 {
			return nil, err
		}
		if attempt >= c.Attempts {
			return nil, &awayError{err}
		}
		if c.Again != nil {
			c.again.Do(func() { c.Again(err) })
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(max(wait, again)):
		}
		wait *= 2
	}
}

// answers says whether an answer has a result for each image, in their order: what has none was not signed, whoever answers.
func answers(a *endpoint.Answer, images []string) error {
	if len(a.Results) != len(images) {
		return fmt.Errorf("the signing service answers for %d images, and was asked for %d (request %s)", len(a.Results), len(images), a.Request)
	}
	for i, r := range a.Results {
		if r.Image != images[i] {
			return fmt.Errorf("the signing service answers for %.300q, and was asked for %s (request %s)", r.Image, images[i], a.Request)
		}
	}
	return nil
}

// ask asks once. A failure is worth another attempt after a time that is not negative.
func (c *Client) ask(ctx context.Context, body []byte) (*endpoint.Answer, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, -1, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast-trust")
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, -1, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("asking the signing service: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, 0, fmt.Errorf("asking the signing service: %w", err)
	}
	if len(raw) > maxAnswer {
		return nil, -1, fmt.Errorf("%s answers with more than %d bytes, and not as a signing service does", c.url, maxAnswer)
	}
	var a endpoint.Answer
	if err := json.Unmarshal(raw, &a); err != nil || len(a.Results) == 0 && a.Error == "" {
		return nil, -1, fmt.Errorf("%s answers %s, and not as a signing service does", c.url, resp.Status)
	}
	if a.Error == "" {
		return &a, -1, nil
	}
	again := time.Duration(-1)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		again = time.Duration(min(max(seconds, 0), 120)) * time.Second
	}
	return nil, again, fmt.Errorf("the signing service answers %s: %s (request %s)", resp.Status, a.Error, a.Request)
}
