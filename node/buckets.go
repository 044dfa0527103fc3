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
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/api"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// buckets are the open buckets of a node. A bucket is opened when it is first needed and stays open until it is deleted or
// the node closes.
type buckets struct {
	dir      string
	journal  journal.Options // of each bucket, but for what is its own
	catalog  *catalog.Catalog
	store    *store.Store
	registry prometheus.Registerer
	logger   *slog.Logger
	now      func() time.Time

	mu     sync.RWMutex
	open   map[id.ID]*bucket
	shut   map[id.ID]bool // those that could not be opened when that was last tried
	closed bool

	// cursors are the stores' durable positions in the journals, by bucket. The store asks for them when it has flushed, also while
	// a bucket is being opened, dropped, or could not be opened.
	cursors sync.Map // of id.ID to journal.Cursor
}

// get returns the open bucket, opening it when the catalog knows it.
func (bs *buckets) get(i id.ID) (*bucket, error) {
	bs.mu.RLock()
	b := bs.open[i]
	bs.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b := bs.open[i]; b != nil {
		return b, nil
	}
	if bs.closed {
		return nil, errClosing
	}
	o, err := bs.options(i)
	if err != nil {
		return nil, err
	}
	if b, err = bs.openBucket(i, o); err != nil {
		bs.shut[i] = true
		return nil, fmt.Errorf("open bucket %s: %w", i, err)
	}
	delete(bs.shut, i)
	bs.open[i] = b
	return b, nil
}

var errClosing = errors.New("the node is stopping")

// openAll opens what is written to and replicated from the start on. A bucket that cannot be opened does not keep the others from
// working: it is tried again by whoever needs it, and its error is theirs.
func (bs *buckets) openAll() error {
	known, err := bs.catalog.Buckets(0)
	if err != nil {
		return err
	}
	unnamed, err := bs.catalog.SetupAllowed()
	if err != nil {
		return err
	}
	var ids []id.ID
	if unnamed {
		ids = append(ids, bs.catalog.Reserved().Bucket)
	}
	for _, b := range known {
		if b.Type != catalog.SystemBucket {
			ids = append(ids, b.ID)
		}
	}
	for _, i := range ids {
		if _, err := bs.get(i); err != nil {
			bs.logger.Error("bucket not opened", "bucket", i.String(), "err", err)
		}
	}
	return nil
}

// options returns how long a bucket's points are kept. The reserved bucket keeps them for ever until set-up names it; from then on it
// is a bucket like others, and can be deleted.
func (bs *buckets) options(i id.ID) (store.BucketOptions, error) {
	if i == bs.catalog.Reserved().Bucket {
		if unnamed, err := bs.catalog.SetupAllowed(); err != nil {
			return store.BucketOptions{}, err
		} else if unnamed {
			return store.BucketOptions{ShardDuration: catalog.DefaultShardDuration(0)}, nil
		}
	}
	known, err := bs.catalog.Bucket(i)
	if err != nil {
		return store.BucketOptions{}, err
	}
	return store.BucketOptions{Retention: known.Retention, ShardDuration: known.ShardDuration}, nil
}

func (bs *buckets) openBucket(i id.ID, o store.BucketOptions) (*bucket, error) {
	b := &bucket{id: i, now: bs.now, pressure: bs.store.Pressure, logger: bs.logger.With("bucket", i.String())}
	o.OnFlush = func(pos uint64) { bs.flushed(i, pos) }
	var err error
	if b.store, err = bs.store.Bucket(i, o); err != nil {
		return nil, err
	}
	j := bs.journal
	j.Dir, j.Now, j.Logger = bs.journalDir(i), bs.now, b.logger
	// Positions only grow: a journal that was lost must not give a position again that the store has in its blocks.
	j.After = journal.Position(b.store.Flushed())
	j.RequestRelease = b.store.RequestFlush
	if bs.registry != nil {
		j.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"bucket": i.String()}, bs.registry)
	}
	if b.log, err = journal.Open(j); err != nil {
		return nil, err
	}
	cursor, err := b.log.Cursor(storeCursor, journal.CursorOptions{Pins: true})
	if err == nil {
		bs.cursors.Store(i, cursor)
		err = b.recover()
	}
	if err != nil {
		bs.cursors.Delete(i)
		return nil, errors.Join(err, b.log.Close())
	}
	bs.flushed(i, b.store.Flushed())
	return b, nil
}

