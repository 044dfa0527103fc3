package store

import (
	"context"
	"errors"
	"time"
)

// tick is how often the background looks for work that nobody announced: ages, retention, compaction.
const tick = time.Second

// nudge wakes the flusher.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// flusher flushes memtables that are full or old until ctx ends.
func (s *Store) flusher(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
		failed := false
		for b := s.nextFlush(); b != nil && ctx.Err() == nil; b = s.nextFlush() {
			if err := b.Flush(ctx); err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
				s.o.Logger.Error("cannot write points to the store's blocks; they stay in memory and in the journal", "error", err)
				failed = true
				break
			}
		}
		s.failed.Store(failed)
		if failed && !pause(ctx, flushRetry) {
			return
		}
	}
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// nextFlush returns a bucket whose memtable is to be flushed, nil when there is none.
func (s *Store) nextFlush() *Bucket {
	now := s.o.Now()
	var largest *Bucket
	var most int64
	for _, b := range s.openBuckets() {
		bytes, due := b.flushDue(now)
		if due {
			return b
		}
		if bytes > most {
			largest, most = b, bytes
		}
	}
	if s.memory.Load() > s.o.MemoryLimit/2 {
		return largest
	}
	return nil
}

// flushDue returns the bytes of the active memtable and whether its size or age calls for a flush.
func (b *Bucket) flushDue(now time.Time) (bytes int64, due bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, false
	}
	old := b.applied > b.flushed && !b.waiting.IsZero() && now.Sub(b.waiting) >= b.store.o.FlushAge
	return b.active.bytes, old || b.frozen != nil || b.active.bytes >= b.store.o.FlushBytes
}

// compactor merges blocks and drops expired partitions until ctx ends, one at a time.
func (s *Store) compactor(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, b := range s.openBuckets() {
			err := b.DropExpired()
			if err == nil {
				err = b.Compact(ctx)
			}
			if err == nil || errors.Is(err, ErrClosed) || ctx.Err() != nil {
				continue
			}
			s.metrics.compactErrs.Inc()
			s.o.Logger.Error("cannot merge blocks of the store; the blocks stay as they are", "error", err)
			if !pause(ctx, flushRetry) {
				return
			}
		}
	}
}
