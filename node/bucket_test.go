package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/settings"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// quietEngine is an engine that follows its catalog, and its folder.
func quietEngine(t *testing.T, c *catalog.Catalog) (*Node, string) {
	t.Helper()
	dir := t.TempDir()
	n := &Node{logger: slog.New(slog.DiscardHandler), catalog: c, registry: prometheus.NewRegistry()}
	n.settings.Node.Data = dir
	err := n.openEngine()
	if err == nil {
		n.replications, err = newReplications(dir, n.buckets, c, "", n.logger, n.registry)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop := c.Watch(n.follow)
	t.Cleanup(func() {
		stop()
		if err := errors.Join(n.replications.set.Close(), n.closeEngine()); err != nil {
			t.Error(err)
		}
	})
	return n, dir
}

func setUp(t *testing.T, c *catalog.Catalog) catalog.SetupResult {
	t.Helper()
	s, err := c.Setup(catalog.SetupRequest{Username: "u", Org: "o", Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func onePoint(t *testing.T, at int) *line.Batch {
	t.Helper()
	var (
		p line.Parser
		b line.Batch
	)
	if err := p.Parse(&b, fmt.Appendf(nil, "m v=%di %d", at, 1_700_000_000_000_000_000+int64(at)*1e9), line.Options{}); err != nil {
		t.Fatal(err)
	}
	return &b
}

// within fails when f does not end: a writer that waits for ever is the worst way to fail.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("not done within %v", d)
	}
}

func wantNoFolder(t *testing.T, dir string, bucket id.ID) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*", bucket.String()+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left of the bucket: %v, %v", left, err)
	}
}

func TestWritesToADeletedBucketEndAndLeaveNoFolder(t *testing.T) {
	c := newCatalog(t)
	n, dir := quietEngine(t, c)
	s := setUp(t, c)
	for range 10 {
		b, err := c.CreateBucket(catalog.Bucket{OrgID: s.Org.ID, Name: "doomed"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var (
			group sync.WaitGroup
			begun sync.WaitGroup
		)
		begun.Add(8)
		for w := range 8 {
			group.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					err := n.buckets.Write(ctx, b.ID, onePoint(t, w*1000+i))
					if i == 0 {
						begun.Done()
					}
					if err != nil && !errors.Is(err, journal.ErrClosed) && !errors.Is(err, context.Canceled) && catalog.CodeOf(err) != catalog.NotFound {
						t.Errorf("write to a bucket that is deleted: %v", err)
					}
					if i%50 == 49 {
						if err := n.buckets.Delete(ctx, b.ID, 0, 1, ""); err == nil {
							continue
						}
					}
				}
			})
		}
		opened, err := n.buckets.get(b.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, work := range []func(context.Context) error{opened.store.Flush, opened.store.Compact} {
			group.Go(func() {
				for ctx.Err() == nil {
					if err := work(ctx); err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, context.Canceled) {
						t.Errorf("work on a bucket that is deleted: %v", err)
					}
				}
			})
		}
		begun.Wait()
		within(t, 20*time.Second, func() {
			if err := c.DeleteBucket(b.ID); err != nil {
				t.Error(err)
			}
			cancel()
			group.Wait()
		})
		wantNoFolder(t, dir, b.ID)
	}
}

func TestTheReservedBucketStaysDeleted(t *testing.T) {
	c := newCatalog(t)
	n, dir := quietEngine(t, c)
	bucket := c.Reserved().Bucket
	if err := n.buckets.Write(t.Context(), bucket, onePoint(t, 1)); err != nil {
		t.Fatalf("before set-up: %v", err)
	}
	setUp(t, c)
	if err := n.buckets.Write(t.Context(), bucket, onePoint(t, 2)); err != nil {
		t.Fatalf("after set-up: %v", err)
	}
	if err := c.DeleteBucket(bucket); err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Write(t.Context(), bucket, onePoint(t, 3)); catalog.CodeOf(err) != catalog.NotFound {
		t.Errorf("a write to the deleted bucket: %v", err)
	}
	if err := n.buckets.openAll(); err != nil {
		t.Fatal(err)
	}
	wantNoFolder(t, dir, bucket)
}

