package api

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// request is what a handler gets: the HTTP request and who it is from (nil on public paths).
type request struct {
	*http.Request
	principal  *catalog.Principal
	handler    *Handler
	parameters url.Values // of the URL
}

type handlerFunc func(w http.ResponseWriter, r *request) error

// access says how a path's callers prove who they are.
type access uint8

const (
	private access = iota // token or session
	public
	legacy // the 1.x API's forms
)

// endpoint is what one path does.
type endpoint struct {
	access  access
	methods map[string]handlerFunc
}

func get(f handlerFunc) endpoint { return endpoint{methods: map[string]handlerFunc{http.MethodGet: f}} }
func post(f handlerFunc) endpoint {
	return endpoint{methods: map[string]handlerFunc{http.MethodPost: f}}
}

func methods(m map[string]handlerFunc) endpoint { return endpoint{methods: m} }

func (e endpoint) as(a access) endpoint {
	e.access = a
	return e
}

// allowed lists the methods, for people.
func (e endpoint) allowed() string { return strings.Join(slices.Sorted(maps.Keys(e.methods)), ", ") }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answer{ResponseWriter: w, now: h.Now}
	start := h.Now()
	defer func() {
		h.metrics.observe(r, a, h.Now().Sub(start))
	}()
	defer h.recover(a, r)
	header := w.Header()
	header.Set("X-Influxdb-Build", "OSS")
	header.Set("X-Influxdb-Version", versionName(h.Version))
	if origin := r.Header.Get("Origin"); origin != "" {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
		header.Set("Access-Control-Allow-Headers", "Accept, Content-Type, Content-Length, Accept-Encoding, Authorization, User-Agent")
		header.Add("Vary", "Origin")
	}
	if r.Method == http.MethodOptions {
		a.WriteHeader(http.StatusNoContent)
		return
	}
	h.mux.ServeHTTP(a, r)
}

func versionName(v string) string {
	if v == "" || strings.HasPrefix(v, "v") {
		return v
	}
	return "v" + v
}

// recover turns a handler's panic into an answer. Where an answer has begun, the connection is cut, so that the client
// does not take half an answer for a whole one.
func (h *Handler) recover(a *answer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	h.metrics.panics.Inc()
	h.Logger.Error("handler panicked", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("panic", v),
		slog.String("stack", string(debug.Stack())))
	if a.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h.fail(a, r, &failure{status: http.StatusInternalServerError, code: catalog.Internal, message: "a defect in the node ended this request: the node's log has its trace"}, false)
}

// serve makes an endpoint an HTTP handler.
func (h *Handler) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, handler: h, parameters: hr.URL.Query()}
		if err := h.run(w, r, e); err != nil {
			h.fail(w, hr, err, e.access == legacy)
		}
	})
}

func (h *Handler) run(w http.ResponseWriter, r *request, e endpoint) error {
	method := r.Method
	if method == http.MethodHead && e.methods[method] == nil {
		method = http.MethodGet
	}
	f := e.methods[method]
	if f == nil {
		w.Header().Set("Allow", e.allowed())
		return failf(catalog.MethodNotAllowed, "allow: %s", e.allowed())
	}
	var err error
	switch e.access {
	case private:
		r.principal, err = h.authenticate(r.Request)
	case legacy:
		r.principal, err = h.authenticateLegacy(r.Request)
	}
	if err != nil {
		return err
	}
	return f(w, r)
}

// elsewhere is for the paths that are not the API's.
func (h *Handler) elsewhere() endpoint {
	missing := func(http.ResponseWriter, *request) error { return failf(catalog.NotFound, "path not found") }
	e := methods(map[string]handlerFunc{}).as(public)
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		e.methods[m] = missing
	}
	if h.Pages != nil {
		e.methods[http.MethodGet] = func(w http.ResponseWriter, r *request) error {
			if strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/private/") {
				return missing(w, r)
			}
			h.Pages.ServeHTTP(w, r.Request)
			return nil
		}
	}
	return e
}

// allow says that the principal lacks a permission. It must be asked for every resource that a handler reads or changes.
func (r *request) allow(a catalog.Action, resourceType string, org, i id.ID) error {
	if r.principal.Allows(a, resourceType, org, i) {
		return nil
	}
	return failf(catalog.Unauthorized, "%s is unauthorized",
		catalog.Permission{Action: a, Resource: catalog.Resource{Type: resourceType, OrgID: org, ID: i}})
}

// pathID returns the identifier in the path.
func (r *request) pathID() (id.ID, error) { return id.Parse(r.PathValue("id")) }

// query returns a parameter of the URL.
func (r *request) query(name string) string { return r.parameters.Get(name) }

// queryID returns the identifier in a parameter, 0 when there is none.
func (r *request) queryID(name string) (id.ID, error) {
	s := r.query(name)
	if s == "" {
		return 0, nil
	}
	return id.Parse(s)
}

// read decodes the JSON body.
func (r *request) read(v any) error {
	limit := r.handler.Limits.JSONBytes
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return failf(catalog.Invalid, "failed to read request body: %v", err)
	}
	if int64(len(body)) > limit {
		return failf(catalog.TooLarge, "request body is longer than %d bytes", limit)
	}
	if err := json.Unmarshal(body, v); err != nil {
		if errors.Is(err, id.ErrLength) || errors.Is(err, id.ErrInvalid) {
			return badID(body, err)
		}
		return failf(catalog.Invalid, "failed to decode request body: %v", err)
	}
	return nil
}

// badID names the field of a body whose ID cannot be read, when the body has it at its top.
func badID(body []byte, err error) error {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text, isText := fields[name].(string)
		if !isText || !strings.HasSuffix(strings.ToLower(name), "id") {
			continue
		}
		if _, parse := id.Parse(text); parse != nil {
			return failf(catalog.Invalid, "%s %.40q: an ID has 16 hexadecimal digits", name, text)
		}
	}
	return err
}

// org returns the organisation that orgID or org names. orgID wins.
func (r *request) org() (catalog.Org, error) {
	if s := r.query("orgID"); s != "" {
		i, err := id.Parse(s)
		if err != nil {
			return catalog.Org{}, err
		}
		return r.handler.Catalog.Org(i)
	}
	if s := r.query("org"); s != "" {
		return r.handler.Catalog.ResolveOrg(s)
	}
	return catalog.Org{}, failf(catalog.Invalid, "Please provide either orgID or org")
}

// links are the addresses that resources come with.
type links map[string]string

// emptyList is what a client takes for none; it must not be null.
func emptyList[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
