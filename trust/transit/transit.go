// Package transit is the key store in the transit engine of Vault or OpenBao, over its HTTP API.
//
// # What it promises
//
// A [Client] holds one token, from a file, the environment, or a login with a Kubernetes service account or an AppRole. It renews the
// token in the background at two thirds of its lease and logs in again when that fails or when Vault refuses the token; however many
// requests find that out, there is one login at a time. Requests that fail for a while (no answer, 412, 429, 472, 473, 5xx) are repeated
// with growing pauses, or those that Retry-After asks for, until Options.Patience is over. Then the error is an [UnavailableError],
// which says for how long Vault has not answered.
//
// A [Key] is a key.Store. Each signature is asked for by the number of the version and verified with the public half of that version
// before it is returned: whatever Vault, or who poses as it, answers, a signature by another key or version never leaves here. A public
// half that was seen once must stay as it is ([ErrReplaced]). A rotation is not sent again before the key was read, since each one makes
// a version. Retire only raises the minimum versions, and destroys what is below.
//
// Tokens, secret ids and service account tokens are in no error and no log, even where an answer repeats them. Answers are read up to a
// limit. Redirects, with which a standby points at the active node, are followed to the same path, and never from HTTPS to HTTP.
//
// # What it does not do
//
// It sets up nothing in Vault but the key: the mount, the policies and the login's role must be there. [Key.Settings] tells of settings
// of a key that are dangerous here; nothing is refused for them. Vault can sign with the key for others, who have the right to. It does
// not know whether Vault's storage was restored from an old copy in which a version number means another key, unless it saw that version
// since it was started.
package transit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// Options of a client. Address and Login are needed.
type Options struct {
	// Address is Vault's URL, https://vault.example:8200. HTTP is accepted for this machine only, where an agent may listen.
	Address string
	// Namespace is sent with each request when it is not empty.
	Namespace string
	// CAFile has the PEM certificates of the authorities that Vault's certificate may be from; the system's without it. It is read again
	// for each connection.
	CAFile string
	// ServerName is the name that Vault's certificate must be for; the address's host without it.
	ServerName string
	// Login says where the token is from: TokenFile, TokenEnv, Kubernetes or AppRole.
	Login Login
	// Timeout of one attempt, 10 s without it.
	Timeout time.Duration
	// Patience with one request: an attempt does not begin after it. 30 s without it.
	Patience time.Duration
	// UserAgent is holdfast-trust without it.
	UserAgent string
	// Logger is told of failed renewals and logins in the background; slog.Default() without it.
	Logger *slog.Logger
	// Now is the clock; time.Now without it.
	Now func() time.Time
	// Dial makes connections; the system's without it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrClosed is for a client that was closed.
var ErrClosed = errors.New("the client of Vault is closed")

// Client speaks with one Vault. Close ends it.
type Client struct {
	o    Options
	base string // URL without a slash at the end
	http *http.Client

	ctx     context.Context // ends when it is closed
	stop    context.CancelFunc
	running sync.WaitGroup
	changed chan struct{} // the session changed, for the loop in the background

	mu      sync.Mutex
	closed  bool
	session *session
	signing *attempt  // a login on its way
	refused refusal   // the last login, if it was refused
	futile  time.Time // when a fresh token was refused last
	away    time.Time // since when Vault does not answer; zero when it does
}

// Open makes a client and has it log in, in the background: Vault need not be there yet.
func Open(o Options) (*Client, error) {
	if o.Login == nil {
		return nil, errors.New("the client of Vault needs a login: a token file, a Kubernetes role or an AppRole")
	}
	if err := o.Login.check(); err != nil {
		return nil, err
	}
	address, err := parseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"namespace": o.Namespace, "user agent": o.UserAgent} {
		if !printable(value) && value != "" {
			return nil, fmt.Errorf("the %s %q cannot be sent to Vault: printable ASCII is wanted", name, value)
		}
	}
	o.Timeout = or(o.Timeout, 10*time.Second)
	o.Patience = or(o.Patience, 30*time.Second)
	o.UserAgent = or(o.UserAgent, "holdfast-trust")
	o.Logger = or(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Timeout}).DialContext
	}
	c := &Client{o: o, base: strings.TrimSuffix(address.String(), "/"), changed: make(chan struct{}, 1)}
	if address.Scheme == "https" {
		if _, err := c.tlsConfig(address.Host); err != nil {
			return nil, err
		}
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:           o.Dial,
			DialTLSContext:        c.dialTLS,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: o.Timeout,
			DisableCompression:    true, // so that the limit of an answer is that of what is decoded
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.running.Go(c.keep)
	return c, nil
}

// Close ends the work in the background and, when the token is from a login, has Vault revoke it, for which it waits two seconds at most.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	s := c.session
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	if s != nil && s.ours {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		// A token that is not revoked ends with its lease.
		_, _ = c.exchange(ctx, request{method: http.MethodPost, path: "auth/token/revoke-self", token: s.token})
	}
	c.http.CloseIdleConnections()
	return nil
}

// String says which Vault it is.
func (c *Client) String() string { return c.base }

func parseAddress(text string) (*url.URL, error) {
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http":
		return nil, errors.New("the address of Vault is not usable: https://HOST:PORT is wanted") // the text may have a password in it
	case address.User != nil || address.RawQuery != "" || address.Fragment != "":
		return nil, fmt.Errorf("the address of Vault at %s has more than a host and a path: https://HOST:PORT is wanted", address.Host)
	case address.Scheme == "http" && !onThisMachine(address.Hostname()):
		return nil, fmt.Errorf("the token would go to %s in the clear: use https, or an agent on this machine", address.Host)
	}
	return address, nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dialTLS connects, with the authorities as their file has them now.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	config, err := c.tlsConfig(address)
	if err != nil {
		return nil, err
	}
	plain, err := c.o.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}

// maxCA bounds the file of authorities, in bytes.
const maxCA = 1 << 20

func (c *Client) tlsConfig(address string) (*tls.Config, error) {
	config := &tls.Config{ServerName: c.o.ServerName, MinVersion: tls.VersionTLS12}
	if config.ServerName == "" {
		config.ServerName = address
		if host, _, err := net.SplitHostPort(address); err == nil {
			config.ServerName = host
		}
	}
	if c.o.CAFile == "" {
		return config, nil
	}
	text, err := readFile(c.o.CAFile, maxCA)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities for Vault's certificate: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", c.o.CAFile)
	}
	return config, nil
}

// now is the clock's time.
func (c *Client) now() time.Time { return c.o.Now() }

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// printable says whether a text is of visible ASCII characters, at least one.
func printable(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return text != ""
}

// readFile returns a file of at most limit bytes.
func readFile(path string, limit int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return text, nil
}
