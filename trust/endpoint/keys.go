// Package endpoint is the HTTP side of the signing service: the key list for clusters and people, and the signing of images for who is
// allowed to. docs/trust/service.md lists requests and answers.
//
// The key endpoint is public by nature: nothing in it is secret, and its signature is what clusters trust.
package endpoint

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// Records is where the present keys come from.
type Records interface {
	Current(context.Context) (*rotation.Record, error)
}

// Keys serves the key list.
type Keys struct {
	Records Records
	Logger  *slog.Logger
	Now     func() time.Time
}

// Register adds the paths of the key endpoint.
func (k *Keys) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/keys", k.with(k.envelope))
	mux.HandleFunc("GET /v1/keys.json", k.with(k.list))
	mux.HandleFunc("GET /v1/keys/{name}/{version}", k.with(k.pem))
	mux.HandleFunc("GET /{$}", k.with(k.page))
}

// with looks the record up. Without a list there is nothing to serve: a list without keys would be one that clusters must refuse.
func (k *Keys) with(serve func(http.ResponseWriter, *http.Request, *rotation.Record)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec, err := k.Records.Current(r.Context())
		if err != nil {
			k.Logger.Error("the key list cannot be served", "error", err)
		}
		if err != nil || len(rec.Envelope) == 0 {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "there is no key list now", http.StatusServiceUnavailable)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // a cache asks each time, by the tag
		serve(w, r, rec)
	}
}

// answer sends what has not changed only once.
func answer(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", tag)
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // who asked notices
}

func (k *Keys) envelope(w http.ResponseWriter, r *http.Request, rec *rotation.Record) {
	answer(w, r, "application/json", rec.Envelope)
}

func (k *Keys) list(w http.ResponseWriter, r *http.Request, rec *rotation.Record) {
	raw, err := keylist.Unsigned(rec.Envelope)
	if err != nil {
		k.Logger.Error("the key list of the state", "error", err)
		http.Error(w, "the key list cannot be read", http.StatusInternalServerError)
		return
	}
	answer(w, r, "application/json", raw)
}

func (k *Keys) pem(w http.ResponseWriter, r *http.Request, rec *rotation.Record) {
	id, err := key.ParseID(r.PathValue("name") + "/" + strings.TrimSuffix(r.PathValue("version"), ".pem"))
	var e *rotation.Entry
	if err == nil {
		e = rec.Find(id)
	}
	if e == nil {
		http.Error(w, "there is no such key on the list", http.StatusNotFound)
		return
	}
	answer(w, r, "application/x-pem-file", []byte(e.PEM))
}

//go:embed page.html
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"stamp": func(t time.Time) string {
		if t.IsZero() {
			return "–"
		}
		return t.UTC().Format("2006-01-02 15:04 UTC")
	},
}).ParseFS(files, "page.html"))

// row is a key as the page shows it.
type row struct {
	rotation.Entry
	Left        string
	Fingerprint string
}

func (k *Keys) page(w http.ResponseWriter, r *http.Request, rec *rotation.Record) {
	view := struct {
		*rotation.Record
		Rows []row
		Now  time.Time
	}{Record: rec, Now: k.Now()}
	for _, e := range rec.Keys {
		public, err := key.ParsePEM([]byte(e.PEM))
		if err != nil {
			k.Logger.Error("a key of the state", "key", e.ID, "error", err)
			continue
		}
		view.Rows = append(view.Rows, row{Entry: e, Left: left(e.NotAfter.Sub(view.Now)), Fingerprint: keylist.Fingerprint(public)})
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	if err := page.Execute(w, view); err != nil {
		k.Logger.Warn("sending the page", "error", err)
	}
}

// left is a time that is left, for people.
func left(d time.Duration) string {
	switch {
	case d <= 0:
		return "ended"
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}
