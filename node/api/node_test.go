package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// node is an API over a real catalog, with the rooms below it played by itself: they record what they are asked and answer
// what the test says.
type node struct {
	*Handler
	t testing.TB

	mu        sync.Mutex
	written   map[id.ID][]string // lines by bucket
	writeErr  error
	deleted   []string
	deleteErr error
	queried   *Query
	query     func(w http.ResponseWriter, q *Query) error
	validated []replicate.Spec
	invalid   error
	statuses  map[id.ID]replicate.Status
	letters   []replicate.DeadLetter
	gapList   []replicate.Gap
	asked     []string // of the replications
	healthErr error

	org, bucket, user id.ID
}

const operator = "operator-token"

func (n *node) Write(_ context.Context, b id.ID, batch *line.Batch) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.writeErr != nil {
		return n.writeErr
	}
	for i := range batch.Points {
		n.written[b] = append(n.written[b], strings.TrimSuffix(string(line.AppendPoint(nil, &batch.Points[i])), "\n"))
	}
	return nil
}

func (n *node) Delete(_ context.Context, b id.ID, start, stop int64, predicate string) error {
	n.deleted = append(n.deleted, fmt.Sprint(b, " ", start, " ", stop, " ", predicate))
	return n.deleteErr
}

func (n *node) Query(_ context.Context, w http.ResponseWriter, q *Query) error {
	n.queried = q
	if n.query != nil {
		return n.query(w, q)
	}
	_, err := io.WriteString(w, `{"results":[{"statement_id":0}]}`+"\n")
	return err
}

func (n *node) Validate(_ context.Context, spec replicate.Spec) error {
	n.validated = append(n.validated, spec)
	return n.invalid
}

func (n *node) Status(i id.ID) (replicate.Status, error) {
	s, ok := n.statuses[i]
	if !ok {
		return s, replicate.ErrNotFound
	}
	return s, nil
}

func (n *node) DeadLetters(id.ID) ([]replicate.DeadLetter, error) { return n.letters, nil }

func (n *node) RetryDeadLetters(_ id.ID, letters ...int64) error {
	n.asked = append(n.asked, fmt.Sprint("retry ", letters))
	return nil
}

func (n *node) PurgeDeadLetters(_ id.ID, letters ...int64) (int, error) {
	n.asked = append(n.asked, fmt.Sprint("purge ", letters))
	return len(n.letters), nil
}

func (n *node) Gaps(id.ID) ([]replicate.Gap, error) { return n.gapList, nil }

func (n *node) Fill(_ context.Context, _ id.ID, gap int) error {
	n.asked = append(n.asked, fmt.Sprint("fill ", gap))
	return nil
}

func (n *node) Resync(_ context.Context, _ id.ID, first, last int64) error {
	n.asked = append(n.asked, fmt.Sprint("resync ", first, " ", last))
	return nil
}

func (n *node) BucketStatus(b id.ID) (BucketStatus, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines, ok := n.written[b]
	return BucketStatus{JournalFirst: 1, JournalLast: uint64(len(lines))}, ok
}

func (n *node) Health() error { return n.healthErr }

