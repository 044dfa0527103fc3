package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	closed bool
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
		return nil, fmt.Errorf("open bucket %s: %w", i, err)
	}
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
	ids := []id.ID{bs.catalog.Reserved().Bucket}
	for _, b := range known {
		if b.Type != catalog.SystemBucket && b.ID != ids[0] {
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

// options returns how long a bucket's points are kept. The reserved bucket keeps them for ever until set-up names it.
func (bs *buckets) options(i id.ID) (store.BucketOptions, error) {
	known, err := bs.catalog.Bucket(i)
	if err == nil {
		return store.BucketOptions{Retention: known.Retention, ShardDuration: known.ShardDuration}, nil
	}
	if catalog.CodeOf(err) == catalog.NotFound && i == bs.catalog.Reserved().Bucket {
		return store.BucketOptions{ShardDuration: catalog.DefaultShardDuration(0)}, nil
	}
	return store.BucketOptions{}, err
}

func (bs *buckets) openBucket(i id.ID, o store.BucketOptions) (*bucket, error) {
	b := &bucket{id: i, now: bs.now, pressure: bs.store.Pressure, logger: bs.logger.With("bucket", i.String())}
	o.OnFlush = b.flushed
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
	if b.cursor, err = b.log.Cursor(storeCursor, journal.CursorOptions{Pins: true}); err == nil {
		err = b.recover()
	}
	if err != nil {
		return nil, errors.Join(err, b.log.Close())
	}
	b.flushed(b.store.Flushed())
	return b, nil
}

func (bs *buckets) journalDir(i id.ID) string { return filepath.Join(bs.dir, "journal", i.String()) }

// drop forgets a bucket that was deleted, with its journal and its points.
func (bs *buckets) drop(i id.ID) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b := bs.open[i]; b != nil {
		delete(bs.open, i)
		if err := b.log.Close(); err != nil {
			return err
		}
	}
	return errors.Join(bs.store.Drop(i), os.RemoveAll(bs.journalDir(i)))
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

// close ends all journals; the store is closed after them, and flushes.
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
	for _, b := range bs.open {
		if err := b.failed.Load(); err != nil {
			return fmt.Errorf("bucket %s: %w", b.id, *err)
		}
	}
	return bs.store.Pressure()
}
