package api

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

const defaultChunkSize = 10000

// influxql is GET and POST /query.
func (h *Handler) influxql(w http.ResponseWriter, r *request) error {
	q, err := h.readQuery(r)
	if err != nil {
		return err
	}
	z, done := compressed(w, r.Request)
	err = h.Querier.Query(r.Context(), z, q)
	done(err == nil)
	return err
}

func (h *Handler) readQuery(r *request) (*Query, error) {
	form, err := h.queryForm(r)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(form.Get("q")) == "" {
		return nil, failf(catalog.Invalid, `missing required parameter "q"`)
	}
	q := &Query{Text: form.Get("q"), Database: form.Get("db"), RetentionPolicy: form.Get("rp"), Epoch: form.Get("epoch"),
		Chunked: form.Get("chunked") == "true", ChunkSize: defaultChunkSize, Accept: r.Header.Get("Accept"), ReadOnly: r.Method == http.MethodGet,
		Access: &Access{catalog: h.Catalog, principal: r.principal, org: r.principal.OrgID}}
	if n, err := strconv.Atoi(form.Get("chunk_size")); err == nil && n > 0 {
		q.ChunkSize = n
	}
	if p := form.Get("params"); p != "" {
		if !json.Valid([]byte(p)) || !strings.HasPrefix(strings.TrimSpace(p), "{") {
			return nil, failf(catalog.Invalid, "error parsing query parameters: params must be a JSON object")
		}
		q.Params = json.RawMessage(p)
	}
	if form.Get("org") != "" || form.Get("orgID") != "" {
		o, err := r.org()
		if err != nil {
			return nil, err
		}
		q.Access.org = o.ID
	}
	return q, nil
}

// queryForm returns the parameters of the URL and of the body, which win. A body of InfluxQL itself is the parameter q.
func (h *Handler) queryForm(r *request) (url.Values, error) {
	form := r.URL.Query()
	if r.Method != http.MethodPost {
		return form, nil
	}
	r.Body = http.MaxBytesReader(nil, r.Body, h.Limits.QueryBytes)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var err error
	switch kind {
	case "application/vnd.influxql":
		var text []byte
		if text, err = io.ReadAll(r.Body); err == nil {
			form.Set("q", string(text))
		}
	case "multipart/form-data":
		if err = r.ParseMultipartForm(h.Limits.QueryBytes); err == nil {
			defer func() { _ = r.MultipartForm.RemoveAll() }()
			err = readMultipart(r.Request, form)
		}
	default:
		if err = r.ParseForm(); err == nil {
			form = r.Form
		}
	}
	if err != nil {
		return nil, failf(catalog.Invalid, "failed to read the query: %v", err)
	}
	return form, nil
}

// readMultipart adds the fields and the file q of a multipart body to form.
func readMultipart(r *http.Request, form url.Values) error {
	for k, v := range r.MultipartForm.Value {
		form[k] = v
	}
	if len(r.MultipartForm.File["q"]) == 0 {
		return nil
	}
	f, err := r.MultipartForm.File["q"][0].Open()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	form.Set("q", string(text))
	_ = f.Close() // it was only read
	return err
}

// Access is what the one who asks a query may see and change. It is bound to one organisation.
type Access struct {
	catalog   *catalog.Catalog
	principal *catalog.Principal
	org       id.ID
}

// Mappings returns the mappings of databases and retention policies to buckets that may be read, sorted by both.
func (a *Access) Mappings() ([]catalog.DBRP, error) {
	all, err := a.catalog.DBRPs(a.org)
	return slices.DeleteFunc(all, func(d catalog.DBRP) bool { return !a.MayRead(d.BucketID) }), err
}

// Bucket returns the bucket of a database and retention policy, of the default policy when that is empty. It is a *catalog.Error
// of code NotFound when there is no such mapping, and Forbidden when its bucket may not be read.
func (a *Access) Bucket(database, policy string) (catalog.Bucket, error) {
	b, err := a.catalog.ResolveDBRP(a.org, database, policy)
	if err != nil {
		return b, err
	}
	if !a.MayRead(b.ID) {
		return catalog.Bucket{}, failf(catalog.Forbidden, "insufficient permissions to read database %q", database)
	}
	return b, nil
}

// MayRead reports whether a bucket of the organisation may be read.
func (a *Access) MayRead(bucket id.ID) bool {
	return a.principal.Allows(catalog.Read, catalog.BucketsType, a.org, bucket)
}

// MayWrite reports whether points of a bucket of the organisation may be deleted.
func (a *Access) MayWrite(bucket id.ID) bool {
	return a.principal.Allows(catalog.Write, catalog.BucketsType, a.org, bucket)
}

// CreateBucket makes a bucket, and with it a database of its name, where the one who asks may do so.
func (a *Access) CreateBucket(b catalog.Bucket) (catalog.Bucket, error) {
	if !a.principal.Allows(catalog.Write, catalog.BucketsType, a.org, 0) {
		return catalog.Bucket{}, failf(catalog.Forbidden, "insufficient permissions to create bucket %q", b.Name)
	}
	b.OrgID = a.org
	return a.catalog.CreateBucket(b)
}

var gzips = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// compressed returns a writer that compresses when the client takes that. done must be called at the end; nothing that was
// written by then is sent unless whole is true.
func compressed(w http.ResponseWriter, r *http.Request) (z http.ResponseWriter, done func(whole bool)) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Method == http.MethodHead {
		return w, func(bool) {}
	}
	g := &gzipWriter{ResponseWriter: w}
	return g, g.close
}

// gzipWriter compresses what is written. It touches the answer at the first byte only, so that an error can still be told
// in the clear before that.
type gzipWriter struct {
	http.ResponseWriter
	z *gzip.Writer // nil until the first byte
}

func (g *gzipWriter) WriteHeader(status int) {
	if g.z == nil && status != http.StatusNoContent {
		g.Header().Set("Content-Encoding", "gzip")
		g.Header().Add("Vary", "Accept-Encoding")
		g.Header().Del("Content-Length")
		g.z = gzips.Get().(*gzip.Writer)
		g.z.Reset(g.ResponseWriter)
	}
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipWriter) Write(p []byte) (int, error) {
	if g.z == nil {
		g.WriteHeader(http.StatusOK)
	}
	return g.z.Write(p)
}

// Flush sends what was written so far.
func (g *gzipWriter) Flush() {
	if g.z != nil {
		_ = g.z.Flush() // a client that is gone is found at the next write
	}
	_ = http.NewResponseController(g.ResponseWriter).Flush()
}

func (g *gzipWriter) close(whole bool) {
	if g.z == nil {
		return
	}
	if whole {
		_ = g.z.Close()
	}
	g.z.Reset(io.Discard)
	gzips.Put(g.z)
	g.z = nil
}

// flux is POST /api/v2/query.
func (h *Handler) flux(http.ResponseWriter, *request) error {
	return failf(catalog.NotImplemented, "Flux is not supported: this node answers InfluxQL at /query?db=<bucket>&q=<statement>")
}
