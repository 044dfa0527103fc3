package node

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/version"
)

// remote is a server that takes writes and keeps their lines, or refuses them with a status.
type remote struct {
	*httptest.Server
	mu     sync.Mutex
	lines  []string
	status int
}

func newRemote(t *testing.T) *remote {
	r := &remote{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var body io.Reader = q.Body
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(q.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = z
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for s := bufio.NewScanner(body); r.status == http.StatusNoContent && s.Scan(); {
			r.lines = append(r.lines, s.Text())
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *remote) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// has waits for a line that begins so.
func (r *remote) has(t *testing.T, prefix string) {
	t.Helper()
	soon(t, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.ContainsFunc(r.lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
			return fmt.Errorf("no line %q… among %d", prefix, len(r.lines))
		}
		return nil
	})
}

func (r *remote) count(prefix string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func soon(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// setting is a configuration file and the options of a run with it.
type setting struct {
	t    *testing.T
	path string
	o    RunOptions
}

func newSetting(t *testing.T) *setting {
	dir := t.TempDir()
	s := &setting{t: t, path: filepath.Join(dir, "holdfast.toml")}
	s.o = RunOptions{Config: []string{s.path}, Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0"}
	return s
}

// write replaces the file's text. An input prints its measurement's name.
func (s *setting) write(parts ...string) *setting {
	s.t.Helper()
	text := "[agent]\n  interval = \"20ms\"\n  round_interval = false\n  omit_hostname = true\n" + strings.Join(parts, "")
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func input(measurement string) string {
	return fmt.Sprintf("[[inputs.exec]]\n  commands = [\"echo %s v=1i\"]\n  data_format = \"influx\"\n", measurement)
}

func output(alias string, r *remote) string {
	return fmt.Sprintf("[[outputs.influxdb_v2]]\n  alias = %q\n  urls = [%q]\n  token = \"t\"\n  organization = \"o\"\n  bucket = \"b\"\n", alias, r.URL)
}

func (s *setting) open(logger *slog.Logger) *Node {
	s.t.Helper()
	c, err := load(s.t.Context(), s.o, logger)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := Open(c.settings, c.inputs, version.Get(), logger)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return n
}

func (s *setting) reload(n *Node) error {
	s.t.Helper()
	c, err := load(s.t.Context(), s.o, n.logger)
	if err != nil {
		return err
	}
	return n.Reload(c.settings, c.inputs)
}

func TestReloadSwapsInputsAndOutputs(t *testing.T) {
	first, second := newRemote(t), newRemote(t)
	s := newSetting(t).write(input("before"), output("a", first))
	n := s.open(slog.New(slog.DiscardHandler))
	first.has(t, "before v=1i")
	s.write(input("after"), output("a", first), output("b", second))
	if err := s.reload(n); err != nil {
		t.Fatal(err)
	}
	first.has(t, "after v=1i")
	second.has(t, "after v=1i")
	if got := second.count("before"); got != 0 {
		t.Errorf("a new output got %d points that were gathered before it was configured", got)
	}
	s.write(output("b", second)) // no inputs
	if err := s.reload(n); err != nil {
		t.Fatal(err)
	}
	if n.collector != nil || len(n.replications.set.Statuses()) != 1 {
		t.Errorf("after the removal: collector %v, %d replications", n.collector, len(n.replications.set.Statuses()))
	}
}

// An output that is taken out keeps what it has not sent, and sends it when it comes back.
func TestAnOutputThatComesBackGoesOnWhereItWas(t *testing.T) {
	first := newRemote(t)
	s := newSetting(t).write(input("m"), output("a", first))
	first.answer(http.StatusServiceUnavailable)
	n := s.open(slog.New(slog.DiscardHandler))
	soon(t, func() error {
		if st := n.replications.set.Statuses(); st[0].RemainingBytes == 0 || !st[0].Attempted {
			return fmt.Errorf("nothing is waiting: %+v", st)
		}
		return nil
	})
	s.write()
	if err := s.reload(n); err != nil {
		t.Fatal(err)
	}
	first.answer(http.StatusNoContent)
	if got := first.count("m"); got != 0 {
		t.Fatalf("%d points arrived at a remote that answered 503", got)
	}
	s.write(output("a", first))
	if err := s.reload(n); err != nil {
		t.Fatal(err)
	}
	first.has(t, "m v=1i")
}

func TestReloadOfABadConfigurationChangesNothing(t *testing.T) {
	first := newRemote(t)
	good := []string{input("m"), output("a", first)}
	s := newSetting(t).write(good...)
	n := s.open(slog.New(slog.DiscardHandler))
	for _, bad := range []string{
		"[[inputs.exec]]\n  comands = [\"x\"]\n",
		"[[inputs.exec]]\n  commands = [\"x\"\n",
		"[[processors.regex]]\n  [[processors.regex.tags]]\n    key = \"a\"\n    pattern = \"(\"\n",
		"[[remote]]\n  name = \"r\"\n  url = \"http://127.0.0.1:1\"\n[[replication]]\n  name = \"x\"\n  remote = \"r\"\n  remote_bucket = \"b\"\n  max_age = \"1s\"\n",
		"[journal]\n  policy = \"perhaps\"\n",
	} {
		s.write(append([]string{bad}, good...)...)
		if err := s.reload(n); err == nil {
			t.Errorf("this was taken over: %s", bad)
		}
	}
	before := first.count("m")
	soon(t, func() error {
		if first.count("m") <= before {
			return fmt.Errorf("nothing arrives any more after %d points", before)
		}
		return nil
	})
}

// records is a log handler that keeps messages with their attributes.
type records struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestReloadTellsWhatNeedsARestart(t *testing.T) {
	log := &records{}
	s := newSetting(t).write("[journal]\n  max_bytes = \"1GiB\"\n")
	n := s.open(log.logger())
	s.write("[journal]\n  max_bytes = \"2GiB\"\n[node]\n  log_level = \"debug\"\n")
	if err := s.reload(n); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"setting=journal.max_bytes", "setting=node.log_level"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log: %s", want, log)
		}
	}
	if n.shown()["journal"] != n.settings.Journal || n.settings.Journal.MaxBytes != 1<<30 {
		t.Errorf("journal settings that are not in force are shown: %+v", n.shown()["journal"])
	}
}

// A node is configured before it is set up, and so before the bucket is there that its configuration names.
func TestAConfiguredReplicationStartsWhenItsBucketIsMade(t *testing.T) {
	first := newRemote(t)
	log := &records{}
	s := newSetting(t).write(input("m"), fmt.Sprintf("[[remote]]\n  name = \"r\"\n  url = %q\n[[replication]]\n  name = \"x\"\n  remote = \"r\"\n"+
		"  remote_bucket = \"b\"\n  bucket = \"plant\"\n", first.URL))
	n := s.open(log.logger())
	if got := n.replications.set.Statuses(); len(got) != 0 || !strings.Contains(log.String(), "waits for its bucket") {
		t.Fatalf("replications %+v, log %s", got, log)
	}
	if _, err := n.catalog.Setup(setupRequest("plant")); err != nil {
		t.Fatal(err)
	}
	first.has(t, "m v=1i")
}

func TestOnceGathersStoresAndSends(t *testing.T) {
	first := newRemote(t)
	s := newSetting(t).write(input("m"), output("a", first))
	s.o.Once = true
	for i := range 3 {
		if err := Run(t.Context(), s.o); err != nil {
			t.Fatal(err)
		}
		if got := first.count("m v=1i"); got != i+1 {
			t.Fatalf("after %d runs the remote has %d points", i+1, got)
		}
	}
}

// What once cannot send makes it fail, stays, and is sent by the next run.
func TestOnceFailsWhenSomethingStaysUnsent(t *testing.T) {
	for name, status := range map[string]int{"waiting": http.StatusServiceUnavailable, "refused": http.StatusUnauthorized, "error": http.StatusInternalServerError} {
		t.Run(name, func(t *testing.T) {
			first := newRemote(t)
			s := newSetting(t).write(input("m"), output("a", first))
			s.o.Once = true
			first.answer(status)
			if err := Run(t.Context(), s.o); err == nil || !strings.Contains(err.Error(), `replication "a" has not sent everything`) {
				t.Fatalf("error %v", err)
			}
			first.answer(http.StatusNoContent)
			if err := Run(t.Context(), s.o); err != nil {
				t.Fatal(err)
			}
			if got := first.count("m v=1i"); got != 2 {
				t.Errorf("the remote has %d points of two runs", got)
			}
		})
	}
}

func TestOnceFailsWhenTheRemoteRefusesPoints(t *testing.T) {
	first := newRemote(t)
	s := newSetting(t).write(input("m"), output("a", first))
	s.o.Once = true
	first.answer(http.StatusUnprocessableEntity)
	if err := Run(t.Context(), s.o); err == nil || !strings.Contains(err.Error(), "refused 1 points") {
		t.Errorf("error %v", err)
	}
}

func TestOnceFailsWithItsInputs(t *testing.T) {
	s := newSetting(t).write("[[inputs.exec]]\n  commands = [\"/nonexistent/program\"]\n  data_format = \"influx\"\n", input("m"))
	s.o.Once = true
	if err := Run(t.Context(), s.o); err == nil || !strings.Contains(err.Error(), "inputs.exec") {
		t.Errorf("error %v", err)
	}
	s.write()
	if err := Run(t.Context(), s.o); err == nil || !strings.Contains(err.Error(), "nothing to gather") {
		t.Errorf("error %v", err)
	}
}

// A watched configuration is followed without a signal, and what ends the run ends the watch.
func TestRunFollowsItsWatchedConfiguration(t *testing.T) {
	first := newRemote(t)
	s := newSetting(t).write(input("before"), output("a", first))
	s.o.WatchConfig = "notify"
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.o) }()
	first.has(t, "before v=1i")
	s.write("[[inputs.exec]]\n  nonsense = 1\n")
	s.write(input("after"), output("a", first))
	first.has(t, "after v=1i")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
