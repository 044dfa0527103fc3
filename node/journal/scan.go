package journal

import (
	"errors"
	"io"
)

// readChunk is how many bytes a scan asks the disk for at once, unless a record needs more.
const readChunk = 128 << 10

// window is a sliding view of a segment's bytes up to limit.
type window struct {
	src   io.ReaderAt
	limit int64
	off   int64 // offset of buf[0]
	buf   []byte
}

// at returns n bytes from off, which must lie below the limit. They are valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if i := off - w.off; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i : i+int64(n)], nil
	}
	size := int64(max(n, readChunk))
	if rest := w.limit - off; size > rest {
		size = rest
	}
	if size < int64(n) {
		return nil, io.ErrUnexpectedEOF
	}
	if int64(cap(w.buf)) < size || (cap(w.buf) > 8*readChunk && size <= readChunk) {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	w.off = off
	m, err := w.src.ReadAt(w.buf, off)
	if m < n && size > int64(n) {
		m, err = w.src.ReadAt(w.buf[:n], off) // what is unreadable may lie behind what is asked for
	}
	if m < n {
		w.buf = w.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	w.buf = w.buf[:m]
	return w.buf[:n], nil
}

// span is what a scan found at one place of a segment: a record, or damage.
type span struct {
	off, end int64
	// head is the record's; with damage it is set when known is.
	head  head
	known bool
	// packed is the record's body as kept, valid until the scan goes on; nil when bodies are skipped.
	packed []byte
	// err is the damage, nil for a record.
	err error
	// torn tells that the damage is what an interrupted write leaves: bytes at the end that are no whole record.
	torn bool
}

// scanner goes through the records of one segment in order and finds its way behind damage.
type scanner struct {
	window
	next Position // positions below are not accepted: they are stale or damaged
	pos  int64    // offset of what step looks at
	// skipBelow tells that bodies of records with lower positions need not be read.
	skipBelow Position
}

// step returns the next span, or io.EOF at the limit. Other errors are of reading, and step may be tried again.
func (s *scanner) step() (span, error) {
	if s.pos >= s.limit {
		return span{}, io.EOF
	}
	h, err := s.headAt(s.pos)
	if err != nil {
		if isDamage(err) {
			return s.resync(span{off: s.pos, err: err})
		}
		return span{}, err
	}
	sp := span{off: s.pos, end: s.pos + h.size(), head: h, known: true}
	if sp.end > s.limit {
		sp.err = errCutShort
		return s.resync(sp)
	}
	if h.position >= s.skipBelow {
		b, err := s.at(s.pos, int(h.size()))
		if err != nil {
			return span{}, err
		}
		if err := checkWhole(b); err != nil {
			sp.err = err
			return s.behindBody(sp)
		}
		sp.packed = b[offBody:]
	}
	s.pos = sp.end
	s.next = h.position + 1
	return sp, nil
}

// headAt decodes the head at off and accepts it only where it fits the order of positions.
func (s *scanner) headAt(off int64) (head, error) {
	if s.limit-off < offBody {
		return head{}, errCutShort
	}
	b, err := s.at(off, offBody)
	if err != nil {
		return head{}, err
	}
	h, err := decodeHead(b)
	if err == nil && h.position < s.next {
		return head{}, errOrder
	}
	return h, err
}

// behindBody goes on behind a record whose head is intact and whose body is not. The head's length is trusted when a
// record or the end stands where it says.
func (s *scanner) behindBody(sp span) (span, error) {
	if sp.end < s.limit {
		h, err := s.headAt(sp.end)
		if err != nil && !isDamage(err) {
			return span{}, err
		}
		if err != nil || h.position <= sp.head.position {
			return s.resync(sp)
		}
	}
	s.pos = sp.end
	s.next = sp.head.position + 1
	return sp, nil
}

// resync ends the damaged span sp before the next intact head, or at the limit. A record that is there in full, as its
// intact head says, ends no later than at its own end.
func (s *scanner) resync(sp span) (span, error) {
	bound := s.limit
	whole := sp.known && sp.end <= s.limit
	if whole {
		bound = sp.end
	}
	least := s.next
	if sp.known {
		least = sp.head.position + 1
	}
	off, err := s.find(sp.off+1, bound, least)
	if err != nil {
		return span{}, err
	}
	if off == bound {
		sp.torn = !whole // bound is the limit then
	}
	sp.end, s.pos, s.next = off, off, least
	return sp, nil
}

// find returns the offset of the first intact head from off on whose position is at least least and whose record ends
// within the limit, or bound.
func (s *scanner) find(off, bound int64, least Position) (int64, error) {
	for off < bound && off+offBody <= s.limit {
		b, err := s.at(off, int(min(readChunk, s.limit-off)))
		if err != nil {
			return 0, err
		}
		n := min(len(b)-offBody+1, int(bound-off))
		for i := range n {
			if !plausible(b[i:]) {
				continue
			}
			h, err := decodeHead(b[i:])
			if err == nil && h.position >= least && off+int64(i)+h.size() <= s.limit {
				return off + int64(i), nil
			}
		}
		off += int64(n)
	}
	return bound, nil
}

func isDamage(err error) bool {
	return err == errHead || err == errBody || err == errOrder || err == errCutShort
}
