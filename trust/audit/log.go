package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Log is an open audit log. Its methods may be called from several goroutines.
type Log struct {
	// SegmentBytes is the size at which a segment is closed. Set it before the first Append.
	SegmentBytes int64
	// Now is the clock that entries are stamped by.
	Now func() time.Time

	dir  string
	lock *os.File
	disk disk

	queue struct {
		sync.Mutex
		waiting []*waiter
	}

	mu     sync.Mutex // held by who commits; guards all below
	file   file
	number uint64 // of the open segment
	size   int64  // bytes of it that are durable, or nearly: see repair
	head   Head
	broken bool   // the file may have more than size bytes
	failed string // path of a segment whose start failed, and which could not be removed
	closed bool
	buffer []byte
}

// waiter is an Append that waits for its commit.
type waiter struct {
	entry Entry
	done  bool
	head  Head
	err   error
}

// disk is what the log asks of the file system. Tests inject faults through it.
type disk interface {
	open(name string, flag int) (file, error)
	remove(name string) error
	syncDir(dir string) error
}

// file is an open segment.
type file interface {
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// ErrClosed is for an Append to a closed log.
var ErrClosed = errors.New("the audit log is closed")

// Report is what Open found and mended. The caller tells people of it.
type Report struct {
	Torn   int64   // bytes of an unfinished last line that were cut; no answer went out for it
	Damage *Damage // the last segment does not verify: a new one was started that names it. Nothing was changed in it
}

// Open opens the log in dir for appending, and makes the folder if it is not there.
//
// The last segment is checked in full. An unfinished last line is cut, as a kill leaves one. Anything else that does not verify is told
// in the report, and the log goes on in a new segment that holds the hash of the damaged one; Verify keeps on finding the damage.
// ErrLocked is in the error when another process appends to the log. The report holds what was mended even when there is an error.
func Open(dir string) (*Log, Report, error) {
	return open(dir, osDisk{})
}

func open(dir string, d disk) (*Log, Report, error) {
	if err := makeDir(dir); err != nil {
		return nil, Report{}, fmt.Errorf("making the audit log's folder: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, Report{}, fmt.Errorf("audit log %s: %w", dir, err)
	}
	l := &Log{SegmentBytes: DefaultSegmentBytes, Now: time.Now, dir: dir, lock: lock, disk: d}
	report, err := l.resume()
	if err != nil {
		if l.file != nil {
			_ = l.file.Close() // the first error counts
		}
		return nil, report, errors.Join(err, lock.Close())
	}
	return l, report, nil
}

// makeDir makes a folder, and those above it, durable in the one above each.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return osDisk{}.syncDir(parent)
}

// resume finds the end of the log and opens its last segment, or starts a new one.
func (l *Log) resume() (Report, error) {
	numbers, err := segments(l.dir)
	if err != nil {
		return Report{}, err
	}
	if len(numbers) == 0 {
		return Report{}, l.start(1, start{})
	}
	last := numbers[len(numbers)-1]
	r := reader{path: segmentName(l.dir, last), number: last, after: l.before(numbers)}
	found := r.read()
	switch {
	case found == nil:
		l.number, l.size, l.head = last, r.good, r.head
		l.file, err = l.disk.open(r.path, os.O_RDWR)
		return Report{}, err
	case errors.Is(found.Cause, ErrTorn) && r.lines == 0 && !r.after.damaged:
		// Not even the start of the segment was finished, so nothing is lost when it is started anew.
		l.head = r.after.head
		return Report{Torn: r.tail}, l.start(last, start{Torn: r.tail})
	case errors.Is(found.Cause, ErrTorn) && r.lines > 0:
		l.number, l.size, l.head, l.broken = last, r.good, r.head, true
		if l.file, err = l.disk.open(r.path, os.O_RDWR); err != nil {
			return Report{}, err
		}
		if err := l.repair(); err != nil {
			return Report{}, err
		}
		return Report{Torn: r.tail}, l.start(last+1, start{Torn: r.tail})
	}
	var pathErr *fs.PathError
	if errors.As(found.Cause, &pathErr) {
		return Report{}, found // it cannot be read now, which says nothing of what is in it
	}
	sequence := max(r.head.Sequence, r.after.head.Sequence) + uint64(r.rest)
	l.head = Head{sequence, r.sum()}
	return Report{Damage: found}, l.start(last+1, start{Damage: &damage{found.Line, clip(found.Cause.Error())}})
}

// before is where the last segment must go on: after the last line of the one before, which is read for that alone.
func (l *Log) before(numbers []uint64) position {
	last := numbers[len(numbers)-1]
	if last == 1 {
		return position{}
	}
	if len(numbers) == 1 || numbers[len(numbers)-2] != last-1 {
		return position{unknown: true}
	}
	r := reader{path: segmentName(l.dir, last-1), number: last - 1, after: position{unknown: true}}
	if damage := r.read(); damage != nil {
		return position{head: Head{r.head.Sequence, r.sum()}, damaged: true}
	}
	return position{head: r.head}
}

// Append writes an entry and returns its place in the log once it is durable. Appends at the same time share one write and one sync.
//
// An error says that the entry is not in the log, as far as anybody can tell: refuse what it is about. A full disk is such an error; the
// log goes on when there is space again.
func (l *Log) Append(e Entry) (Head, error) {
	e = e.bounded()
	if e.What.Action == "" || e.Outcome == "" {
		return Head{}, errors.New("an audit entry needs an action and an outcome")
	}
	w := &waiter{entry: e}
	l.queue.Lock()
	l.queue.waiting = append(l.queue.waiting, w)
	l.queue.Unlock()

	// Who gets the lock first commits for all that wait by then; the others find theirs done. The queue is in order, so that w is in the
	// batch or before it by the time that this loop ends.
	l.mu.Lock()
	defer l.mu.Unlock()
	for !w.done {
		l.commit(l.take())
	}
	return w.head, w.err
}

// take takes the next batch from the queue.
func (l *Log) take() []*waiter {
	l.queue.Lock()
	defer l.queue.Unlock()
	n := min(len(l.queue.waiting), maxBatch)
	batch := l.queue.waiting[:n:n]
	l.queue.waiting = l.queue.waiting[n:]
	if len(l.queue.waiting) == 0 {
		l.queue.waiting = nil
	}
	return batch
}

// commit makes a batch durable, or fails all of it.
func (l *Log) commit(batch []*waiter) {
	err := l.write(batch)
	for _, w := range batch {
		w.done, w.err = true, err
		if err != nil {
			w.head = Head{}
		}
	}
}

func (l *Log) write(batch []*waiter) error {
	if l.closed {
		return ErrClosed
	}
	if err := l.repair(); err != nil {
		return err
	}
	if l.size >= l.SegmentBytes {
		if err := l.start(l.number+1, start{}); err != nil {
			return err
		}
	}
	l.buffer = l.buffer[:0]
	head, now := l.head, utc(l.Now())
	for _, w := range batch {
		var err error
		next := line{Sequence: head.Sequence + 1, Time: now, Entry: &w.entry, Previous: head.Hash}
		if l.buffer, next.Hash, err = next.encode(l.buffer); err != nil {
			return err
		}
		head = Head{next.Sequence, next.Hash}
		w.head = head
	}
	if err := l.add(l.buffer); err != nil {
		return err
	}
	l.head = head
	return nil
}

// add writes bytes at the end of the segment and syncs them. After an error the segment ends where it ended before, or is marked broken.
func (l *Log) add(p []byte) error {
	_, err := l.file.WriteAt(p, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		l.size += int64(len(p))
		return nil
	}
	l.broken = true
	return errors.Join(fmt.Errorf("writing audit log %s, nothing is signed until that works: %w", segmentName(l.dir, l.number), err), l.repair())
}

// repair cuts what a failed write left. All before size was synced by a call that succeeded, so that a failed sync, after which the
// system may have dropped what it held, has no part in what stays.
func (l *Log) repair() error {
	if l.failed != "" {
		if err := l.disk.remove(l.failed); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an audit log segment that could not be started: %w", err)
		}
		l.failed = ""
	}
	if !l.broken {
		return nil
	}
	err := l.file.Truncate(l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cutting an unfinished line from audit log %s: %w", segmentName(l.dir, l.number), err)
	}
	l.broken = false
	return nil
}

