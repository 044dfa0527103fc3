package endpoint_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keystore"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// everybody lets everybody have everything signed.
type everybody struct{}

func (everybody) Identify(*http.Request) (access.Identity, error) { return access.Identity{}, nil }

func (everybody) Decide(_ access.Identity, repository string) access.Decision {
	return access.Decision{Allowed: true, Repository: repository}
}

// entries is a log in memory.
type entries []audit.Entry

func (e *entries) Append(entry audit.Entry) (audit.Head, error) {
	*e = append(*e, entry)
	return audit.Head{}, nil
}

// slow is a writer of signatures before whose first one something happens.
type slow struct {
	before func()
	writes int
}

func (s *slow) Write(ctx context.Context, target signature.Target, order signature.Order) (signature.Result, error) {
	if s.writes++; s.writes == 1 {
		s.before()
	}
	if _, err := order.Sign(ctx, []key.Hash{{}}); err != nil {
		return signature.Result{}, err
	}
	tag, err := target.Tag()
	return signature.Result{Tag: tag, Written: true}, err
}

func TestAnImageIsSignedAlsoInTheMomentThatTheKeyChanges(t *testing.T) {
	clock := now
	secret := filepath.Join(t.TempDir(), "key")
	if err := keystore.WriteKeyFile(secret); err != nil {
		t.Fatal(err)
	}
	folder, err := keystore.Open(keystore.Options{Dir: filepath.Join(t.TempDir(), "keys"), Secret: keystore.KeyFile(secret)})
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
	r := rotation.New(images, lists, &state.File{Path: filepath.Join(t.TempDir(), "state.json")})
	r.Now = func() time.Time { return clock }
	r.Serve()
	step := func() {
		if _, _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(r.Timing.Lead() + time.Second)
	}
	step() // publishes the first key
	step() // has it sign
	log := &entries{}
	writer := &slow{before: func() {
		if _, err := r.Hasten(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(r.Timing.Lead() + time.Second)
		step()
	}}
	mux := http.NewServeMux()
	(&endpoint.Sign{Control: everybody{}, Log: log, Keys: r, Writer: writer, Logger: slog.New(slog.DiscardHandler), Outcomes: endpoint.NewOutcomes(prometheus.NewRegistry())}).Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/sign", strings.NewReader(`{"images":["reg.example/app/web@sha256:`+strings.Repeat("0", 64)+`"]}`)))
	var answer endpoint.Answer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer.Results[0].Key != "images/2" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if len(*log) != 1 || (*log)[0].Key != "images/2" || (*log)[0].Outcome != audit.Signed {
		t.Errorf("the log has %+v", *log)
	}
}