func TestABucketThatCouldNotBeOpenedWorksOnceItsFolderDoes(t *testing.T) {
	c := newCatalog(t)
	n, dir := quietEngine(t, c)
	s := setUp(t, c)
	if err := os.MkdirAll(filepath.Join(dir, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := c.CreateBucket(catalog.Bucket{OrgID: s.Org.ID, Name: "late"})
	if err != nil {
		t.Fatal(err)
	}
	obstacle := n.buckets.journalDir(b.ID)
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Write(t.Context(), b.ID, onePoint(t, 1)); err == nil {
		t.Fatal("a write succeeded without a journal")
	}
	if err := n.buckets.Health(); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("health with a bucket that cannot be opened: %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Write(t.Context(), b.ID, onePoint(t, 1)); err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Health(); err != nil {
		t.Errorf("health with all buckets open: %v", err)
	}
	opened, err := n.buckets.get(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cursor, ok := n.buckets.cursors.Load(b.ID)
	if !ok || cursor.(journal.Cursor).Position() != 1 {
		t.Errorf("after a flush the journal still keeps its records for the store: %v", cursor)
	}
}

func TestWhatIsLeftOfADeletedBucketIsRemovedAtTheNextStart(t *testing.T) {
	c, dir := newCatalog(t), t.TempDir()
	var left []string
	for _, room := range []string{"journal", "store"} {
		d := filepath.Join(dir, room, id.New().String()+droppedSuffix)
		if err := os.MkdirAll(filepath.Join(d, "inner"), 0o700); err != nil {
			t.Fatal(err)
		}
		left = append(left, d)
	}
	n, err := engine(t, dir, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range left {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", d, err)
		}
	}
	if err := n.closeEngine(); err != nil {
		t.Fatal(err)
	}
}

func TestAPanicBehindTheTurnstileHoldsNobodyUp(t *testing.T) {
	var order turnstile
	order.open(1)
	within(t, 10*time.Second, func() {
		var group sync.WaitGroup
		passed := make(chan journal.Position, 4)
		for _, p := range []journal.Position{4, 3, 2} {
			group.Go(func() { order.pass(p, func() { passed <- p }) })
		}
		func() {
			defer func() { _ = recover() }()
			order.pass(1, func() { panic("a defect") })
		}()
		group.Wait()
		for _, want := range []journal.Position{2, 3, 4} {
			if got := <-passed; got != want {
				t.Errorf("position %d passed in the place of %d", got, want)
			}
		}
	})
}

// brokenLog refuses what is appended.
type brokenLog struct {
	journal.Log
	err error
}

func (l brokenLog) Append(context.Context, journal.Record) (journal.Position, error) { return 0, l.err }

func TestHealthTellsThatAJournalStopped(t *testing.T) {
	c := newCatalog(t)
	n, _ := quietEngine(t, c)
	b, err := n.buckets.get(c.Reserved().Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Health(); err != nil {
		t.Fatalf("before: %v", err)
	}
	b.log = brokenLog{b.log, fmt.Errorf("%w: /secret/path: input/output error", journal.ErrFailed)}
	if err := n.buckets.Write(t.Context(), b.id, onePoint(t, 1)); !errors.Is(err, journal.ErrFailed) {
		t.Fatalf("write: %v", err)
	}
	if err := n.buckets.Health(); !errors.Is(err, journal.ErrFailed) || strings.Contains(err.Error(), "/secret") {
		t.Errorf("health after the journal stopped: %v", err)
	}
}

// A full disk lets neither the journal nor the store write. The answer must say when to come back, and not each request may try to flush.
func TestAFullDiskIsToldAsFull(t *testing.T) {
	c := newCatalog(t)
	n, dir := quietEngine(t, c)
	b, err := n.buckets.get(c.Reserved().Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.buckets.Write(t.Context(), b.id, onePoint(t, 1)); err != nil {
		t.Fatal(err)
	}
	whole := b.log
	b.log = brokenLog{whole, &journal.FullError{RetryAfter: 7 * time.Second, Reason: "the disk is full"}}
	folder := filepath.Join(dir, "store", b.id.String())
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // nothing can be written below a file
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	b.now = func() time.Time { return now }
	var full *journal.FullError
	if err := b.write(t.Context(), onePoint(t, 2)); !errors.As(err, &full) || full.RetryAfter != 7*time.Second {
		t.Fatalf("a write to a full disk: %v", err)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	if err := b.write(t.Context(), onePoint(t, 3)); !errors.As(err, &full) || b.store.Flushed() != 0 {
		t.Errorf("a flush was tried again at once: %v", err)
	}
	now = now.Add(-time.Hour) // a clock that is set back must not keep the next try off
	if err := b.write(t.Context(), onePoint(t, 4)); !errors.As(err, &full) || b.store.Flushed() != 1 {
		t.Errorf("no flush was tried later: %v", err)
	}
	b.log = whole
	if err := b.write(t.Context(), onePoint(t, 5)); err != nil {
		t.Fatal(err)
	}
}

func TestASecondNodeIsRefusedBeforeItTouchesTheFolder(t *testing.T) {
	s := settings.Settings{Node: settings.Node{Data: t.TempDir(), Listen: "127.0.0.1:0"}}
	logger := slog.New(slog.DiscardHandler)
	first, err := Open(s, nil, version.Get(), logger)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(s.Node.Data, "catalog.db.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s, nil, version.Get(), logger); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second node in the folder: %v", err)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second node has written to the folder: %v", err)
	}
	if err := first.buckets.Write(t.Context(), first.catalog.Reserved().Bucket, onePoint(t, 1)); err != nil {
		t.Errorf("the first node after it: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

func TestANodeStartsWithoutTheBucketThatItsConfigurationReplicates(t *testing.T) {
	s := settings.Settings{Node: settings.Node{Data: t.TempDir(), Listen: "127.0.0.1:0"}}
	s.Remotes = []settings.Remote{{Name: "r", URL: "http://127.0.0.1:1", Username: "u", Password: "p"}}
	s.Replications = []settings.Replication{{Name: "all", Remote: "r", RemoteBucket: "b"}}
	logger := slog.New(slog.DiscardHandler)
	for start := range 2 {
		n, err := Open(s, nil, version.Get(), logger)
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		if start == 0 {
			setUp(t, n.catalog)
			if err := n.catalog.DeleteBucket(n.catalog.Reserved().Bucket); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func setupRequest(bucket string) catalog.SetupRequest {
	return catalog.SetupRequest{Username: "u", Org: "o", Bucket: bucket}
}