// empty returns a node before set-up.
func empty(t testing.TB, change func(*Options)) *node {
	t.Helper()
	c, err := catalog.Open(filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{PasswordCost: bcrypt.MinCost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, written: map[id.ID][]string{}, statuses: map[id.ID]replicate.Status{}}
	o := Options{Catalog: c, Writer: n, Querier: n, Deleter: n, Replications: n, Engine: n, Version: "1.2.3", Commit: "abc",
		Registry: prometheus.NewRegistry(), Now: func() time.Time { return time.Unix(1700000000, 123456789) }}
	if change != nil {
		change(&o)
	}
	n.Handler = New(o)
	return n
}

// start returns a node that is set up.
func start(t testing.TB) *node { return startWith(t, nil) }

func startWith(t testing.TB, change func(*Options)) *node {
	t.Helper()
	n := empty(t, change)
	s, err := n.Catalog.Setup(catalog.SetupRequest{Username: "admin", Password: "password1", Org: "o", Bucket: "b", Token: operator})
	if err != nil {
		t.Fatal(err)
	}
	n.org, n.bucket, n.user = s.Org.ID, s.Bucket.ID, s.User.ID
	return n
}

// call is one request. Token is the operator's unless it is given; "-" is none.
type call struct {
	method, path, body, token string
	header                    http.Header
}

type reply struct {
	*httptest.ResponseRecorder
	t testing.TB
}

func (n *node) do(c call) reply {
	n.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequest(c.method, n.expand(c.path), body)
	switch {
	case c.token == "-":
	case c.token != "":
		r.Header.Set("Authorization", "Token "+c.token)
	default:
		r.Header.Set("Authorization", "Token "+operator)
	}
	maps.Copy(r.Header, c.header)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return reply{w, n.t}
}

// expand puts identifiers into a path or body.
func (n *node) expand(s string) string {
	return strings.NewReplacer("$org", n.org.String(), "$bucket", n.bucket.String(), "$user", n.user.String()).Replace(s)
}

func (n *node) get(path string) reply { n.t.Helper(); return n.do(call{method: "GET", path: path}) }

func (n *node) post(path, body string) reply {
	n.t.Helper()
	return n.do(call{method: "POST", path: path, body: n.expand(body)})
}

func (n *node) patch(path, body string) reply {
	n.t.Helper()
	return n.do(call{method: "PATCH", path: path, body: n.expand(body)})
}

func (n *node) delete(path string) reply {
	n.t.Helper()
	return n.do(call{method: "DELETE", path: path})
}

// want checks the status, and the error's code and message when the status is one of an error.
func (r reply) want(status int, codeAndMessage ...string) reply {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("status %d, want %d; body %s", r.Code, status, r.Body)
	}
	if len(codeAndMessage) == 0 {
		return r
	}
	e := r.object()
	if e["code"] != codeAndMessage[0] || r.Header().Get("X-Platform-Error-Code") != codeAndMessage[0] {
		r.t.Errorf("code %v (header %q), want %q", e["code"], r.Header().Get("X-Platform-Error-Code"), codeAndMessage[0])
	}
	if len(codeAndMessage) > 1 && e["message"] != codeAndMessage[1] {
		r.t.Errorf("message %q, want %q", e["message"], codeAndMessage[1])
	}
	return r
}

func (r reply) object() map[string]any {
	r.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.Body.Bytes(), &v); err != nil {
		r.t.Fatalf("body %q: %v", r.Body, err)
	}
	return v
}

// at returns what is at a path of keys and indices, such as "buckets.0.id".
func (r reply) at(path string) any {
	r.t.Helper()
	var v any = r.object()
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (r reply) text(path string) string { r.t.Helper(); return fmt.Sprint(r.at(path)) }

// names returns the names of a list's items.
func (r reply) names(list string) []string {
	r.t.Helper()
	out := []string{}
	items, ok := r.at(list).([]any)
	if !ok {
		r.t.Fatalf("%s is no list in %s", list, r.Body)
	}
	for _, v := range items {
		out = append(out, fmt.Sprint(v.(map[string]any)["name"]))
	}
	return out
}

// token makes a token with permissions such as "read:buckets/$bucket", "write:orgs" or "write:*buckets" (in all organisations).
func (n *node) token(permissions ...string) string {
	n.t.Helper()
	a, err := n.Catalog.CreateAuthorization(catalog.Authorization{OrgID: n.org, UserID: n.user, Permissions: n.permissions(permissions...)})
	if err != nil {
		n.t.Fatal(err)
	}
	return a.Token
}

func (n *node) permissions(specs ...string) []catalog.Permission {
	var out []catalog.Permission
	for _, s := range specs {
		action, rest, _ := strings.Cut(n.expand(s), ":")
		kind, one, single := strings.Cut(rest, "/")
		p := catalog.Permission{Action: catalog.Action(action), Resource: catalog.Resource{Type: strings.TrimPrefix(kind, "*")}}
		if !strings.HasPrefix(kind, "*") {
			p.Resource.OrgID = n.org
		}
		if single {
			i, err := id.Parse(one)
			if err != nil {
				n.t.Fatal(err)
			}
			p.Resource.ID = i
		}
		out = append(out, p)
	}
	return out
}

func (n *node) lines(b id.ID) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.written[b])
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, s)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.String()
}
