package journal

import (
	"errors"
	"os"
)

// errGone tells that a segment was removed while it was to be read.
var errGone = errors.New("segment was removed")

// acquire opens a segment for reading, or shares the file that is open. release must follow.
func (j *Journal) acquire(s *segment) (File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.removed {
		return nil, errGone
	}
	if s.file == nil {
		f, err := j.fs.OpenFile(s.path, os.O_RDONLY, filePerm)
		if err != nil {
			return nil, err
		}
		s.file = f
	}
	s.refs++
	return s.file, nil
}

// release ends what acquire began. The last one out closes a file that is not written to any more, so that few are
// open however many segments there are, and deletes one that was removed meanwhile.
func (j *Journal) release(s *segment) {
	j.mu.Lock()
	s.refs--
	var f File
	if s.refs == 0 && (s.removed || j.closed || s != j.segs[len(j.segs)-1]) {
		f, s.file = s.file, nil
	}
	unlink := s.refs == 0 && s.removed
	j.mu.Unlock()
	if f != nil {
		j.closeSegment(s, f)
	}
	if unlink {
		j.unlink(s.path)
	}
}

func (j *Journal) closeSegment(s *segment, f File) {
	if err := f.Close(); err != nil {
		j.log.Warn("journal segment could not be closed", "file", s.path, "error", err)
	}
}

// unlink deletes the file of a removed segment. One that resists is tried again later: nothing depends on it.
func (j *Journal) unlink(path string) {
	if err := removeIfThere(j.fs, path); err != nil {
		j.log.Warn("journal segment could not be deleted; it will be tried again", "file", path, "error", err)
		j.mu.Lock()
		j.leftovers = append(j.leftovers, path)
		j.mu.Unlock()
	}
}

// segmentSource reads a segment through the journal, so that the file is open only while it is read.
type segmentSource struct {
	j *Journal
	s *segment
}

func (r segmentSource) ReadAt(p []byte, off int64) (int, error) {
	f, err := r.j.acquire(r.s)
	if err != nil {
		return 0, err
	}
	defer r.j.release(r.s)
	return f.ReadAt(p, off)
}

// scan returns a scanner over a segment's durable bytes that starts near the record with the given position and reads no
// bodies before it.
func (j *Journal) scan(s *segment, from Position) *scanner {
	j.mu.Lock()
	defer j.mu.Unlock()
	sc := &scanner{next: s.first, pos: s.seek(from), skipBelow: from}
	sc.src, sc.limit = segmentSource{j, s}, s.durable
	return sc
}
