package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/api"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// rooms are what the real HTTP surface and catalog of a node stand on here: they record what they are asked.
type rooms struct {
	mu      sync.Mutex
	lines   []string
	asked   []string
	running map[id.ID]replicate.Status
}

func (r *rooms) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf(format, args...))
}

func (r *rooms) Write(_ context.Context, _ id.ID, b *line.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b.Points {
		r.lines = append(r.lines, string(line.AppendPoint(nil, &b.Points[i])))
	}
	return nil
}

func (r *rooms) Delete(_ context.Context, _ id.ID, start, stop int64, predicate string) error {
	r.note("delete %d %d %s", start, stop, predicate)
	return nil
}

func (r *rooms) Query(_ context.Context, w http.ResponseWriter, q *api.Query) error {
	r.note("query %s on %s.%s chunked %t", q.Text, q.Database, q.RetentionPolicy, q.Chunked)
	_, err := io.WriteString(w, `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["telegraf"]]}]}]}`+"\n")
	return err
}

func (r *rooms) Status(i id.ID) (replicate.Status, error) {
	s, ok := r.running[i]
	if !ok {
		return s, replicate.ErrNotFound
	}
	return s, nil
}

func (r *rooms) Validate(context.Context, replicate.Spec) error { return nil }

func (r *rooms) DeadLetters(id.ID) ([]replicate.DeadLetter, error) {
	return []replicate.DeadLetter{{ID: 7, Code: 422, Reason: "field type conflict", Line: []byte("cpu v=1 1")}}, nil
}

func (r *rooms) RetryDeadLetters(_ id.ID, letters ...int64) error {
	r.note("retry %v", letters)
	return nil
}

func (r *rooms) PurgeDeadLetters(_ id.ID, letters ...int64) (int, error) {
	r.note("purge %v", letters)
	return 1, nil
}

func (r *rooms) Gaps(id.ID) ([]replicate.Gap, error) {
	return []replicate.Gap{{ID: 3, Reason: "dropped", Points: 12, State: replicate.GapOpen}}, nil
}

func (r *rooms) Fill(_ context.Context, _ id.ID, gap int) error {
	r.note("fill %d", gap)
	return nil
}

func (r *rooms) Resync(_ context.Context, _ id.ID, first, last int64) error {
	r.note("resync %d %d", first, last)
	return nil
}

func (r *rooms) BucketStatus(id.ID) (api.BucketStatus, bool) { return api.BucketStatus{}, false }

func (r *rooms) Health() error { return nil }

// nodeCLI is a command line beside a node of its own.
type nodeCLI struct {
	setting
	*rooms
	t *testing.T
}

