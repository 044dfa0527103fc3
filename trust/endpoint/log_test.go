package endpoint_test

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/keystore"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// anybody may have anything signed.
type anybody struct{}

func (anybody) Identify(*http.Request) (access.Identity, error) {
	return access.Identity{Kind: access.Token, Name: "ci"}, nil
}

func (anybody) Decide(_ access.Identity, repository string) access.Decision {
	return access.Decision{Allowed: true, Repository: repository, Rule: "all"}
}

// fullDisk is a log that cannot be written, as long as full is set.
type fullDisk struct {
	inner *audit.Log
	full  bool
}

func (l *fullDisk) Append(e audit.Entry) (audit.Head, error) {
	if l.full {
		return audit.Head{}, errors.New("no space left on device")
	}
	return l.inner.Append(e)
}

// signing returns the rotation of a store in a folder, of which a key signs.
func signing(t *testing.T) *rotation.Rotation {
	t.Helper()
	dir, clock := t.TempDir(), time.Now()
	if err := keystore.WriteKeyFile(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	folder, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "keys"), Secret: keystore.KeyFile(filepath.Join(dir, "key"))})
	if err != nil {
		t.Fatal(err)
	}
	images, err := folder.Key("images")
	if err != nil {
		t.Fatal(err)
	}
	lists, err := folder.Key("keylist")
	if err != nil {
		t.Fatal(err)
	}
	r := rotation.New(images, lists, &state.File{Path: filepath.Join(dir, "state.json")})
	r.Now = func() time.Time { return clock }
	r.Serve()
	for range 2 {
		if _, _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(r.Timing.Lead() + time.Second)
	}
	return r
}

func TestNothingIsSignedThatIsNotInTheLog(t *testing.T) {
	writes := 0
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			writes++
		}
		inner.ServeHTTP(w, r)
	}))
	defer images.Close()
	client, err := signature.NewClient(signature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	chain, _, err := audit.Open(filepath.Join(t.TempDir(), "audit"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = chain.Close() }() // it is a test's
	disk := &fullDisk{inner: chain, full: true}
	mux := http.NewServeMux()
	(&endpoint.Sign{Control: anybody{}, Log: disk, Keys: signing(t), Writer: &signature.Legacy{Client: client}, Logger: slog.New(slog.DiscardHandler),
		Outcomes: endpoint.NewOutcomes(prometheus.NewRegistry())}).Register(mux)
	image := strings.TrimPrefix(images.URL, "http://") + "/app/web@sha256:" + strings.Repeat("0", 64)
	ask := func() (int, endpoint.Answer) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/sign", strings.NewReader(`{"images":["`+image+`"]}`)))
		var a endpoint.Answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return w.Code, a
	}
	if status, a := ask(); status != http.StatusServiceUnavailable || !strings.Contains(a.Results[0].Error, "the audit log cannot be written") || a.Results[0].Signature != "" || writes != 0 {
		t.Errorf("with a full disk: %d %+v, and %d requests that write", status, a, writes)
	}
	disk.full = false
	before := chain.Head().Sequence
	if status, a := ask(); status != http.StatusOK || !a.Results[0].Written || writes == 0 {
		t.Errorf("after that: %d %+v, and %d requests that write", status, a, writes)
	}
	if lines := chain.Head().Sequence - before; lines != 1 {
		t.Errorf("the log has %d more lines", lines)
	}
}
