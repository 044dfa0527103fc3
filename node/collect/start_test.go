package collect

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// memorySink keeps what is written as lines, and tells who waits.
type memorySink struct {
	mu     sync.Mutex
	lines  []string
	writes int
	err    error
	wrote  chan struct{}
}

func newSink() *memorySink { return &memorySink{wrote: make(chan struct{}, 1000)} }

func (s *memorySink) Write(_ context.Context, b *line.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		for i := range b.Points {
			s.lines = append(s.lines, string(line.AppendPoint(nil, &b.Points[i])))
		}
	}
	s.writes++
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.err
}

// measurements waits until all of the wanted ones were written.
func (s *memorySink) await(t *testing.T, wanted ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		var missing []string
		seen := s.measurements()
		for _, w := range wanted {
			if !slices.Contains(seen, w) {
				missing = append(missing, w)
			}
		}
		if missing == nil {
			return
		}
		select {
		case <-s.wrote:
		case <-deadline:
			t.Fatalf("nothing written for %v; have %v", missing, seen)
		}
	}
}

func (s *memorySink) measurements() []string {
	var all []string
	for _, l := range s.all() {
		p := parseLine(l)
		name, _ := line.SplitSeries(p.Series)
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *memorySink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func parseLine(l string) line.Point {
	var b line.Batch
	var p line.Parser
	if err := p.Parse(&b, []byte(l), line.Options{Precision: line.Nanosecond}); err != nil {
		panic(err)
	}
	return b.Points[0]
}

func testLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := tryLoad(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryLoad(text string) (*Config, error) {
	tables, err := conf.Parse("test.conf", []byte(text), conf.ParseOptions{Env: os.LookupEnv})
	if err != nil {
		return nil, err
	}
	return Load(tables, LoadOptions{Others: []string{"node", "journal", "store", "remote"}})
}

func start(t *testing.T, c *Config, o Options) *Collector {
	t.Helper()
	col, err := Start(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := col.Close(); err != nil {
			t.Error(err)
		}
	})
	return col
}

func TestHostMetricsReachTheSink(t *testing.T) {
	sink := newSink()
	start(t, load(t, `
[agent]
  interval = "50ms"
  round_interval = false
  hostname = "edge-7"
[global_tags]
  site = "north-pier"
[[inputs.cpu]]
  percpu = false
[[inputs.mem]]
`), Options{Sink: sink})
	sink.await(t, "cpu", "mem")
	for _, l := range sink.all() {
		_, tags := line.SplitSeries(parseLine(l).Series)
		if !slices.Contains(tags, line.Tag{Key: "host", Value: "edge-7"}) || !slices.Contains(tags, line.Tag{Key: "site", Value: "north-pier"}) {
			t.Fatalf("global tags are missing in %s", l)
		}
	}
}