// flushed is called by the store after blocks became durable: the journal need not keep what is in them for the store's sake.
func (bs *buckets) flushed(i id.ID, pos uint64) {
	cursor, ok := bs.cursors.Load(i)
	if !ok {
		return
	}
	if err := cursor.(journal.Cursor).Advance(journal.Position(pos)); err != nil {
		bs.logger.Error("store position not saved; the journal keeps more than it needs", "bucket", i.String(), "err", err)
	}
}

func (bs *buckets) journalDir(i id.ID) string { return filepath.Join(bs.dir, "journal", i.String()) }

// droppedSuffix marks folders of deleted buckets on their way out.
const droppedSuffix = ".dropped"

// drop forgets a bucket that was deleted, with its journal and its points. The folders get other names first, so that what cannot be
// removed now, or not before a crash, is removed at the next start.
func (bs *buckets) drop(i id.ID) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.cursors.Delete(i)
	delete(bs.shut, i)
	var errs []error
	if b := bs.open[i]; b != nil {
		delete(bs.open, i)
		errs = append(errs, b.log.Close())
	}
	dir := bs.journalDir(i)
	if err := os.Rename(dir, dir+droppedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(dir+droppedSuffix), bs.store.Drop(i))...)
}

// tidy removes what is left of buckets that were deleted.
func (bs *buckets) tidy() {
	var errs []error
	for _, room := range []string{"journal", "store"} { // the store names its folders alike
		dir := filepath.Join(bs.dir, room)
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), droppedSuffix) {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		bs.logger.Warn("what is left of deleted buckets could not be removed", "err", err)
	}
}

// retain applies a bucket's changed retention.
func (bs *buckets) retain(i id.ID) error {
	o, err := bs.options(i)
	if err != nil {
		return err
	}
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	if b := bs.open[i]; b != nil {
		b.store.SetRetention(o.Retention, o.ShardDuration)
	}
	return nil
}

// close ends all journals. The store is closed before them, so that its last flushes still find theirs.
func (bs *buckets) close() error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.closed = true
	var errs []error
	for _, b := range bs.open {
		errs = append(errs, b.log.Close())
	}
	bs.open = nil
	return errors.Join(errs...)
}

// Write makes a batch durable in a bucket.
func (bs *buckets) Write(ctx context.Context, i id.ID, batch *line.Batch) error {
	b, err := bs.get(i)
	if err != nil {
		return err
	}
	return b.write(ctx, batch)
}

// Delete implements api.Deleter.
func (bs *buckets) Delete(ctx context.Context, i id.ID, start, stop int64, predicate string) error {
	measurement, tags, err := store.ParsePredicate(predicate)
	if err != nil {
		return catalog.Errorf(catalog.Invalid, "%v", err)
	}
	d := store.Delete{Range: store.TimeRange{Min: start, Max: stop}, Measurement: measurement, Tags: tags}
	b, err := bs.get(i)
	if err != nil {
		return err
	}
	return b.delete(ctx, d)
}

// BucketStatus implements api.Engine.
func (bs *buckets) BucketStatus(i id.ID) (api.BucketStatus, bool) {
	bs.mu.RLock()
	b := bs.open[i]
	bs.mu.RUnlock()
	if b == nil {
		return api.BucketStatus{}, false
	}
	return b.status(), true
}

// Health implements api.Engine: it is why writes are refused, or nil.
func (bs *buckets) Health() error {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	for i, b := range bs.open {
		if b.failed.Load() {
			return fmt.Errorf("bucket %s: %w; check the disk and start the node again", i, journal.ErrFailed)
		}
	}
	for i := range bs.shut {
		return fmt.Errorf("bucket %s cannot be opened: the node's log has the cause", i)
	}
	return bs.store.Pressure()
}
