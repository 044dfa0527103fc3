package endpoint_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

var now = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// records is a fixed record, or an error.
type records struct {
	*rotation.Record
	err error
}

func (r records) Current(context.Context) (*rotation.Record, error) { return r.Record, r.err }

// record has one key that signs and one that will, and a list by a list key.
func record(t *testing.T) (*rotation.Record, *ecdsa.PublicKey) {
	t.Helper()
	generate := func() *ecdsa.PrivateKey {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return private
	}
	l := &keylist.List{Version: now.Unix(), Issued: now, Expires: now.Add(time.Hour)}
	rec := &rotation.Record{ListKey: key.ID{Name: "keylist", Version: 1}, ListVersion: l.Version, Issued: l.Issued, Expires: l.Expires}
	for i, state := range []keylist.State{keylist.Active, keylist.Next} {
		public := &generate().PublicKey
		pem, err := key.MarshalPEM(public)
		if err != nil {
			t.Fatal(err)
		}
		e := rotation.Entry{ID: key.ID{Name: "images", Version: i + 1}, PEM: string(pem), State: state, Published: now, NotBefore: now, NotAfter: now.Add(time.Duration(i*70+1) * time.Hour)}
		rec.Keys = append(rec.Keys, e)
		l.Keys = append(l.Keys, keylist.Key{ID: e.ID, Public: public, NotBefore: e.NotBefore, NotAfter: e.NotAfter, State: state})
	}
	raw, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	by, hash := generate(), keylist.HashOf(raw)
	sig, err := ecdsa.SignASN1(rand.Reader, by, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	if rec.Envelope, err = keylist.Seal(raw, rec.ListKey, sig); err != nil {
		t.Fatal(err)
	}
	return rec, &by.PublicKey
}

func serve(r records) *http.ServeMux {
	mux := http.NewServeMux()
	(&endpoint.Keys{Records: r, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}).Register(mux)
	return mux
}

func get(mux http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func TestTheListIsServedAsItWasSigned(t *testing.T) {
	rec, by := record(t)
	mux := serve(records{Record: rec})
	w := get(mux, "/v1/keys")
	o, err := keylist.Open(w.Body.Bytes(), by)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d: %v", w.Code, err)
	}
	if plain := get(mux, "/v1/keys.json"); plain.Body.String() != string(o.Raw) {
		t.Errorf("the list alone is %s", plain.Body)
	}
	if pem := get(mux, "/v1/keys/images/2.pem"); pem.Body.String() != rec.Keys[1].PEM {
		t.Errorf("the key is %d %s", pem.Code, pem.Body)
	}
	for _, path := range []string{"/v1/keys/images/3.pem", "/v1/keys/images/x", "/v1/keys/../etc", "/other"} {
		if w := get(mux, path); w.Code != http.StatusNotFound && w.Code != http.StatusTemporaryRedirect && w.Code != http.StatusMovedPermanently {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := httptest.NewRecorder(); true {
		if mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/keys", nil)); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("a POST: %d", w.Code)
		}
	}
}

func TestAPollCostsNothingWhenNothingChanged(t *testing.T) {
	rec, _ := record(t)
	mux := serve(records{Record: rec})
	tag := get(mux, "/v1/keys").Header().Get("ETag")
	for _, known := range []string{tag, "W/" + tag, `"other", ` + tag} {
		if w := get(mux, "/v1/keys", "If-None-Match", known); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s: %d, %d bytes", known, w.Code, w.Body.Len())
		}
	}
	other, _ := record(t)
	if w := get(serve(records{Record: other}), "/v1/keys", "If-None-Match", tag); w.Code != http.StatusOK {
		t.Errorf("another list: %d", w.Code)
	}
}

func TestNoListIsBetterThanAnEmptyOne(t *testing.T) {
	for name, r := range map[string]records{"before the first": {Record: &rotation.Record{}}, "without the record": {err: errors.New("secret path")}} {
		for _, path := range []string{"/v1/keys", "/v1/keys.json", "/"} {
			w := get(serve(r), path)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: %s: %d %s", name, path, w.Code, w.Body)
			}
		}
	}
}

func TestThePageShowsWhatTheListSays(t *testing.T) {
	rec, _ := record(t)
	w := get(serve(records{Record: rec}), "/")
	for _, want := range []string{"images/1", ">active<", "images/2", ">next<", "1h0m", "2 days", "2026-01-05 11:00 UTC", "Signed by keylist/1"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not on the page\n%s", want, w.Body)
		}
	}
	if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the headers are %v", w.Header())
	}
}
