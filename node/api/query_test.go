package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func TestQueryParametersComeFromURLAndBody(t *testing.T) {
	n := start(t)
	var parts bytes.Buffer
	m := multipart.NewWriter(&parts)
	f, err := m.CreateFormFile("q", "q.txt")
	if err == nil {
		_, err = io.WriteString(f, "SHOW SERIES")
	}
	if err == nil {
		err = m.WriteField("db", "b")
	}
	if err != nil || m.Close() != nil {
		t.Fatal(err)
	}
	kind := func(s string) http.Header { return http.Header{"Content-Type": {s}} }
	for _, c := range []struct {
		name, method, path, body string
		header                   http.Header
		want                     Query
	}{
		{"URL", "GET", "/query?q=SHOW+SERIES&db=b&rp=r&epoch=ms&chunked=true&chunk_size=5&params=%7B%22a%22:1%7D&pretty=true", "", nil,
			Query{Text: "SHOW SERIES", Database: "b", RetentionPolicy: "r", Epoch: "ms", Chunked: true, ChunkSize: 5, Params: []byte(`{"a":1}`)}},
		{"defaults", "GET", "/query?q=SHOW+SERIES", "", http.Header{"Accept": {"text/csv"}}, Query{Text: "SHOW SERIES", ChunkSize: 10000, Accept: "text/csv"}},
		{"bad chunk size", "GET", "/query?q=x&chunk_size=-1", "", nil, Query{Text: "x", ChunkSize: 10000}},
		{"form", "POST", "/query?db=b", "q=SHOW+SERIES&epoch=s", kind("application/x-www-form-urlencoded"), Query{Text: "SHOW SERIES", Database: "b", Epoch: "s", ChunkSize: 10000}},
		{"form wins", "POST", "/query?db=a&q=x", "q=y&db=b", kind("application/x-www-form-urlencoded; charset=utf-8"), Query{Text: "y", Database: "b", ChunkSize: 10000}},
		{"POST with URL", "POST", "/query?db=b&q=x", "", nil, Query{Text: "x", Database: "b", ChunkSize: 10000}},
		{"raw", "POST", "/query?db=b", "SHOW SERIES", kind("application/vnd.influxql"), Query{Text: "SHOW SERIES", Database: "b", ChunkSize: 10000}},
		{"multipart", "POST", "/query", parts.String(), kind(m.FormDataContentType()), Query{Text: "SHOW SERIES", Database: "b", ChunkSize: 10000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.t, n.queried = t, nil
			r := n.do(call{method: c.method, path: c.path, body: c.body, header: c.header}).want(200)
			if r.Body.String() != `{"results":[{"statement_id":0}]}`+"\n" {
				t.Errorf("body %q", r.Body)
			}
			got := *n.queried
			if got.Access == nil {
				t.Fatal("no access")
			}
			got.Access = nil
			if got.Text != c.want.Text || got.Database != c.want.Database || got.RetentionPolicy != c.want.RetentionPolicy || got.Epoch != c.want.Epoch ||
				got.Chunked != c.want.Chunked || got.ChunkSize != c.want.ChunkSize || string(got.Params) != string(c.want.Params) || got.Accept != c.want.Accept {
				t.Errorf("asked %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestQueryRefusals(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Limits.QueryBytes = 1 << 10 })
	r := n.get("/query?db=b").want(400, "invalid", `missing required parameter "q"`)
	if r.text("error") != `missing required parameter "q"` {
		t.Errorf("body %s", r.Body)
	}
	n.get("/query?q=x&params=[1]").want(400, "invalid")
	n.get("/query?q=x&params=%7B").want(400, "invalid")
	n.do(call{method: "POST", path: "/query", body: "q=" + strings.Repeat("x", 2<<10), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}).
		want(400, "invalid")
	n.query = func(http.ResponseWriter, *Query) error {
		return catalog.Errorf(catalog.Invalid, "failed to parse query: found EOF")
	}
	n.get("/query?q=x").want(400, "invalid", "failed to parse query: found EOF")
	n.query = func(http.ResponseWriter, *Query) error { return errors.New("broken") }
	n.get("/query?q=x").want(500, "internal error")
}

func TestQueryAnswersAreCompressedOnRequest(t *testing.T) {
	n := start(t)
	gz := http.Header{"Accept-Encoding": {"deflate, gzip"}}
	r := n.do(call{method: "GET", path: "/query?q=x", header: gz}).want(200)
	if r.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers %v", r.Header())
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != `{"results":[{"statement_id":0}]}`+"\n" {
		t.Errorf("body %q, %v", got, err)
	}
	n.query = func(http.ResponseWriter, *Query) error { return catalog.Errorf(catalog.Invalid, "no") }
	if r := n.do(call{method: "GET", path: "/query?q=x", header: gz}).want(400, "invalid", "no"); r.Header().Get("Content-Encoding") != "" {
		t.Error("the error is said to be compressed")
	}
	n.query = func(w http.ResponseWriter, _ *Query) error {
		for range 3 {
			if _, err := io.WriteString(w, "chunk\n"); err != nil {
				return err
			}
			w.(http.Flusher).Flush()
		}
		return nil
	}
	r = n.do(call{method: "GET", path: "/query?q=x", header: gz}).want(200)
	if z, err = gzip.NewReader(r.Body); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != "chunk\nchunk\nchunk\n" || !r.Flushed {
		t.Errorf("body %q, %v, flushed %v", got, err, r.Flushed)
	}
}

func TestQueryAccessIsThePrincipals(t *testing.T) {
	n := start(t)
	n.post("/api/v2/buckets", `{"orgID":"$org","name":"other"}`).want(201)
	n.do(call{method: "GET", path: "/query?q=x", token: n.token("read:buckets/$bucket")}).want(200)
	a := n.queried.Access
	all, err := a.Mappings()
	if err != nil || len(all) != 1 || all[0].Database != "b" {
		t.Errorf("mappings %v, %v", all, err)
	}
	if b, err := a.Bucket("b", ""); err != nil || b.ID != n.bucket {
		t.Errorf("bucket %v, %v", b, err)
	}
	if _, err := a.Bucket("other", ""); catalog.CodeOf(err) != catalog.Forbidden {
		t.Errorf("a bucket that may not be read: %v", err)
	}
	if _, err := a.Bucket("none", ""); catalog.CodeOf(err) != catalog.NotFound {
		t.Errorf("a bucket that is not there: %v", err)
	}
	if a.MayWrite(n.bucket) || !a.MayRead(n.bucket) {
		t.Error("wrong permissions")
	}
	n.get("/query?q=x").want(200)
	if all, err := n.queried.Access.Mappings(); err != nil || len(all) != 4 {
		t.Errorf("the operator sees %v, %v", all, err)
	}
}

func TestOperatorQueriesAnyOrganisation(t *testing.T) {
	n := start(t)
	n.post("/api/v2/orgs", `{"name":"other"}`).want(201)
	n.get("/query?q=x&org=other").want(200)
	all, err := n.queried.Access.Mappings()
	var names []string
	for _, d := range all {
		names = append(names, d.Database)
	}
	if err != nil || !slices.Equal(names, []string{"_monitoring", "_tasks"}) {
		t.Errorf("mappings %v, %v", names, err)
	}
	n.get("/query?q=x&org=none").want(404, "not found")
}
