package conf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Fetch says how a configuration is read from a URL.
type Fetch struct {
	// Timeout bounds one attempt; 0 means 10 s.
	Timeout time.Duration
	// Attempts is how often a URL is tried; 0 means 3.
	Attempts int
	// Wait is the pause between attempts; 0 means 2 s.
	Wait time.Duration
	// Token is sent as `Authorization: Token …`, and only to TokenHosts (host, or host:port when the URL has a port).
	Token      Secret
	TokenHosts []string
	// CacheDir keeps the last text read from each URL; it is used when the URL cannot be reached. "" keeps none.
	CacheDir string
}

// maxText bounds a fetched configuration, in bytes.
const maxText = 16 << 20

// get returns the text behind u, or the copy kept of it with a warning that says so.
func (f Fetch) get(ctx context.Context, u *url.URL) (text []byte, warning string, err error) {
	text, err = f.attempts(ctx, u)
	if err == nil {
		if kept := f.store(u, text); kept != nil {
			warning = fmt.Sprintf("configuration %s could not be kept for starts without a network: %v", shownURL(u), kept)
		}
		return text, warning, nil
	}
	err = fmt.Errorf("reading the configuration %s: %w", shownURL(u), err)
	if f.CacheDir == "" {
		return nil, "", err
	}
	text, cacheErr := os.ReadFile(f.cached(u))
	if cacheErr != nil {
		return nil, "", err
	}
	return text, err.Error() + "; the copy kept from the last good read is used", nil
}

func (f Fetch) attempts(ctx context.Context, u *url.URL) ([]byte, error) {
	client := &http.Client{Timeout: orDefault(f.Timeout, 10*time.Second), CheckRedirect: sameHost}
	defer client.CloseIdleConnections()
	var err error
	for n := range orDefault(f.Attempts, 3) {
		if n > 0 {
			select {
			case <-time.After(orDefault(f.Wait, 2*time.Second)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		var text []byte
		if text, err = f.once(ctx, client, u); err == nil {
			return text, nil
		}
	}
	return nil, err
}

func orDefault[T ~int | ~int64](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// sameHost refuses to follow a redirection to another host, which has no right to the token nor to say what runs here.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("it redirects to another host; name that one instead")
	}
	if len(via) > 5 {
		return errors.New("too many redirections")
	}
	return nil
}

func (f Fetch) once(ctx context.Context, client *http.Client, u *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, bare(err)
	}
	req.Header.Set("Accept", "application/toml")
	if f.Token != "" && slices.Contains(f.TokenHosts, u.Host) {
		req.Header.Set("Authorization", "Token "+f.Token.Reveal())
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxText+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("it is larger than %d bytes", maxText)
	}
	return text, nil
}

// bare takes the URL, which may hold a password, out of an error of net/http.
func bare(err error) error {
	if ue := new(url.Error); errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func (f Fetch) cached(u *url.URL) string {
	return filepath.Join(f.CacheDir, fmt.Sprintf("%x.conf", sha256.Sum256([]byte(u.String()))))
}

// store keeps text for a later start. The file is replaced as a whole.
func (f Fetch) store(u *url.URL, text []byte) error {
	if f.CacheDir == "" {
		return nil
	}
	if err := os.MkdirAll(f.CacheDir, 0o700); err != nil {
		return err
	}
	path := f.cached(u)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
