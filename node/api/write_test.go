package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// partial is a store's partial write.
var partial = &store.PartialWrite{Reasons: []store.Refusal{{Reason: "field type conflict: x", Dropped: 2}}, Dropped: 2}

// errDisk is a journal's refusal that says when to come back.
var errDisk = fmt.Errorf("append: %w", &journal.FullError{RetryAfter: 2500 * time.Millisecond, Reason: "the disk is full"})

const v2 = "/api/v2/write?org=o&bucket=b"

func TestWriteAnswers(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Limits.WriteBytes = 4 << 10 })
	gz := http.Header{"Content-Encoding": {"gzip"}}
	for _, c := range []struct {
		name, path, body string
		header           http.Header
		err              error // of the writer
		status           int
		code, message    string
		retryAfter       string
	}{
		{name: "all stored", path: v2, body: "m f=1 1", status: 204},
		{name: "by identifiers", path: "/api/v2/write?orgID=$org&bucket=$bucket", body: "m f=1 1", status: 204},
		{name: "orgID overrides org", path: "/api/v2/write?orgID=$org&org=unknown&bucket=b", body: "m f=1 1", status: 204},
		{name: "empty body", path: v2, status: 204},
		{name: "only comments", path: v2, body: "# hello\n\n", status: 204},
		{name: "bad line", path: v2, body: "m f=1 1\nm\nm f=2 2\nm,t f=1", status: 400, code: "invalid",
			message: "unable to parse 'm': missing fields\nunable to parse 'm,t f=1': missing tag value"},
		{name: "partial write", path: v2, body: "m f=1 1", err: partial, status: 422, code: "unprocessable entity",
			message: "failure writing points to database: partial write: field type conflict: x dropped=2 for database: $bucket for retention policy: autogen"},
		{name: "wrapped partial write", path: v2, body: "m f=1 1", err: fmt.Errorf("w: %w", partial), status: 422, code: "unprocessable entity"},
		{name: "unknown org", path: "/api/v2/write?org=x&bucket=b", status: 404, code: "not found", message: `organization name "x" not found`},
		{name: "missing org", path: "/api/v2/write?bucket=b", status: 400, code: "invalid", message: "Please provide either orgID or org"},
		{name: "bad org id", path: "/api/v2/write?orgID=12&bucket=b", status: 400, code: "invalid", message: "id must have a length of 16 bytes"},
		{name: "zero org id", path: "/api/v2/write?orgID=0000000000000000&bucket=b", status: 400, code: "invalid", message: "invalid ID"},
		{name: "unknown bucket", path: "/api/v2/write?org=o&bucket=x", status: 404, code: "not found", message: "bucket not found"},
		{name: "missing bucket", path: "/api/v2/write?org=o", status: 404, code: "not found", message: "bucket not found"},
		{name: "bad precision", path: v2 + "&precision=h", status: 400, code: "invalid", message: "invalid precision; valid precision units are ns, us, ms, and s"},
		{name: "gzip", path: v2, body: zipped("m f=1 1"), header: gz, status: 204},
		{name: "x-gzip", path: v2, body: zipped("m f=1 1"), header: http.Header{"Content-Encoding": {"x-gzip"}}, status: 204},
		{name: "bad gzip header", path: v2, body: "m f=1 1", header: gz, status: 400, code: "invalid"},
		{name: "truncated gzip", path: v2, body: zipped(strings.Repeat("m f=1 1\n", 99))[:30], header: gz, status: 400, code: "invalid"},
		{name: "unknown encoding", path: v2, body: "x", header: http.Header{"Content-Encoding": {"br"}}, status: 415, code: "unsupported media type"},
		{name: "too large", path: v2, body: strings.Repeat("m f=1 1\n", 1<<10), status: 413, code: "invalid"},
		{name: "bomb", path: v2, body: zipped(strings.Repeat("m f=1 1\n", 1<<20)), header: gz, status: 413, code: "invalid"},
		{name: "journal full", path: v2, body: "m f=1 1", err: errDisk, status: 503, code: "unavailable", retryAfter: "3",
			message: "the journal is full (the disk is full): nothing was stored; try again later"},
		{name: "journal full without a time", path: v2, body: "m f=1 1", err: journal.ErrFull, status: 503, code: "unavailable", retryAfter: "1"},
		{name: "journal failed", path: v2, body: "m f=1 1", err: journal.ErrFailed, status: 500, code: "internal error"},
		{name: "stopping", path: v2, body: "m f=1 1", err: journal.ErrClosed, status: 503, code: "unavailable", retryAfter: "1"},
		{name: "client gone", path: v2, body: "m f=1 1", err: context.Canceled, status: 499, code: "internal error"},
		{name: "deadline", path: v2, body: "m f=1 1", err: context.DeadlineExceeded, status: 408, code: "internal error"},
		{name: "unknown error", path: v2, body: "m f=1 1", err: errors.New("/secret/path"), status: 500, code: "internal error",
			message: "an internal error has occurred: the node's log has its cause"},
		{name: "v1", path: "/write?db=b", body: "m f=1 1", status: 204},
		{name: "v1 with policy", path: "/write?db=b&rp=autogen&consistency=all", body: "m f=1 1", status: 204},
		{name: "v1 unknown policy", path: "/write?db=b&rp=x", status: 404, code: "not found", message: "no dbrp mapping found"},
		{name: "v1 unknown db", path: "/write?db=x", status: 404, code: "not found", message: "no dbrp mapping found"},
		{name: "v1 missing db", path: "/write", status: 400, code: "invalid", message: "missing db"},
		{name: "v1 bad line", path: "/write?db=b", body: "m", status: 400, code: "invalid", message: "unable to parse 'm': missing fields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.t, n.writeErr, n.written = t, c.err, map[id.ID][]string{}
			r := n.do(call{method: "POST", path: c.path, body: c.body, header: c.header})
			if c.code == "" {
				r.want(c.status)
				if r.Body.Len() != 0 {
					t.Errorf("body %q", r.Body)
				}
			} else if c.message == "" {
				r.want(c.status, c.code)
			} else {
				r.want(c.status, c.code, n.expand(c.message))
			}
			if got := r.Header().Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, c.retryAfter)
			}
			if c.status == 400 && len(n.lines(n.bucket)) > 0 {
				t.Errorf("a refused request stored %q", n.lines(n.bucket))
			}
			if strings.HasPrefix(c.path, "/write") && c.code != "" && r.text("error") != r.text("message") {
				t.Error("the 1.x error has no text under the key error")
			}
			if held := n.writes.held.Load(); held != 0 {
				t.Errorf("%d bytes are still held", held)
			}
		})
	}
}

