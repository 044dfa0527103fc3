package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxBatch bounds the bytes of one write, and with it the memory that the committer keeps.
const maxBatch = 4 << 20

// keepBuffer is the size up to which a buffer is kept for the next append.
const keepBuffer = 1 << 20

// entry is one append on its way through the committer.
type entry struct {
	buf  []byte // the record, all but position and checksums
	sums sums
	head head
	pos  Position
	err  error
	done chan struct{} // gets one value when pos or err is set
}

var entries = sync.Pool{New: func() any { return &entry{done: make(chan struct{}, 1)} }}

func (e *entry) recycle() {
	if cap(e.buf) <= keepBuffer {
		e.err = nil
		entries.Put(e)
	}
}

// Append implements Log. A context that ends takes the record out as long as its write has not begun; from then on
// Append waits for the outcome, so that an error always means that the record was refused or that the journal failed.
func (j *Journal) Append(ctx context.Context, r Record) (Position, error) {
	if err := r.validate(); err != nil {
		return 0, err
	}
	r.Accepted = j.o.Now().UnixNano()
	e := entries.Get().(*entry)
	defer e.recycle()
	e.buf, e.sums = encodeRecord(e.buf[:0], &r)
	if size := int64(len(e.buf)); j.o.MaxBytes > 0 && size+2*headerSize > j.o.MaxBytes {
		return 0, fmt.Errorf("%w: %d bytes, the journal is bounded to %d", ErrTooLarge, size, j.o.MaxBytes)
	}
	e.head = head{
		length: uint32(len(e.buf) - prefixSize), kind: r.Kind, count: uint32(r.Count),
		minTime: r.MinTime, maxTime: r.MaxTime, accepted: r.Accepted,
	}
	if err := j.enqueue(ctx, e); err != nil {
		return 0, err
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		if j.withdraw(e) {
			return 0, ctx.Err()
		}
		<-e.done
	}
	return e.pos, e.err
}

func (j *Journal) enqueue(ctx context.Context, e *entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	if j.closed || j.failed != nil {
		err := j.failed
		j.mu.Unlock()
		if err == nil {
			return ErrClosed
		}
		j.m.appendError(err)
		return err
	}
	j.pending = append(j.pending, e)
	j.mu.Unlock()
	j.kickCommitter()
	return nil
}

// withdraw takes e back and reports whether that came in time.
func (j *Journal) withdraw(e *entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.pending, e)
	if i < 0 {
		return false
	}
	j.pending = slices.Delete(j.pending, i, i+1)
	return true
}

func (j *Journal) kickCommitter() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// commits is the committer: the one goroutine that writes, rolls and removes segments. Appends that arrive while it
// syncs are its next batch.
func (j *Journal) commits() {
	defer close(j.done)
	ticker := time.NewTicker(j.tick())
	defer ticker.Stop()
	closing := j.closing
	for {
		if !j.take() {
			if closing == nil {
				break
			}
			select {
			case <-j.kick:
			case <-ticker.C:
				j.maintain(true)
				continue
			case <-closing:
				closing = nil // what was queued before is still finished
			}
			j.maintain(false)
			continue
		}
		j.commit()
		select {
		case <-ticker.C:
			j.maintain(true)
		default:
		}
	}
	j.closeErr = j.syncNow()
}

// tick returns how often the committer looks after its segments without being asked.
func (j *Journal) tick() time.Duration {
	t := time.Minute
	if j.o.Sync == SyncPeriodic {
		t = min(t, j.o.SyncInterval)
	}
	if j.o.MaxAge > 0 {
		t = min(t, max(j.o.MaxAge/10, time.Millisecond))
	}
	return t
}

// take moves the next batch from the queue: as many records as fit the segment and maxBatch, at least one.
func (j *Journal) take() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.batch = j.batch[:0]
	if len(j.pending) == 0 {
		return false
	}
	newest := j.segs[len(j.segs)-1]
	room := j.o.SegmentBytes - newest.size
	if newest.size > headerSize && int64(len(j.pending[0].buf)) > room {
		room = j.o.SegmentBytes - headerSize // commit will roll
	}
	room = min(room, maxBatch)
	n := 0
	for _, e := range j.pending {
		if room -= int64(len(e.buf)); n > 0 && room < 0 {
			break
		}
		n++
	}
	j.batch = append(j.batch, j.pending[:n]...)
	j.pending = slices.Delete(j.pending, 0, n)
	return true
}

