// Package client talks to a node, or to any server with the InfluxDB 2 HTTP surface, as the `influx` command does: the same
// requests in the same form, with typed answers.
//
// It promises that every error says what the server or the network said (see Error and UnreachableError) and that no token or
// password is part of an error or of the debug output. It does not retry, page through lists or read configuration: its caller decides those.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say which server to talk to and how.
type Options struct {
	// Host is the server's address: scheme, host and port, and a path prefix where a proxy needs one.
	Host string
	// Token is sent as `Authorization: Token …`; empty for none.
	Token string
	// InsecureTLS accepts any certificate.
	InsecureTLS bool
	// UserAgent is the header's value; empty means Go's own.
	UserAgent string
	// Header is added to every request.
	Header http.Header
	// Debug, when set, gets the head of every request and response, without secrets.
	Debug io.Writer
	// Transport replaces the one made from the options above; nil for none.
	Transport http.RoundTripper
}

// Client is safe for use by many goroutines, except for SignIn, which comes first.
type Client struct {
	base    *url.URL
	http    *http.Client
	token   string
	session string
	agent   string
	header  http.Header
}

// New checks the host's form; it does not connect.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Host, "/"))
	if err != nil {
		return nil, fmt.Errorf("host URL %q is invalid: %w", o.Host, err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("host URL %q is invalid: it must look like http://localhost:8086", o.Host)
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport(o.InsecureTLS)
	}
	if o.Debug != nil {
		transport = &debugTransport{next: transport, out: o.Debug}
	}
	return &Client{
		base: base, http: &http.Client{Transport: transport, CheckRedirect: checkRedirect}, token: o.Token, agent: o.UserAgent, header: o.Header,
	}, nil
}

func newTransport(insecureTLS bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	if insecureTLS {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the user asked for it by --skip-verify
	}
	return t
}

// checkRedirect follows a redirect only where it stays the same request to the same server: a body may hold passwords, and a
// POST that became a GET would do nothing and seem to succeed.
func checkRedirect(next *http.Request, before []*http.Request) error {
	first := before[0]
	if next.URL.Host != first.URL.Host || next.Method != first.Method || len(before) > 3 {
		return fmt.Errorf("it redirects to %s: name that address as the host if it is the right one", next.URL.Redacted())
	}
	return nil
}

// Host returns the server's address without credentials, for messages.
func (c *Client) Host() string { return c.base.Redacted() }

// HasCredentials tells whether requests carry a token or a session.
func (c *Client) HasCredentials() bool { return c.token != "" || c.session != "" }

// SignIn opens a session for a user; requests carry its cookie from then on unless the client has a token.
func (c *Client) SignIn(ctx context.Context, username, password string) error {
	req, err := c.request(ctx, http.MethodPost, "/api/v2/signin", nil, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(username, password)
	resp, err := c.send(req)
	if err != nil {
		return fmt.Errorf("signing in as %q: %w", username, err)
	}
	defer closeBody(resp)
	for _, cookie := range resp.Cookies() {
		if strings.HasPrefix(cookie.Name, "influxdb") {
			c.session = cookie.Name + "=" + cookie.Value
			return nil
		}
	}
	return fmt.Errorf("signing in as %q: the server sent no session cookie", username)
}

// call sends in as JSON, unless it is nil, and decodes the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer closeBody(resp)
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("forming the request %s %s: %w", method, path, err)
	}
	req.Header.Set("Accept", "application/json")
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	for key, values := range c.header {
		req.Header[http.CanonicalHeaderKey(key)] = values
	}
	switch {
	case c.token != "":
		req.Header.Set("Authorization", "Token "+c.token)
	case c.session != "":
		req.Header.Set("Cookie", c.session)
	}
	return req, nil
}

// send returns the response of a request that the server accepted; its body is the caller's to close.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error // repeats method and address, which our message has
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if req.Context().Err() != nil {
			return nil, req.Context().Err()
		}
		return nil, &UnreachableError{Host: c.Host(), Err: err}
	}
	if resp.StatusCode/100 != 2 {
		defer closeBody(resp)
		return nil, readError(resp)
	}
	return resp, nil
}

// closeBody drains a little of what is left, so that the connection can be used again.
func closeBody(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close() // the answer has been read; nothing can be done about its end
}

// values builds a query of the given pairs of name and value, without those whose value is empty.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
