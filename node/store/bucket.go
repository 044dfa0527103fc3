package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// BucketOptions are what the catalog knows of a bucket.
type BucketOptions struct {
	// Retention is how long points are kept, counted from their timestamp. 0 is for ever.
	Retention time.Duration
	// ShardDuration is the span of new partitions. 0 is DefaultShardDuration(Retention).
	ShardDuration time.Duration
	// OnFlush is called, when it is set, after Flushed has moved. It must not call the bucket's methods that flush.
	OnFlush func(flushed uint64)
}

// Bucket is the points of one bucket. All methods may be called concurrently, except that Apply and ApplyDelete must be called
// in the order of their positions.
type Bucket struct {
	id      id.ID
	dir     string
	store   *Store
	onFlush func(flushed uint64)
	wanted  atomic.Bool // a flush was asked for
	log     *slog.Logger
	metrics *metrics

	// edit serialises what changes the manifest: flush, compaction, retention. It is taken before mu.
	edit    sync.Mutex
	version uint64
	nextID  uint64

	// merging lets one compaction run at a time. It is taken before edit.
	merging sync.Mutex

	mu            sync.Mutex
	retention     time.Duration
	shardDuration time.Duration
	partitions    []*partition // sorted by time
	lastPartition *partition
	index         *index
	active        *memtable
	frozen        *memtable // being flushed, nil when none
	tombstones    []*tombstone
	applied       uint64
	flushed       uint64
	// waiting is since when there is something applied that is not flushed.
	waiting  time.Time
	closed   bool
	damages  []Damage
	reported map[string]bool
	// accounted is the bytes of the memtables as counted in store.memory.
	accounted int64
}

// ID returns the bucket's id.
func (b *Bucket) ID() id.ID { return b.id }

// SetRetention changes how long points are kept and the span of new partitions; zeros mean what they mean in BucketOptions.
// What has expired by it is no longer read at once, and removed by the next DropExpired.
func (b *Bucket) SetRetention(retention, shardDuration time.Duration) {
	if shardDuration <= 0 {
		shardDuration = DefaultShardDuration(retention)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retention, b.shardDuration = retention, shardDuration
}

// Retention returns how long points are kept, 0 for ever.
func (b *Bucket) Retention() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.retention
}

// Applied returns the journal position of the last record that Apply or ApplyDelete took.
func (b *Bucket) Applied() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applied
}

// Flushed returns the journal position up to which everything is in blocks: recovery replays the journal from behind it, and
// the journal may forget what is before.
func (b *Bucket) Flushed() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flushed
}

// RequestFlush asks for the memtable to be written to blocks soon, so that the journal can let go of its records. It returns at once.
func (b *Bucket) RequestFlush() {
	b.wanted.Store(true)
	b.store.nudge()
}

// Bytes returns the size of the bucket's blocks on disk.
func (b *Bucket) Bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var n int64
	for _, p := range b.partitions {
		for _, blk := range p.blocks {
			n += blk.fileSize
		}
	}
	return n
}

// SeriesCount returns the number of series in the index.
func (b *Bucket) SeriesCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.index.byKey)
}

// Damages returns what was found damaged since the bucket was opened, each page or file once.
func (b *Bucket) Damages() []Damage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Damage(nil), b.damages...)
}

// report records a damage, unless it was reported before.
func (b *Bucket) report(d Damage) {
	d.Bucket = b.id
	key := d.File + "\x00" + d.Column + "\x00" + d.Err.Error()
	b.mu.Lock()
	known := b.reported[key]
	if !known {
		b.reported[key] = true
		b.damages = append(b.damages, d)
	}
	b.mu.Unlock()
	if known {
		return
	}
	b.metrics.damages.Inc()
	b.log.LogAttrs(context.Background(), slog.LevelError, "damaged file in the store", slog.String("file", d.File),
		slog.String("column", d.Column), slog.String("lost", d.Lost), slog.Any("error", d.Err))
}

// earliest returns the least timestamp that the retention covers. The lock must be held.
func (b *Bucket) earliest(now time.Time) (int64, bool) {
	if b.retention <= 0 {
		return 0, false
	}
	return now.Add(-b.retention).UnixNano(), true
}

// visible cuts a range to what the retention covers. The lock must be held.
func (b *Bucket) visible(tr TimeRange) TimeRange {
	if t, ok := b.earliest(b.store.o.Now()); ok {
		tr.Min = max(tr.Min, t)
	}
	return tr
}

// account brings the store's count of memtable bytes up to date. The lock must be held.
func (b *Bucket) account() {
	n := b.active.bytes
	if b.frozen != nil {
		n += b.frozen.bytes
	}
	b.store.memory.Add(n - b.accounted)
	b.accounted = n
}

func (b *Bucket) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// close makes the bucket refuse further use.
func (b *Bucket) close() {
	b.edit.Lock()
	defer b.edit.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.store.memory.Add(-b.accounted)
	b.accounted = 0
	for _, p := range b.partitions {
		for _, blk := range p.blocks {
			b.uncount(blk)
		}
	}
}

// drop closes the bucket and removes its blocks as soon as no scan reads them.
func (b *Bucket) drop() {
	b.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.partitions {
		for _, blk := range p.blocks {
			if err := blk.remove(); err != nil {
				b.log.Warn("cannot remove a block of a dropped bucket", "file", blk.path(), "error", err)
			}
		}
	}
	b.partitions, b.lastPartition = nil, nil
	b.active, b.frozen = newMemtable(), nil
	b.index = newIndex()
}

func (b *Bucket) count(blk *block) {
	b.metrics.blocks.Inc()
	b.metrics.blockBytes.Add(float64(blk.fileSize))
}

func (b *Bucket) uncount(blk *block) {
	b.metrics.blocks.Dec()
	b.metrics.blockBytes.Sub(float64(blk.fileSize))
}
