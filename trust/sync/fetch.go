package sync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// fetchTimeout bounds one request for the list, its answer included.
const fetchTimeout = 20 * time.Second

// Fetcher asks an endpoint for the key list.
type Fetcher struct {
	url    string
	client *http.Client
	etag   string
}

// NewFetcher returns a fetcher of an https URL. When ca is not empty, only certificates by these PEM authorities are trusted, and the system's
// are not. The list has a signature of its own, so plain http is allowed where it is asked for: whoever is in between can keep lists back.
func NewFetcher(address string, ca []byte, plain bool) (*Fetcher, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(plain && u.Scheme == "http") {
		return nil, fmt.Errorf("%q is no https URL of a key list", address)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the authority of the key list's endpoint: there is no PEM certificate")
		}
	}
	return &Fetcher{url: address, client: &http.Client{
		Timeout:   fetchTimeout,
		Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s, which is not followed", r.URL.Redacted())
		},
	}}, nil
}

// fetch returns the envelope that the endpoint has and its tag, or nil when it is still the one that was kept.
func (f *Fetcher) fetch(ctx context.Context) (envelope []byte, etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", "holdfast-trust")
	if f.etag != "" {
		req.Header.Set("If-None-Match", f.etag)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusNotModified:
		if f.etag == "" {
			return nil, "", errors.New("it says that nothing has changed, and was not asked so")
		}
		return nil, f.etag, nil
	case http.StatusOK:
	default:
		return nil, "", fmt.Errorf("it answers %s", resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, keylist.MaxEnvelope+1))
	if err != nil {
		return nil, "", err
	}
	if len(raw) > keylist.MaxEnvelope {
		return nil, "", fmt.Errorf("it sends more than the %d bytes that a key list can have", keylist.MaxEnvelope)
	}
	return raw, resp.Header.Get("ETag"), nil
}

// keep has the fetcher ask for newer ones than the envelope with this tag. It is called once the envelope is in force, so that one that was
// refused is looked at again.
func (f *Fetcher) keep(etag string) { f.etag = etag }

// Fetch returns the envelope that the endpoint has.
func (f *Fetcher) Fetch(ctx context.Context) ([]byte, error) {
	raw, _, err := f.fetch(ctx)
	return raw, err
}