// start starts a segment that goes on after l.head, and makes it the open one. After an error the log is as before. A file of that
// number can only be what an earlier start left that failed, for the lock is held.
func (l *Log) start(number uint64, s start) error {
	if number > maxSegments {
		return fmt.Errorf("audit log %s has %d segments, and cannot have more", l.dir, maxSegments)
	}
	s.Format, s.Number = format, number
	first := line{Sequence: l.head.Sequence + 1, Time: utc(l.Now()), Start: &s, Previous: l.head.Hash}
	text, hash, err := first.encode(nil)
	if err != nil {
		return err
	}
	name := segmentName(l.dir, number)
	f, err := l.disk.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("starting an audit log segment: %w", err)
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.disk.syncDir(l.dir)
	}
	if err != nil {
		// Left in place it would be taken for the end of the log by the next Open, while this log goes on in the segment before.
		l.failed = name
		return errors.Join(fmt.Errorf("starting audit log segment %s: %w", name, err), f.Close(), l.repair())
	}
	if l.file != nil {
		_ = l.file.Close() // all of it was synced
	}
	l.file, l.number, l.size, l.broken = f, number, int64(len(text)), false
	l.head = Head{first.Sequence, hash}
	return nil
}

// Head is the last durable line. Kept where who can write to the log cannot, it shows later that nothing up to it was changed.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Close closes the log and lets another process append to it. Appends that wait are done first or fail with ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return errors.Join(l.file.Close(), l.lock.Close())
}
