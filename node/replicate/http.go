package replicate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	answerLimit  = 256 << 10 // bytes of an answer that are read
	probeTimeout = 30 * time.Second
)

// dialFunc opens a connection. Tests put a network of their own in its place.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport returns the keep-alive transport for a remote.
func newTransport(r Remote, dial dialFunc) (*http.Transport, error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   30 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.InsecureTLS}, // the user's choice, named so
	}
	if r.Proxy != "" {
		u, err := url.Parse(r.Proxy)
		if err != nil {
			return nil, errors.New("proxy cannot be read: write it as http://host:3128")
		}
		t.Proxy = http.ProxyURL(u)
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file of the remote: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no PEM certificate", r.CAFile)
		}
	}
	if r.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate of the remote: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// sameOrigin follows a redirect only where the request keeps its method, its body and its host: anything else would hand the
// token to someone else or turn a write into a read that succeeds.
func sameOrigin(next *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	if next.Method != last.Method || next.URL.Scheme != last.URL.Scheme || next.URL.Host != last.URL.Host || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// httpTarget sends to the write API of InfluxDB 2, which 1.8 and 3 have as well.
type httpTarget struct {
	client   *http.Client
	release  func() // gives the shared transport back
	url      string
	token    string
	agent    string
	level    int // gzip level, -1 for none
	throttle *throttle
	zip      *gzip.Writer
	buffer   bytes.Buffer
}

func newHTTPTarget(s Spec, t http.RoundTripper, agent string, release func()) *httpTarget {
	query := url.Values{"bucket": {s.remoteBucket()}, "precision": {"ns"}}
	if org := s.Remote.OrgID; org != "" {
		query.Set("org", org)
	} else {
		query.Set("org", s.Remote.Org)
	}
	h := &httpTarget{
		client:  &http.Client{Transport: t, CheckRedirect: sameOrigin},
		release: release,
		url:     strings.TrimRight(s.Remote.URL, "/") + "/api/v2/write?" + query.Encode(),
		token:   s.Remote.credential(),
		agent:   agent,
		level:   s.GzipLevel,
	}
	if h.level == 0 {
		h.level = gzip.DefaultCompression
	} else if h.level == -1 {
		h.level = gzip.NoCompression
	}
	if s.BytesPerSecond > 0 {
		h.throttle = newThrottle(s.BytesPerSecond)
	}
	return h
}

// Close gives the transport back.
func (h *httpTarget) Close() error {
	h.release()
	return nil
}

// Probe sends an empty write, which checks address, token, organisation and bucket.
func (h *httpTarget) Probe(ctx context.Context) Answer {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return h.post(ctx, nil, "")
}

// Send compresses and sends.
func (h *httpTarget) Send(ctx context.Context, lines []byte) Answer {
	if h.level == gzip.NoCompression {
		return h.post(ctx, lines, "")
	}
	h.buffer.Reset()
	if h.zip == nil {
		z, err := gzip.NewWriterLevel(&h.buffer, h.level)
		if err != nil {
			return Answer{Class: Denied, Message: err.Error(), RetryAfter: -1}
		}
		h.zip = z
	} else {
		h.zip.Reset(&h.buffer)
	}
	_, err := h.zip.Write(lines)
	if err := errors.Join(err, h.zip.Close()); err != nil {
		return Answer{Class: Unreachable, Message: "compress request: " + err.Error(), RetryAfter: -1}
	}
	return h.post(ctx, h.buffer.Bytes(), "gzip")
}

func (h *httpTarget) post(ctx context.Context, body []byte, encoding string) Answer {
	ctx, cancel := context.WithCancel(ctx)
	source := &bodySource{ctx: ctx, content: body, throttle: h.throttle}
	defer source.finish()
	defer cancel() // before finish: it frees a reader that waits in the throttle
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, source.open())
	if err != nil {
		return Answer{Class: Denied, Message: "remote URL cannot be used: " + err.Error(), RetryAfter: -1}
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return source.open(), nil }
	if len(body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", h.agent)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	if h.token != "" {
		req.Header.Set("Authorization", "Token "+h.token)
	}
	// A write may be repeated: with this header, which is not sent, the transport itself tries once more on a fresh connection
	// when the remote had closed the idle one.
	req.Header["Idempotency-Key"] = nil

	resp, err := h.client.Do(req)
	if err != nil {
		return h.unanswered(err, source)
	}
	text, readErr := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	closeErr := resp.Body.Close()
	a := readAnswer(resp, text, time.Now())
	if readErr != nil || closeErr != nil || len(text) == answerLimit {
		a.Body = nil // cut short: it must not be taken for the whole list of lines
	}
	a.Size, a.Bytes = len(body), int(source.taken.Load())
	return a
}

// unanswered describes a request that got no answer. The error of the HTTP client names the URL, which holds no secret.
func (h *httpTarget) unanswered(err error, source *bodySource) Answer {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	a := Answer{Class: Unreachable, Message: err.Error(), RetryAfter: -1, Size: len(source.content), Bytes: int(source.taken.Load())}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		a.Timeout = true
		a.Message = "no answer in time: " + err.Error()
	}
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &wrongHost) || errors.As(err, &invalid) {
		a.Class = Denied
		a.Message = "certificate of the remote is not trusted: " + err.Error()
	}
	return a
}
