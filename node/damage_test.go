package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/settings"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// engine is a node without inputs, replications and server.
func engine(t *testing.T, dir string, c *catalog.Catalog, logger *slog.Logger) (*Node, error) {
	t.Helper()
	n := &Node{logger: logger, catalog: c, registry: prometheus.NewRegistry()}
	n.settings.Node.Data = dir
	n.settings.Journal = settings.Journal{SegmentBytes: 4096}
	err := n.openEngine()
	if err == nil {
		_, err = n.buckets.get(c.Reserved().Bucket) // what openAll could not open only logs
	}
	return n, err
}

func (n *Node) closeEngine() error { return errors.Join(n.store.Close(), n.buckets.close()) }

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

const (
	damageRecords = 24
	recordPoints  = 10
)

func writeRecord(t *testing.T, n *Node, bucket id.ID, record int) {
	t.Helper()
	var b strings.Builder
	for i := range recordPoints {
		at := record*recordPoints + i
		fmt.Fprintf(&b, "m,host=h%d v=%di,s=\"value %d\" %d\n", i%3, at, at, 1_700_000_000_000_000_000+int64(at)*1e9)
	}
	var (
		p     line.Parser
		batch line.Batch
	)
	if err := p.Parse(&batch, []byte(b.String()), line.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Write(t.Context(), bucket, &batch); err != nil {
		t.Fatal(err)
	}
}

// points reads every value of m.v and fails on one that was never written.
func points(t *testing.T, n *Node, bucket id.ID) int {
	t.Helper()
	b, err := n.buckets.get(bucket)
	if err != nil {
		t.Fatal(err)
	}
	all := store.TimeRange{Min: line.MinTime, Max: line.MaxTime}
	series, err := b.store.Series(t.Context(), "m", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.store.Scan(t.Context(), store.ScanOptions{Series: series, Fields: []string{"v"}, Range: all})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	total := 0
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			return total
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range chunk.Times {
			if v := chunk.Columns[0].Integers[i]; at != 1_700_000_000_000_000_000+v*1e9 {
				t.Fatalf("value %d at %d was never written", v, at)
			}
			total++
		}
	}
}

// complaints counts what is logged as a warning or worse.
type complaints struct {
	slog.Handler
	n *atomic.Int64
}

func (c complaints) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.n.Add(1)
	}
	return c.Handler.Handle(ctx, r)
}
func (c complaints) Enabled(context.Context, slog.Level) bool { return true }
func (c complaints) WithAttrs([]slog.Attr) slog.Handler       { return c }

// Half of the points are in blocks, half in the journal alone. One damaged byte anywhere costs at most the record or the block
// page that it is in, the node opens, and when anything is lost it says so.
func TestADamagedByteCostsAtMostItsRecordOrPage(t *testing.T) {
	c := newCatalog(t)
	bucket := c.Reserved().Bucket
	origin := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	n, err := engine(t, origin, c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for r := range damageRecords / 2 {
		writeRecord(t, n, bucket, r)
	}
	b, err := n.buckets.get(bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.buckets.flushed(bucket, b.store.Flushed())
	for r := damageRecords / 2; r < damageRecords; r++ {
		writeRecord(t, n, bucket, r)
	}
	if got := points(t, n, bucket); got != damageRecords*recordPoints {
		t.Fatalf("%d points before any damage", got)
	}
	if err := n.closeEngine(); err != nil {
		t.Fatal(err)
	}

	rng := rand.New(rand.NewPCG(7, 7))
	files, cases := 0, 0
	err = filepath.WalkDir(origin, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		whole, err := os.ReadFile(path)
		if err != nil || len(whole) == 0 {
			return err
		}
		files++
		for range min(len(whole), 25) {
			at := rng.IntN(len(whole))
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
				return err
			}
			rel, err := filepath.Rel(origin, path)
			if err != nil {
				return err
			}
			broken := append([]byte(nil), whole...)
			broken[at] ^= byte(1 + rng.IntN(255))
			if err := os.WriteFile(filepath.Join(dir, rel), broken, 0o600); err != nil {
				return err
			}
			cases++
			lossAfter(t, c, dir, fmt.Sprintf("byte %d of %s", at, rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d damaged bytes in %d files", cases, files)
}

// lossAfter opens a damaged folder and checks how much of it is gone.
func lossAfter(t *testing.T, c *catalog.Catalog, dir, what string) {
	t.Helper()
	var said atomic.Int64
	begin := time.Now()
	n, err := engine(t, dir, c, slog.New(complaints{slog.DiscardHandler, &said}))
	if err != nil {
		t.Errorf("%s: the node does not open: %v", what, err)
		return
	}
	lost := damageRecords*recordPoints - points(t, n, c.Reserved().Bucket)
	// A page holds what was flushed at once: here half of the points.
	if most := damageRecords / 2 * recordPoints; lost > most {
		t.Errorf("%s: %d points lost, at most %d may be", what, lost, most)
	}
	if strings.Contains(what, "journal") && lost > recordPoints {
		t.Errorf("%s: %d points lost, the record has %d", what, lost, recordPoints)
	}
	if lost > 0 && said.Load() == 0 {
		t.Errorf("%s: %d points are lost and nothing was logged", what, lost)
	}
	if err := n.closeEngine(); err != nil {
		t.Errorf("%s: close: %v", what, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("%s: opening took %v", what, took)
	}
}
