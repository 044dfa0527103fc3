package audit

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Result is what Verify saw of a log.
type Result struct {
	Segments int
	Lines    uint64 // that verified, starts of segments included
	Entries  uint64 // that verified
	Head     Head   // the last line that verified
}

// Verify checks the log in dir, and returns a *Damage that names the first line that does not verify. Lines after a damaged segment are
// still counted when the log itself noted the damage and went on.
//
// Each known head must be a line of the log: an end that was cut off is seen in no other way. The first segments may be missing when
// a known head is the last line of them; otherwise segment 1 must be there.
//
// A log may be verified while a process appends to it. A line that is being written at that moment is reported as ErrTorn.
func Verify(dir string, known ...Head) (Result, error) {
	numbers, err := segments(dir)
	if err != nil {
		return Result{}, err
	}
	if len(numbers) == 0 {
		return Result{}, fmt.Errorf("%s holds no audit log: %w", dir, fs.ErrNotExist)
	}
	v := verification{known: known}
	for i, number := range numbers {
		last := i == len(numbers)-1
		v.segment(dir, number, last)
		if v.stopped {
			break
		}
	}
	if v.first == nil {
		v.first = v.missing(dir)
	}
	if v.first != nil {
		return v.Result, v.first
	}
	return v.Result, nil
}

// verification is the state of a Verify.
type verification struct {
	Result
	known    []Head
	first    *Damage // the first that was found
	stopped  bool
	previous uint64 // number of the last segment that was read; 0 before the first

	damaged *Hash // SHA-256 of the segment read last, when it is damaged
}

func (v *verification) segment(dir string, number uint64, last bool) {
	file := segmentName(dir, number)
	v.Segments++
	if v.previous != 0 && number != v.previous+1 {
		v.fail(&Damage{file, 0, fmt.Errorf("segment %d does not follow segment %d: those between them are missing", number, v.previous)})
		v.stopped = true
		return
	}
	r := reader{path: file, number: number, line: v.line}
	switch {
	case v.damaged != nil:
		r.after = position{head: Head{v.Head.Sequence, *v.damaged}, damaged: true}
	case v.previous != 0 || number == 1:
		r.after = position{head: v.Head}
	default:
		r.after = position{unknown: true, known: v.known, strict: true}
	}
	v.damaged = nil
	if damage := r.read(); damage != nil {
		v.fail(damage)
		sum := r.sum()
		v.damaged = &sum
		v.stopped = last
	}
	v.previous = number
}

// line counts a line that verified, and compares it with the known heads.
func (v *verification) line(l line) error {
	for _, k := range v.known {
		if k.Sequence == l.Sequence && k.Hash != l.Hash {
			return fmt.Errorf("%w: line %d is known with the hash %s, and has %s", ErrRewritten, k.Sequence, k.Hash, l.Hash)
		}
	}
	v.Lines++
	if l.Entry != nil {
		v.Entries++
	}
	v.Head = Head{l.Sequence, l.Hash}
	return nil
}

// missing finds a known head that the log does not reach.
func (v *verification) missing(dir string) *Damage {
	for _, k := range v.known {
		if k.Sequence > v.Head.Sequence {
			file := dir
			if v.previous != 0 {
				file = segmentName(dir, v.previous)
			}
			return &Damage{file, 0, fmt.Errorf("%w: line %d is known, and the log ends at line %d", ErrTruncated, k.Sequence, v.Head.Sequence)}
		}
	}
	return nil
}

func (v *verification) fail(d *Damage) {
	if v.first == nil {
		v.first = d
	}
}

// position is where a segment must go on.
type position struct {
	head    Head
	damaged bool // the segment before is damaged, and head.Hash is the SHA-256 of its file
	unknown bool // there is no segment before
	strict  bool // with unknown: what was before must be one of known
	known   []Head
}

// reader reads one segment and checks the chain within it.
type reader struct {
	path   string
	number uint64
	after  position
	line   func(line) error // is given each line that verifies

	head    Head  // the last line that verified
	lines   int   // that verified
	good    int64 // bytes of them
	rest    int   // lines from the first bad one on, an unfinished one included
	tail    int64 // bytes after the last end of a line
	hashing hash.Hash
}

