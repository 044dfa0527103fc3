package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The header of a segment; FORMAT.md has the table.
const (
	segmentMagic   = "HOLDFJRN"
	segmentVersion = 1
	headerSize     = 32
	segmentSuffix  = ".seg"
	segmentDigits  = 20
)

// markEvery is how many bytes of records stand between two marks of a segment.
const markEvery = 64 << 10

// segment is one file of records. Its fields belong to the journal's mutex, but for those that never change.
type segment struct {
	path  string
	first Position // no record of the segment has a lower position
	// created is when the segment was, in ns since the epoch: all records of the segments before it are older.
	created int64
	// size is the bytes that were written, durable those that readers may see.
	size, durable int64
	// totals sums up the records; known tells whether that was done, as it is for all that were written by this process.
	totals totals
	known  bool
	// marks are some records' places, ascending, so that a position is found without reading the whole segment.
	marks []mark

	file    File // open while refs is not 0 or the segment is the newest
	refs    int
	removed bool
}

type mark struct {
	position Position
	off      int64
}

// totals sums up records.
type totals struct {
	records          int
	points           int
	minTime, maxTime int64    // bounds of the points, 0 without points
	last             Position // 0 without records
	newest           int64    // greatest Accepted, 0 without records
}

func (t *totals) add(h *head) {
	if h.count > 0 {
		if t.points == 0 {
			t.minTime, t.maxTime = h.minTime, h.maxTime
		}
		t.minTime = min(t.minTime, h.minTime)
		t.maxTime = max(t.maxTime, h.maxTime)
	}
	if t.records == 0 {
		t.newest = h.accepted
	}
	t.newest = max(t.newest, h.accepted)
	t.records++
	t.points += int(h.count)
	t.last = h.position
}

// note adds a record that stands at off to what is known of the segment.
func (s *segment) note(h *head, off int64) {
	s.totals.add(h)
	if n := len(s.marks); n == 0 || off-s.marks[n-1].off >= markEvery {
		s.marks = append(s.marks, mark{h.position, off})
	}
}

// seek returns an offset at or before the record with position p.
func (s *segment) seek(p Position) int64 {
	off := int64(headerSize)
	for _, m := range s.marks {
		if m.position > p {
			break
		}
		off = m.off
	}
	return off
}

func segmentName(first Position) string {
	return fmt.Sprintf("%0*d%s", segmentDigits, uint64(first), segmentSuffix)
}

// parseSegmentName returns the first position of the segment with the given file name.
func parseSegmentName(name string) (Position, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return Position(n), err == nil && n > 0
}

func encodeHeader(first Position, created int64) []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic)
	le.PutUint32(b[8:], segmentVersion)
	le.PutUint64(b[16:], uint64(first))
	le.PutUint64(b[24:], uint64(created))
	le.PutUint32(b[12:], headerSum(b))
	return b
}

// headerSum covers all of the header but the sum itself.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:12]), castagnoli, b[16:headerSize])
}

var (
	errHeader = errors.New("header of the segment is damaged")
	// ErrVersion tells that a segment was written by a newer version of this program.
	ErrVersion = errors.New("journal: segment has a format that this version does not know; use the version that wrote it")
)

// decodeHeader reads a segment's header; first is what its name says.
func decodeHeader(b []byte, first Position) (created int64, err error) {
	if len(b) < headerSize || string(b[:8]) != segmentMagic || le.Uint32(b[12:]) != headerSum(b) {
		return 0, errHeader
	}
	if v := le.Uint32(b[8:]); v != segmentVersion {
		return 0, fmt.Errorf("%w (format %d)", ErrVersion, v)
	}
	if Position(le.Uint64(b[16:])) != first {
		return 0, fmt.Errorf("%w: it was written as %s", errHeader, segmentName(Position(le.Uint64(b[16:]))))
	}
	return int64(le.Uint64(b[24:])), nil
}

// createSegment makes a new, empty, durable segment. On failure nothing is left behind, or errLeftover says that something is.
func createSegment(fsys FS, dir string, first Position, created int64) (*segment, error) {
	s := &segment{path: filepath.Join(dir, segmentName(first)), first: first, created: created, known: true}
	f, err := fsys.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	s.file = f
	if err = writeHeader(f, first, created); err == nil {
		err = fsys.SyncDir(dir)
		if err != nil {
			err = &syncError{err}
		}
	}
	if err != nil {
		err = fmt.Errorf("create segment %s: %w", s.path, err)
		return nil, errors.Join(err, f.Close(), wrapLeftover(fsys.Remove(s.path)))
	}
	s.size, s.durable = headerSize, headerSize
	return s, nil
}

func writeHeader(f File, first Position, created int64) error {
	if _, err := f.WriteAt(encodeHeader(first, created), 0); err != nil {
		return err
	}
	if err := f.Sync(); noSpace(err) {
		return err // nothing is lost: the file holds nothing yet
	} else if err != nil {
		return &syncError{err}
	}
	return nil
}

// syncError is a failed sync: what is durable is not known any more.
type syncError struct{ err error }

func (e *syncError) Error() string { return "sync: " + e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// errLeftover tells that an incomplete file could not be removed and stands in the way.
var errLeftover = errors.New("incomplete file stays behind")

func wrapLeftover(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errLeftover, err)
}