func newNode(t *testing.T) *nodeCLI {
	t.Helper()
	c, err := catalog.Open(filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{PasswordCost: bcrypt.MinCost})
	if err != nil {
		t.Fatal(err)
	}
	r := &rooms{running: map[id.ID]replicate.Status{}}
	server := httptest.NewServer(api.New(api.Options{Catalog: c, Writer: r, Querier: r, Deleter: r, Replications: r, Engine: r, Version: "1.0.0"}))
	t.Cleanup(func() {
		server.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &nodeCLI{setting: fresh(t, server.URL), rooms: r, t: t}
}

// must runs a command that must succeed and returns what it printed.
func (n *nodeCLI) must(args ...string) string {
	n.t.Helper()
	got := n.run(n.t, args...)
	if got.code != ExitDone {
		n.t.Fatalf("holdfast %s\n%s", strings.Join(args, " "), got)
	}
	return got.out
}

// made runs a command with --json and returns the ID of what it printed.
func (n *nodeCLI) made(args ...string) string {
	n.t.Helper()
	out := n.must(append(args, "--json")...)
	var resource struct{ ID string }
	if err := json.Unmarshal([]byte(out), &resource); err != nil || resource.ID == "" {
		n.t.Fatalf("holdfast %s printed no resource (%v):\n%s", strings.Join(args, " "), err, out)
	}
	return resource.ID
}

// refused runs a command that must fail and returns its error.
func (n *nodeCLI) refused(args ...string) string {
	n.t.Helper()
	got := n.run(n.t, args...)
	if got.code == ExitDone {
		n.t.Fatalf("holdfast %s succeeded\n%s", strings.Join(args, " "), got)
	}
	return got.errors
}

func (n *nodeCLI) setup() {
	n.t.Helper()
	n.must("setup", "-f", "-u", "admin", "-p", "password1", "-o", "o", "-b", "telegraf", "-r", "30d")
}

// holds checks that a command's output has words, and returns it.
func (n *nodeCLI) holds(words []string, args ...string) string {
	n.t.Helper()
	out := n.must(args...)
	for _, word := range words {
		if !strings.Contains(out, word) {
			n.t.Errorf("holdfast %s printed no %q:\n%s", strings.Join(args, " "), word, out)
		}
	}
	return out
}

func TestSetupOfARealNodeMakesTheOtherCommandsWork(t *testing.T) {
	n := newNode(t)
	n.must("ping")
	if text := n.refused("org", "list"); !strings.Contains(text, "No token was sent") {
		t.Errorf("before setup: %s", text)
	}
	n.setup()
	n.holds([]string{"o"}, "org", "list")
	n.holds([]string{"telegraf", "720h0m0s", "_tasks", "72h0m0s", "_monitoring", "168h0m0s"}, "bucket", "list")
	n.holds([]string{"admin"}, "user", "list")
	n.holds([]string{"admin's Token"}, "auth", "list")
	if text := n.refused("setup", "-n", "again"); !strings.Contains(text, "already") {
		t.Errorf("second setup: %s", text)
	}
}

func TestOrganizationsAndUsersOfARealNode(t *testing.T) {
	n := newNode(t)
	n.setup()
	org := n.made("org", "create", "-n", "plant", "-d", "the plant")
	user := n.made("user", "create", "-n", "ann", "-o", "plant")
	n.holds([]string{"plant"}, "org", "list", "-n", "plant")
	n.must("org", "update", "-i", org, "-n", "mill")
	n.holds([]string{user, "member"}, "org", "members", "list", "-n", "mill")
	n.must("org", "members", "remove", "-m", user, "-i", org)
	n.must("org", "members", "add", "--owner", "-m", user, "-i", org)
	n.holds([]string{"ann", "owner"}, "org", "members", "list", "-i", org)
	n.must("user", "password", "-n", "ann", "-p", "password2")
	n.must("user", "update", "-i", user, "-n", "anna")
	n.holds([]string{"anna"}, "user", "list", "-i", user)
	n.must("config", "create", "-n", "anna", "-u", n.env["INFLUX_HOST"], "-p", "anna:password2", "-o", "mill")
	n.holds([]string{"mill"}, "org", "list", "-c", "anna")
	n.must("user", "delete", "-i", user)
	n.must("org", "delete", "-i", org)
	if text := n.refused("org", "list", "-n", "mill"); !strings.Contains(text, `organization name "mill" not found`) {
		t.Errorf("deleted org: %s", text)
	}
}

func TestBucketsOfARealNode(t *testing.T) {
	n := newNode(t)
	n.setup()
	bucket := n.made("bucket", "create", "-n", "plc", "-r", "7d", "-d", "controllers")
	n.holds([]string{"168h0m0s", bucket}, "bucket", "list", "-n", "plc")
	if text := n.refused("bucket", "create", "-n", "plc"); !strings.Contains(text, "bucket with name plc already exists") {
		t.Errorf("name that is taken: %s", text)
	}
	n.holds([]string{"infinite", "plc2"}, "bucket", "update", "-i", bucket, "-r", "0", "-n", "plc2")
	for i := range 45 {
		n.must("bucket", "create", "-n", fmt.Sprintf("many%02d", i))
	}
	out := n.must("bucket", "list", "--hide-headers")
	if rows := strings.Count(out, "\n"); rows != 49 {
		t.Errorf("%d buckets listed, want 49:\n%s", rows, out)
	}
	if rows := strings.Count(n.must("bucket", "list", "--hide-headers", "--limit", "25"), "\n"); rows != 25 {
		t.Errorf("%d buckets listed with --limit 25", rows)
	}
	n.must("bucket", "delete", "-n", "plc2")
	if text := n.refused("bucket", "list", "-n", "plc2"); !strings.Contains(text, `bucket "plc2" not found`) {
		t.Errorf("deleted bucket: %s", text)
	}
}

func TestTokensOfARealNodePermitWhatTheirFlagsSay(t *testing.T) {
	n := newNode(t)
	n.setup()
	bucket := n.made("bucket", "create", "-n", "plc")
	out := n.must("auth", "create", "-u", "admin", "--write-bucket", bucket, "-d", "agent", "--json")
	var created authView
	if err := json.Unmarshal([]byte(out), &created); err != nil || created.Token == "" {
		t.Fatalf("no token (%v): %s", err, out)
	}
	n.must("write", "-b", "plc", "-t", created.Token, "cpu v=1 1")
	if text := n.refused("write", "-b", "telegraf", "-t", created.Token, "cpu v=1 1"); !strings.Contains(text, "403") {
		t.Errorf("write elsewhere: %s", text)
	}
	if strings.Contains(n.must("auth", "list"), created.Token) {
		t.Error("the list shows the token")
	}
	n.must("auth", "inactive", "-i", created.ID)
	n.refused("write", "-b", "plc", "-t", created.Token, "cpu v=1 1")
	n.must("auth", "active", "-i", created.ID)
	n.must("write", "-b", "plc", "-t", created.Token, "cpu v=1 1")
	n.must("auth", "delete", "-i", created.ID)
	n.refused("write", "-b", "plc", "-t", created.Token, "cpu v=1 1")
	n.must("auth", "create", "-u", "admin", "--all-access")
	n.must("auth", "create", "-u", "admin", "--operator")
	n.must("auth", "create", "-u", "admin", "--read-buckets", "--write-tasks", "--read-notificationRules", "--read-dbrp")
}

func TestReplicationOfARealNodeIsSteered(t *testing.T) {
	n := newNode(t)
	n.setup()
	bucket := n.made("bucket", "create", "-n", "plc")
	remote := n.made("remote", "create", "-n", "central", "--remote-url", "http://127.0.0.1:1", "--remote-api-token", "secret-token", "--remote-org-id", orgID)
	n.holds([]string{"central", "http://127.0.0.1:1"}, "remote", "list")
	n.holds([]string{"true"}, "remote", "update", "-i", remote, "--allow-insecure-tls")
	repl := n.made("replication", "create", "-n", "up", "--remote-id", remote, "--local-bucket-id", bucket, "--remote-bucket", "plc")
	n.holds([]string{"up", "67108860"}, "replication", "list", "--remote-id", remote)
	if text := n.refused("replication", "create", "-n", "small", "--remote-id", remote, "--local-bucket-id", bucket, "--remote-bucket", "plc", "--max-queue-bytes", "5"); !strings.Contains(text, "maxQueueSize too small") {
		t.Errorf("small queue: %s", text)
	}
	n.holds([]string{"67108861"}, "replication", "update", "-i", repl, "--max-queue-bytes", "67108861")

	parsed, err := id.Parse(repl)
	if err != nil {
		t.Fatal(err)
	}
	n.running[parsed] = replicate.Status{ID: parsed, Name: "up", State: replicate.Waiting, Reason: "connection refused", Lag: 90 * time.Second, ETA: -1}
	n.holds([]string{"waiting", "1m30s", "connection refused", "unknown"}, "replication", "status")
	n.holds([]string{"paused"}, "replication", "pause", "-i", repl)
	n.holds([]string{"waiting"}, "replication", "resume", "-i", repl)
	n.holds([]string{"7", "422", "cpu v=1 1"}, "replication", "dead-letters", "-i", repl)
	n.holds([]string{"3", "dropped", "12", "open"}, "replication", "gaps", "-i", repl)
	for _, args := range []string{"retry", "retry --dead-letter 7", "purge --all", "fill --gap 3", "resync --start 1970-01-01T00:00:01Z --stop 1970-01-01T00:00:02Z"} {
		n.must(append(append([]string{"replication"}, strings.Fields(args)...), "-i", repl)...)
	}
	if want := []string{"retry []", "retry [7]", "purge []", "fill 3", "resync 1000000000 2000000000"}; !slices.Equal(n.asked, want) {
		t.Errorf("the node was asked %q, want %q", n.asked, want)
	}
	if text := n.refused("remote", "delete", "-i", remote); !strings.Contains(text, "--delete-replications") {
		t.Errorf("remote in use: %s", text)
	}
	n.must("remote", "delete", "-i", remote, "--delete-replications")
	if out := n.must("replication", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("replications that are left: %s", out)
	}
}

func TestPointsOfARealNodeAreWrittenQueriedAndDeleted(t *testing.T) {
	n := newNode(t)
	n.setup()
	path := fileOf(t, "in.lp", "cpu,host=a v=1 1\ncpu,host=a s=\"two\nlines\" 2\n")
	n.must("write", "-b", "telegraf", "-p", "s", "-f", path)
	if want := []string{"cpu,host=a v=1 1000000000\n", "cpu,host=a s=\"two\nlines\" 2000000000\n"}; !slices.Equal(n.lines, want) {
		t.Errorf("written %q, want %q", n.lines, want)
	}
	bad := fileOf(t, "bad.lp", "cpu v=1 1\nbad\n")
	if text := n.refused("write", "-b", "telegraf", "-f", bad); !strings.Contains(text, bad+":2: unable to parse 'bad'") {
		t.Errorf("bad line: %s", text)
	}
	if text := n.refused("write", "-b", "nowhere", "cpu v=1"); !strings.Contains(text, "404") {
		t.Errorf("unknown bucket: %s", text)
	}
	n.holds([]string{"databases", "telegraf"}, "query", "-b", "telegraf", "SHOW DATABASES")
	n.must("delete", "-b", "telegraf", "--start", "1970-01-01T00:00:00Z", "--stop", "1970-01-01T00:00:05Z", "-p", `_measurement="cpu"`)
	if want := []string{"query SHOW DATABASES on telegraf. chunked true", `delete 0 5000000000 _measurement="cpu"`}; !slices.Equal(n.asked, want) {
		t.Errorf("the node was asked %q, want %q", n.asked, want)
	}
}

func TestV1OfARealNode(t *testing.T) {
	n := newNode(t)
	n.setup()
	bucket := n.made("bucket", "create", "-n", "plc")
	mapping := n.made("v1", "dbrp", "create", "--db", "old", "--rp", "year", "--bucket-id", bucket, "--default")
	n.holds([]string{"old", "VIRTUAL", "plc"}, "v1", "dbrp", "list")
	n.holds([]string{"decade"}, "v1", "dbrp", "update", "--id", mapping, "-r", "decade")
	n.must("v1", "auth", "create", "--username", "agent", "--password", "password3", "--write-bucket", bucket, "--read-bucket", bucket)
	n.holds([]string{"agent", "admin"}, "v1", "auth", "list")
	if text := n.refused("v1", "auth", "create", "--username", "agent", "--no-password"); !strings.Contains(text, "already exists") {
		t.Errorf("name that is taken: %s", text)
	}
	n.must("v1", "auth", "set-password", "--username", "agent", "--password", "password4")
	n.must("v1", "auth", "set-inactive", "--username", "agent")
	n.must("v1", "auth", "set-active", "--username", "agent")
	n.must("v1", "auth", "delete", "--username", "agent")
	n.stdin = "use old.decade\ninsert m v=1 5\nSHOW DATABASES\n"
	n.holds([]string{"databases"}, "v1", "shell")
	if want := []string{"m v=1 5\n"}; !slices.Equal(n.lines, want) {
		t.Errorf("the shell wrote %q, want %q", n.lines, want)
	}
	n.must("v1", "dbrp", "delete", "--id", mapping)
}
