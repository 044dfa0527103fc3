package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// FullError is the error of an append that the bounds or a full disk refuse. It matches ErrFull.
type FullError struct {
	// RetryAfter is when another try is worth it.
	RetryAfter time.Duration
	// Reason says which bound was reached and what holds the records back.
	Reason string
	// Err is the disk's error, nil when a bound was reached.
	Err error
}

func (e *FullError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %s", ErrFull, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: %s", ErrFull, e.Reason)
}

// Is makes every FullError an ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

func (e *FullError) Unwrap() error { return e.Err }

// Journal is a Log over the segments of one folder. Its methods may be called by many goroutines; the readers it
// hands out belong to one goroutine each.
type Journal struct {
	o   Options
	fs  FS
	log *slog.Logger
	m   *metrics

	mu sync.Mutex
	// segs are the segments kept, ascending. There is always one: the last, which is written to and tells where
	// positions go on.
	segs     []*segment
	next     Position // of the next record
	durable  Position // of the newest record that readers may see
	pending  []*entry // appends that wait for the committer
	failed   error    // set for good by a failed sync
	closed   bool
	waiters  chan struct{} // closed when durable moves; nil without waiters
	state    state
	released Position // what is gone up to here went because every cursor had passed it
	cursors  map[string]*cursor
	// leftovers are the paths of removed segments whose files could not be deleted yet.
	leftovers []string

	cursorMu sync.Mutex // held while a cursor is created or removed

	closing    chan struct{}
	kick       chan struct{}
	done       chan struct{}
	keeperKick chan struct{}
	keeperDone chan struct{}

	// What follows belongs to the committer.
	stateFile *slotFile
	batch     []*entry
	buf       []byte
	unsynced  int    // records written and not yet synced
	bytes     int64  // of all segments
	free      uint64 // bytes free on the disk when last asked, less what was written since
	freeAsked time.Time
	// freeUnknown tells that the system did not answer when last asked.
	freeUnknown bool
	closeErr    error     // of the last sync
	asked       time.Time // when RequestRelease was last called
}

var _ Log = (*Journal)(nil)

// Bounds implements Log.
func (j *Journal) Bounds() (first, last Position) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.firstKept(), j.durable
}

// firstKept returns the position of the oldest record kept, or the next one. j.mu is held.
func (j *Journal) firstKept() Position {
	if len(j.segs) == 1 && j.segs[0].size <= headerSize {
		return j.next
	}
	return j.segs[0].first
}

// written returns the position of the newest record, durable or not.
func (j *Journal) written() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next - 1
}

// Wait implements Log.
func (j *Journal) Wait(ctx context.Context, after Position) error {
	for {
		j.mu.Lock()
		durable, closed := j.durable, j.closed
		if durable <= after && !closed && j.waiters == nil {
			j.waiters = make(chan struct{})
		}
		moved := j.waiters
		j.mu.Unlock()
		if durable > after {
			return nil
		}
		if closed {
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wake lets waiters look again. j.mu is held.
func (j *Journal) wake() {
	if j.waiters != nil {
		close(j.waiters)
		j.waiters = nil
	}
}

// Size implements Log. What cannot be read for the count is taken as still to come.
func (j *Journal) Size(after Position) int64 {
	j.mu.Lock()
	segs := slices.Clone(j.segs)
	durable := j.durable
	j.mu.Unlock()
	if after >= durable {
		return 0
	}
	var size int64
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].first <= after+1 {
			continue
		}
		size += j.sizeIn(s, after)
	}
	return size
}

// sizeIn returns the durable bytes of the records after the given position in one segment. The way there is marked, so
// that asking again is cheap also in segments that another process wrote.
func (j *Journal) sizeIn(s *segment, after Position) int64 {
	sc := j.scan(s, after+1)
	var way []mark
	defer func() { j.markWay(s, way) }()
	for {
		from := sc.pos
		sp, err := sc.step()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil || (sp.known && sp.head.position > after) {
			return sc.limit - from
		}
		if n := len(way); sp.known && (n == 0 || sp.off-way[n-1].off >= markEvery) {
			way = append(way, mark{sp.head.position, sp.off})
		}
	}
}

// markWay adds marks that lie behind those that the segment has.
func (j *Journal) markWay(s *segment, way []mark) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range way {
		if n := len(s.marks); !s.known && (n == 0 || m.off-s.marks[n-1].off >= markEvery) {
			s.marks = append(s.marks, m)
		}
	}
}

// kept returns how many segments there are, their bytes, and when the oldest was created, in ns since the epoch.
func (j *Journal) kept() (segments int, bytes, created int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segs {
		bytes += s.size
	}
	return len(j.segs), bytes, j.segs[0].created
}

func (j *Journal) isClosed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

// failure returns the error that stopped the journal for good, or nil.
func (j *Journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Close makes everything that was appended durable, saves the cursors and ends. Appends that wait are finished; waiting
// readers get ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		<-j.done
		return nil
	}
	j.closed = true
	j.wake()
	j.mu.Unlock()
	close(j.closing)
	<-j.done
	<-j.keeperDone

	errs := []error{j.closeErr, j.flushCursors()}
	if j.failure() == nil && j.closeErr == nil && j.state.floor != j.durable {
		j.state.floor = j.durable
		if err := j.stateFile.writeBoth(j.state.encode()); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, j.closeFiles())
	j.m.unregister()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close journal %s: %w", j.o.Dir, err)
	}
	return nil
}

// closeFiles closes what no reader is using; a reader closes the segment it still reads.
func (j *Journal) closeFiles() error {
	j.cursorMu.Lock()
	defer j.cursorMu.Unlock()
	var errs []error
	for _, c := range j.cursors {
		c.mu.Lock()
		errs = append(errs, c.slots.file.Close())
		c.mu.Unlock()
	}
	if j.stateFile != nil {
		errs = append(errs, j.stateFile.file.Close())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segs {
		if s.refs == 0 && s.file != nil {
			errs = append(errs, s.file.Close())
			s.file = nil
		}
	}
	return errors.Join(errs...)
}