func TestWritePrecisions(t *testing.T) {
	n := start(t)
	for _, c := range []struct{ path, want string }{
		{v2, "m f=1 3"}, {v2 + "&precision=ns", "m f=1 3"}, {v2 + "&precision=us", "m f=1 3000"}, {v2 + "&precision=ms", "m f=1 3000000"},
		{v2 + "&precision=s", "m f=1 3000000000"},
		{"/write?db=b&precision=n", "m f=1 3"}, {"/write?db=b&precision=u", "m f=1 3000"}, {"/write?db=b&precision=%C2%B5", "m f=1 3000"},
		{"/write?db=b&precision=m", "m f=1 180000000000"}, {"/write?db=b&precision=h", "m f=1 10800000000000"},
		{"/write?db=b&precision=nonsense", "m f=1 3"},
	} {
		n.written[n.bucket] = nil
		n.do(call{method: "POST", path: c.path, body: "m f=1 3"}).want(204)
		if got := n.lines(n.bucket); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s wrote %q, want %q", c.path, got, c.want)
		}
	}
}

func TestLinesWithoutATimeGetTheServersTruncated(t *testing.T) {
	n := start(t)
	n.do(call{method: "POST", path: v2 + "&precision=s", body: "m f=1\nm,t=a f=2"}).want(204)
	if got, want := n.lines(n.bucket), []string{"m f=1 1700000000000000000", "m,t=a f=2 1700000000000000000"}; !slices.Equal(got, want) {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestWriteNeedsThePermissionOfTheBucket(t *testing.T) {
	n := start(t)
	other, err := n.Catalog.CreateBucket(catalog.Bucket{OrgID: n.org, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		permission string
		status     int
	}{
		{"write:buckets/$bucket", 204}, {"write:buckets", 204}, {"write:*buckets", 204},
		{"read:buckets/$bucket", 403}, {"write:orgs", 403}, {"write:buckets/" + other.ID.String(), 403},
	} {
		token := n.token(c.permission)
		for _, path := range []string{v2, "/write?db=b"} {
			r := n.do(call{method: "POST", path: path, body: "m f=1 1", token: token}).want(c.status)
			if c.status == 403 {
				r.want(403, "forbidden", "insufficient permissions for write")
			}
		}
	}
}

func TestLegacyWriteStaysInTheTokensOrganisation(t *testing.T) {
	n := start(t)
	other, err := n.Catalog.CreateOrg("other", "", n.user)
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Catalog.CreateAuthorization(catalog.Authorization{OrgID: other.ID, UserID: n.user, Permissions: catalog.OperatorPermissions()})
	if err != nil {
		t.Fatal(err)
	}
	n.do(call{method: "POST", path: "/write?db=b", body: "m f=1 1", token: a.Token}).want(404)
}

func TestWritesInProgressHoldABoundedAmount(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Limits.HeldBytes = 64 << 10 })
	n.do(call{method: "POST", path: v2, body: strings.Repeat("m f=1 1\n", 1<<13)}).want(503, "unavailable")
	n.do(call{method: "POST", path: v2, body: "m f=1 1"}).want(204)
	if n.writes.held.Load() != 0 {
		t.Error("bytes are still held")
	}
}

func TestErrorTextAboutManyLinesIsBounded(t *testing.T) {
	n := start(t)
	r := n.do(call{method: "POST", path: v2, body: strings.Repeat("m 1\n", 1<<14)}).want(400, "invalid")
	text := r.text("message")
	if len(text) > maxErrorText+100 {
		t.Errorf("the text has %d bytes", len(text))
	}
	lines := strings.Split(text, "\n")
	var more int
	if _, err := fmt.Sscanf(lines[len(lines)-1], "and %d more lines", &more); err != nil || more < 1 {
		t.Errorf("the text ends in %q", lines[len(lines)-1])
	}
}

func TestBuffersDoNotMixWrites(t *testing.T) {
	n := start(t)
	for i := range 50 {
		n.do(call{method: "POST", path: v2, body: fmt.Sprintf("m,t=%s f=%d %d", strings.Repeat("x", i*37%60+1), i, i)}).want(204)
	}
	for i, l := range n.lines(n.bucket) {
		if want := fmt.Sprintf("m,t=%s f=%d %d", strings.Repeat("x", i*37%60+1), i, i); l != want {
			t.Errorf("line %d is %q, want %q", i, l, want)
		}
	}
}

func TestBodyOfUnknownLengthIsReadWhole(t *testing.T) {
	n := start(t)
	want := 5000
	r := n.do(call{method: "POST", path: v2, body: zipped(strings.Repeat("m f=1 1\n", want)), header: http.Header{"Content-Encoding": {"gzip"}}}).want(204)
	if got := len(n.lines(n.bucket)); got != want {
		t.Errorf("%d lines of %d arrived (%s)", got, want, r.Body)
	}
}

// discard takes answers without keeping them.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func body(points int) []byte {
	var b bytes.Buffer
	for i := range points {
		fmt.Fprintf(&b, "cpu,host=edge-%03d,region=north usage_user=%d.5,usage_system=3.25,count=%di 17000000%08d\n", i%100, i%97, i, i)
	}
	return b.Bytes()
}