// sum is the SHA-256 of the whole file, after read.
func (r *reader) sum() Hash { return Hash(r.hashing.Sum(nil)) }

// read reads the segment to its end, so that sum holds, and returns the first damage.
func (r *reader) read() *Damage {
	r.hashing = sha256.New()
	f, err := os.Open(r.path)
	if err != nil {
		return &Damage{r.path, 0, err}
	}
	defer func() { _ = f.Close() }() // it is only read
	in := bufio.NewReaderSize(io.TeeReader(f, r.hashing), maxLine+1)
	for {
		text, err := in.ReadSlice('\n')
		cause := r.one(text, err)
		if errors.Is(cause, io.EOF) {
			return nil
		}
		if cause != nil {
			if err := r.drain(in, text, err); err != nil {
				cause = err
			}
			return &Damage{r.path, r.lines + 1, cause}
		}
	}
}

// one checks a line as it was read. It returns io.EOF at a good end.
func (r *reader) one(text []byte, err error) error {
	switch {
	case errors.Is(err, io.EOF) && len(text) == 0 && r.lines > 0:
		return io.EOF
	case errors.Is(err, io.EOF):
		return ErrTorn
	case errors.Is(err, bufio.ErrBufferFull):
		return fmt.Errorf("the line has more than %d bytes", maxLine)
	case err != nil:
		return err
	}
	l, err := decode(text[:len(text)-1])
	if err == nil {
		err = r.follows(l)
	}
	if err == nil && r.line != nil {
		err = r.line(l)
	}
	if err != nil {
		return err
	}
	r.head = Head{l.Sequence, l.Hash}
	r.lines++
	r.good += int64(len(text))
	return nil
}

// drain reads what is after the first bad line.
func (r *reader) drain(in *bufio.Reader, text []byte, err error) error {
	for {
		r.tail += int64(len(text))
		if err == nil {
			r.rest++
			r.tail = 0
		} else if !errors.Is(err, bufio.ErrBufferFull) {
			if r.tail > 0 {
				r.rest++
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		text, err = in.ReadSlice('\n')
	}
}

// follows checks that a line follows the one before it.
func (r *reader) follows(l line) error {
	if r.lines > 0 {
		if l.Start != nil {
			return errors.New("a segment starts in the middle of a file")
		}
		return next(l, r.head)
	}
	switch s := l.Start; {
	case s == nil:
		return errors.New("the segment does not say that it starts")
	case s.Format != format:
		return fmt.Errorf("the format is %.40q, and %q is wanted: it was written by another version", s.Format, format)
	case s.Number != r.number:
		return fmt.Errorf("this is segment %d by its name, and %d by its first line", r.number, s.Number)
	}
	return r.after.precedes(l)
}

// precedes checks that the first line of a segment follows the segment before.
func (p position) precedes(l line) error {
	switch {
	case p.unknown:
		before := Head{l.Sequence - 1, l.Previous}
		if p.strict && !slices.Contains(p.known, before) {
			return fmt.Errorf("the segments before this one are missing, and line %d with the hash %s, their last, is not known", before.Sequence, before.Hash)
		}
	case p.damaged:
		if l.Start.Damage == nil || l.Previous != p.head.Hash {
			return errors.New("the segment before does not verify, and this one does not say so of it as it is now")
		}
		if l.Sequence <= p.head.Sequence {
			return fmt.Errorf("the line has number %d, and %d is before it", l.Sequence, p.head.Sequence)
		}
	case l.Start.Damage != nil:
		return errors.New("this segment says that the one before is damaged, and it is not")
	default:
		return next(l, p.head)
	}
	return nil
}

// next checks that a line comes right after a head.
func next(l line, head Head) error {
	if l.Sequence != head.Sequence+1 {
		return fmt.Errorf("the line has number %d, and %d is wanted: lines were removed or inserted", l.Sequence, head.Sequence+1)
	}
	if l.Previous != head.Hash {
		return errors.New("the line does not follow the one before: that one was replaced")
	}
	return nil
}

// segments are the numbers of the segments in a folder, in order. A folder that is not there has none.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the audit log's folder: %w", err)
	}
	var numbers []uint64
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