// commit writes the batch, syncs it and tells the appends, all with one outcome.
func (j *Journal) commit() {
	err := j.writeBatch()
	if err == nil && j.o.Sync == SyncAlways {
		err = j.syncNow()
	}
	if err != nil {
		err = j.fail(err)
	}
	for i, e := range j.batch {
		if err != nil {
			e.pos, e.err = 0, err
			j.m.appendError(err)
		}
		j.batch[i] = nil
		e.done <- struct{}{}
	}
	if cap(j.buf) > maxBatch+keepBuffer {
		j.buf = nil
	}
}

// fail turns an error into what Append returns, and stops the journal when it is no longer known what is durable.
func (j *Journal) fail(err error) error {
	var s *syncError
	if !errors.As(err, &s) && !errors.Is(err, errLeftover) {
		if noSpace(err) && !errors.Is(err, ErrFull) {
			return &FullError{RetryAfter: retryDisk, Reason: "the disk is full", Err: err}
		}
		return err
	}
	err = fmt.Errorf("%w; check the disk and start again: %w", ErrFailed, err)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = err
	}
	return j.failed
}

// writeBatch gives the batch its positions and writes it. When it fails, nothing of it is kept and no position used.
func (j *Journal) writeBatch() error {
	if err := j.failure(); err != nil {
		return err
	}
	var size int64
	for _, e := range j.batch {
		size += int64(len(e.buf))
	}
	if err := j.makeRoom(size); err != nil {
		return err
	}
	for {
		err := j.tryWrite(size)
		if err == nil {
			return nil
		}
		// A full disk is one more bound.
		if errors.Is(err, errLeftover) || !noSpace(err) || j.o.Policy == Reject {
			return err
		}
		j.freeAsked = time.Time{}
		if j.dropOldest(dropFree) != nil {
			return err
		}
	}
}

// tryWrite writes the batch of the given size once, to a new segment if it does not fit the newest.
func (j *Journal) tryWrite(size int64) error {
	s := j.newest()
	if s.size > headerSize && s.size+size > j.o.SegmentBytes {
		var err error
		if s, err = j.roll(); err != nil {
			return err
		}
	}
	j.encodeBatch()
	if _, err := s.file.WriteAt(j.buf, s.size); err != nil {
		err = fmt.Errorf("append to %s: %w", s.path, err)
		return errors.Join(err, wrapLeftover(s.file.Truncate(s.size)))
	}
	j.publishBatch(s)
	return nil
}

// encodeBatch fills j.buf. j.next does not move yet.
func (j *Journal) encodeBatch() {
	j.buf = j.buf[:0]
	next := j.next // only the committer changes it
	for _, e := range j.batch {
		e.pos, e.head.position = next, next
		seal(e.buf, e.sums, next)
		j.buf = append(j.buf, e.buf...)
		next++
	}
}

// publishBatch makes the batch part of the segment s, and with it visible to the next sync.
func (j *Journal) publishBatch(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.batch {
		s.note(&e.head, s.size)
		s.size += int64(len(e.buf))
	}
	j.bytes += int64(len(j.buf))
	j.free -= min(j.free, uint64(len(j.buf)))
	j.next += Position(len(j.batch))
	j.unsynced += len(j.batch)
	j.m.records.Add(float64(len(j.batch)))
	j.m.bytes.Add(float64(len(j.buf)))
}

// syncNow makes what was written durable and shows it to readers. Its error is a syncError: after it nothing is known.
func (j *Journal) syncNow() error {
	if j.unsynced == 0 {
		return nil
	}
	if err := j.failure(); err != nil {
		return err
	}
	s := j.newest()
	start := time.Now()
	if err := s.file.Sync(); err != nil {
		return &syncError{fmt.Errorf("%s: %w", s.path, err)}
	}
	j.m.syncSeconds.Observe(time.Since(start).Seconds())
	j.m.syncs.Inc()
	j.m.recordsPerSync.Observe(float64(j.unsynced))
	j.unsynced = 0
	j.mu.Lock()
	defer j.mu.Unlock()
	s.durable = s.size
	j.durable = j.next - 1
	j.wake()
	return nil
}

// newest returns the segment that is written to.
func (j *Journal) newest() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segs[len(j.segs)-1]
}

// roll starts a new segment. What the one before holds is durable then.
func (j *Journal) roll() (*segment, error) {
	if err := j.syncNow(); err != nil {
		return nil, err
	}
	s, err := createSegment(j.fs, j.o.Dir, j.next, j.o.Now().UnixNano())
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	old := j.segs[len(j.segs)-1]
	j.segs = append(j.segs, s)
	j.bytes += s.size
	var f File
	if old.refs == 0 {
		f, old.file = old.file, nil
	}
	j.mu.Unlock()
	if f != nil {
		j.closeSegment(old, f)
	}
	j.watchPins()
	return s, nil
}