// A client that announces a long body and sends none of it holds the memory of a short one.
func TestAnnouncedBodiesHoldNoMemory(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Limits.HeldBytes = 4 * firstRead })
	var ends []*io.PipeWriter
	var waiting sync.WaitGroup
	for range 3 {
		r, w := io.Pipe()
		ends = append(ends, w)
		req := httptest.NewRequest("POST", v2, r)
		req.ContentLength = 1 << 20
		req.Header.Set("Authorization", "Token "+operator)
		waiting.Go(func() {
			n.ServeHTTP(httptest.NewRecorder(), req)
			_ = r.Close() // a pipe's Close never fails
		})
		if _, err := io.WriteString(w, "cpu v="); err != nil { // returns when it was read, or will not be
			t.Errorf("a write was not read: %v", err)
		}
	}
	req := httptest.NewRequest("POST", v2, strings.NewReader("cpu v=1 1"))
	req.Header.Set("Authorization", "Token "+operator)
	answer := httptest.NewRecorder()
	n.ServeHTTP(answer, req)
	if answer.Code != http.StatusNoContent {
		t.Errorf("status %d while others announce what they do not send: %s", answer.Code, answer.Body)
	}
	for _, w := range ends {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	waiting.Wait()
	if held := n.writes.held.Load(); held != 0 {
		t.Errorf("%d bytes are held after all writes", held)
	}
}
