package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Open opens the journal in o.Dir or makes a new one there. An unfinished record at the end, which was never
// acknowledged, is cut off; damage elsewhere is left for the readers to report. When anything cannot be read, because of
// permissions or of the disk, Open fails and has changed nothing.
func Open(o Options) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	j := &Journal{
		o: o, fs: o.FS, log: o.Logger,
		cursors: make(map[string]*cursor),
		closing: make(chan struct{}), kick: make(chan struct{}, 1), done: make(chan struct{}),
		keeperKick: make(chan struct{}, 1), keeperDone: make(chan struct{}),
	}
	j.m = newMetrics(j)
	err := j.load()
	if err == nil {
		err = j.m.register(j)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", o.Dir, err), j.closeFiles())
	}
	go j.commits()
	go j.keep()
	return j, nil
}

// load brings the folder's contents into memory.
func (j *Journal) load() error {
	if err := makeDir(j.fs, j.o.Dir); err != nil {
		return err
	}
	if err := j.loadSegments(); err != nil {
		return err
	}
	if err := j.openCursors(); err != nil {
		return err
	}
	var damaged, err error
	if j.stateFile, j.state, damaged, err = openState(j.fs, j.o.Dir); err != nil {
		return err
	}
	if damaged != nil {
		j.m.damaged.WithLabelValues("state").Inc()
		j.log.Warn("journal state file was damaged", "damage", damaged)
	}
	floor := j.floor()
	if len(j.segs) == 0 {
		s, err := createSegment(j.fs, j.o.Dir, floor+1, j.o.Now().UnixNano())
		if err != nil {
			return err
		}
		j.segs = append(j.segs, s)
	} else if err := j.recover(j.segs[len(j.segs)-1], floor); err != nil {
		return err
	}
	newest := j.segs[len(j.segs)-1]
	j.durable = max(floor, newest.totals.last, newest.first-1)
	j.next = j.durable + 1
	for _, s := range j.segs {
		j.bytes += s.size
	}
	// What is gone before the first segment was released, but for what some cursor has not passed: that was dropped, or
	// is lost.
	j.released = j.segs[0].first - 1
	if low, ok, _, _ := j.low(); ok {
		j.released = min(j.released, low)
	}
	// Only now that everything was read without error is anything deleted.
	j.deleteDropped()
	j.releasePassed() // a deletion that was not durable may have come back in part
	return nil
}

// loadSegments lists the segments and reads their headers.
func (j *Journal) loadSegments() error {
	entries, err := j.fs.ReadDir(j.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted by name, and so by position
		first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		s := &segment{path: filepath.Join(j.o.Dir, e.Name()), first: first}
		if err := j.loadHeader(s); err != nil {
			return err
		}
		j.segs = append(j.segs, s)
	}
	return nil
}

// loadHeader reads a segment's size and header. A damaged header costs no record: the file's name says what it said.
func (j *Journal) loadHeader(s *segment) error {
	f, err := j.fs.OpenFile(s.path, os.O_RDONLY, filePerm)
	if err != nil {
		return err
	}
	damage, err := s.readHeader(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", s.path, err)
	}
	if damage != nil {
		j.m.damaged.WithLabelValues("header").Inc()
		j.log.Warn("journal segment has a damaged header; its records are read all the same", "file", s.path, "damage", damage)
	}
	return nil
}

// readHeader sets the size and what the header says of the segment in f.
func (s *segment) readHeader(f File) (damage, err error) {
	if s.size, err = f.Size(); err != nil {
		return nil, err
	}
	s.durable = s.size
	b := make([]byte, min(s.size, headerSize))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	s.created, err = decodeHeader(b, s.first)
	if errors.Is(err, errHeader) {
		return err, nil
	}
	return nil, err
}

// deleteDropped deletes segments whose drop was recorded before the process ended and whose files it left behind.
func (j *Journal) deleteDropped() {
	for len(j.segs) > 1 && j.state.covers(j.segs[0].first, j.segs[1].first-1) {
		j.remove(1)
	}
}

// covers reports whether all of the positions from first to last were dropped.
func (s *state) covers(first, last Position) bool {
	for _, d := range s.drops {
		if d.from <= first && first <= d.to {
			first = d.to + 1
		}
	}
	return first > last
}

// floor returns the newest position that is known to have been durable. Positions go on behind it even when the records
// up to it are lost: a reader that has seen the lost ones must not take new ones for them.
func (j *Journal) floor() Position {
	p := j.state.floor
	for _, d := range j.state.drops {
		p = max(p, d.to)
	}
	for _, c := range j.cursors {
		p = max(p, c.pos)
	}
	return p
}

// recover reads the newest segment, cuts off an unfinished end and makes the rest durable: what a killed process wrote may
// not have been synced, and readers see durable records only.
func (j *Journal) recover(s *segment, floor Position) error {
	f, err := j.fs.OpenFile(s.path, os.O_RDWR, filePerm)
	if err != nil {
		return err
	}
	s.file, s.known = f, true
	if s.size < headerSize {
		if err := writeHeader(f, s.first, j.o.Now().UnixNano()); err != nil {
			return fmt.Errorf("write header of %s: %w", s.path, err)
		}
		s.size = headerSize
	}
	sc := &scanner{next: s.first, pos: headerSize}
	sc.src, sc.limit = f, s.size
	for {
		expected := sc.next
		sp, err := sc.step()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s at offset %d: %w", s.path, sc.pos, err)
		}
		if sp.known {
			expected = sp.head.position
		}
		if sp.torn && expected > floor {
			if err := j.cut(s, sp); err != nil {
				return err
			}
			break
		}
		if sp.known {
			s.note(&sp.head, sp.off)
		}
		if sp.err != nil {
			j.m.damaged.WithLabelValues("record").Inc()
			j.log.Warn("journal record is damaged; readers will see a gap", "file", s.path, "offset", sp.off, "bytes", sp.end-sp.off, "damage", sp.err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	s.durable = s.size
	return j.fs.SyncDir(j.o.Dir)
}

// cut removes the unfinished record sp from the end of s.
func (j *Journal) cut(s *segment, sp span) error {
	if err := s.file.Truncate(sp.off); err != nil {
		return fmt.Errorf("cut the unfinished record off %s: %w", s.path, err)
	}
	j.m.tornBytes.Add(float64(s.size - sp.off))
	j.log.Warn("journal ended in an unfinished record, which was cut off; it was never acknowledged", "file", s.path, "offset", sp.off, "bytes", s.size-sp.off)
	s.size = sp.off
	return nil
}
