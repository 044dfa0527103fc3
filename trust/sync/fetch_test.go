package sync_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/sync"
)

// answer fetches once from a server that answers so.
func answer(t *testing.T, serve http.HandlerFunc) ([]byte, error) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	f, err := sync.NewFetcher(server.URL, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	return f.Fetch(t.Context())
}

func TestAnEndpointThatGivesNoListIsAnError(t *testing.T) {
	for want, serve := range map[string]http.HandlerFunc{
		"it answers 503": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) },
		"is not followed": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		},
		"and was not asked so": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"sends more than": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", keylist.MaxEnvelope+1)))
		},
		"EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		},
		"headers exceeded": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 64<<10)) },
	} {
		if raw, err := answer(t, serve); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", want, raw, err)
		}
	}
	if raw, err := answer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("list")) }); err != nil || string(raw) != "list" {
		t.Errorf("a good answer: %q, %v", raw, err)
	}
}

func TestOnlyTheGivenAuthorityIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("list")) }))
	defer server.Close()
	other := httptest.NewUnstartedServer(nil)
	other.StartTLS()
	defer other.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	f, err := sync.NewFetcher(server.URL, ca, false)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := f.Fetch(t.Context()); err != nil || string(raw) != "list" {
		t.Errorf("with its authority: %q, %v", raw, err)
	}
	if f, err = sync.NewFetcher(server.URL, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's authorities: %v", err)
	}
}

func TestWhatIsNoURLOfAListIsRefused(t *testing.T) {
	for _, url := range []string{"", "http://trust.example/v1/keys", "https://", "ftp://trust.example", "https://user:secret@trust.example", "trust.example/v1/keys"} {
		if _, err := sync.NewFetcher(url, nil, false); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
	if _, err := sync.NewFetcher("https://trust.example", []byte("no PEM"), false); err == nil {
		t.Error("an authority that is none is taken")
	}
}
