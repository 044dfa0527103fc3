// Package store keeps the points of buckets so that queries can read them: a memtable over immutable Parquet blocks, by time
// partition, with a series and tag index.
//
// It promises that what was applied is read back as last written (per series, time and field), that a scan is a snapshot, that
// a crash at any moment costs nothing the journal still has, and that damage on disk costs the damaged page or block, which is
// reported. It has no log of its own: the journal is its recovery log, and Bucket.Flushed says from where it must be replayed.
// It does not parse or answer queries. What is on disk is described in FORMAT.md.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Options configure a Store. Dir is required; zero values of the others mean the defaults named.
type Options struct {
	// Dir is the folder, with one folder for each bucket in it. It is made when it does not exist.
	Dir string
	// FlushBytes is the size in bytes at which a bucket's memtable is written to blocks. Default 32 MiB.
	FlushBytes int64
	// FlushAge is how long a point waits in a memtable at most. Default 15 minutes.
	FlushAge time.Duration
	// MemoryLimit bounds the bytes of all memtables: beyond half of it the largest is flushed early, beyond it
	// Pressure tells writers to wait. Default 256 MiB.
	MemoryLimit int64
	// MaxSeries is the most series of one bucket; points of further ones are not admitted. Default 1,000,000, negative is no
	// bound.
	MaxSeries int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics; nil is none.
	Registerer prometheus.Registerer
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Manual leaves out the background work: flushes, compactions and retention then happen only when they are called for.
	Manual bool
}

func (o *Options) setDefaults() {
	if o.FlushBytes <= 0 {
		o.FlushBytes = 32 << 20
	}
	if o.FlushAge <= 0 {
		o.FlushAge = 15 * time.Minute
	}
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = 256 << 20
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = 1_000_000
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Store holds the buckets of one folder.
type Store struct {
	o       Options
	metrics *metrics
	memory  atomic.Int64 // bytes of all memtables
	// wideValues is defaultWideValues, but in tests.
	wideValues int64

	mu      sync.Mutex
	buckets map[id.ID]*Bucket
	closed  bool

	stop   context.CancelFunc
	wake   chan struct{} // a memtable may be full
	work   sync.WaitGroup
	failed atomic.Bool // the last flush failed
}

// Errors of a Store.
var (
	// ErrBusy tells that the memtables are full, because points come faster than they can be written to disk.
	ErrBusy = errors.New("store: memory is full, try again later")
	// ErrClosed tells that the store or bucket was closed or dropped.
	ErrClosed = errors.New("store: closed")
)

// BusyError is the ErrBusy that Pressure returns.
type BusyError struct {
	// Bytes are those of all memtables, Limit is Options.MemoryLimit.
	Bytes, Limit int64
	// RetryAfter is when to try again.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v (%d of %d bytes)", ErrBusy, e.Bytes, e.Limit)
}

// Is makes the error an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Open opens the store in o.Dir. Buckets are opened by Bucket.
func Open(o Options) (*Store, error) {
	o.setDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{o: o, wideValues: defaultWideValues, buckets: make(map[id.ID]*Bucket), wake: make(chan struct{}, 1), stop: func() {}}
	s.metrics = newMetrics(s, o.Registerer)
	if !o.Manual {
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		s.work.Go(func() { s.flusher(ctx) })
		s.work.Go(func() { s.compactor(ctx) })
	}
	return s, nil
}

// Bucket opens a bucket, or makes it. A bucket that is open already is returned with o's retention and shard duration set.
func (s *Store) Bucket(bucket id.ID, o BucketOptions) (*Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if b := s.buckets[bucket]; b != nil {
		b.SetRetention(o.Retention, o.ShardDuration)
		return b, nil
	}
	b, err := openBucket(s, bucket, filepath.Join(s.o.Dir, bucket.String()), o)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	s.buckets[bucket] = b
	return b, nil
}

// Drop removes a bucket with all its points. Scans that are under way end with an error or the points they have. Dropping a
// bucket that does not exist is no error.
func (s *Store) Drop(bucket id.ID) error {
	s.mu.Lock()
	b := s.buckets[bucket]
	delete(s.buckets, bucket)
	s.mu.Unlock()
	if b != nil {
		b.drop()
	}
	dir := filepath.Join(s.o.Dir, bucket.String())
	gone := dir + ".dropped"
	if err := os.Rename(dir, gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("drop bucket %s: %w", bucket, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("drop bucket %s: %w", bucket, err)
	}
	return syncDir(s.o.Dir)
}

// Pressure returns a *BusyError while the memtables are over their limit: writers should then answer 503 with its RetryAfter
// before they journal anything.
func (s *Store) Pressure() error {
	n := s.memory.Load()
	if n <= s.o.MemoryLimit {
		return nil
	}
	e := &BusyError{Bytes: n, Limit: s.o.MemoryLimit, RetryAfter: time.Second}
	if s.failed.Load() {
		e.RetryAfter = flushRetry
	}
	return e
}

// Close ends the background work and closes all buckets. Memtables are not flushed: call Bucket.Flush before, or let the
// journal be replayed at the next start.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	buckets := s.list()
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	for _, b := range buckets {
		b.close()
	}
	return nil
}

// list returns the buckets. The lock must be held.
func (s *Store) list() []*Bucket {
	out := make([]*Bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		out = append(out, b)
	}
	return out
}

func (s *Store) openBuckets() []*Bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list()
}

func (s *Store) seriesCount() int {
	n := 0
	for _, b := range s.openBuckets() {
		n += b.SeriesCount()
	}
	return n
}
