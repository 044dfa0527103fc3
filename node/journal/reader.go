package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// The reasons of a Gap.
const (
	// ReasonDropped tells that the bounds removed the records.
	ReasonDropped = "dropped"
	// ReasonDamaged tells that the records cannot be read from the disk.
	ReasonDamaged = "damaged"
)

// errMissing is the damage where nothing at all is left of records.
var errMissing = errors.New("no trace of the records is left in the folder")

// reader implements Reader. It holds no file between calls, so that it never keeps a segment from going.
type reader struct {
	j      *Journal
	next   Position // what Next returns next
	first  bool     // nothing was returned yet
	closed bool

	seg  *segment
	scan *scanner
	body []byte
	// ahead is a record that was found and not returned yet, when found is set.
	ahead span
	found bool
	lost  loss
	prev  head // the last record returned
}

// loss is what is known of records that were passed over because they are damaged.
type loss struct {
	totals
	err error
}

// ReadFrom implements Log.
func (j *Journal) ReadFrom(from Position) (Reader, error) {
	if j.isClosed() {
		return nil, ErrClosed
	}
	return &reader{j: j, next: max(from, 1), first: true}, nil
}

func (r *reader) Close() error {
	r.closed = true
	r.scan, r.seg, r.body, r.ahead = nil, nil, nil, span{}
	return nil
}

// Next implements Reader. An error that is neither io.EOF nor a *Gap is of reading the disk; the next call tries again.
func (r *reader) Next() (Record, error) {
	if r.closed {
		return Record{}, ErrClosed
	}
	for {
		if r.found {
			return r.deliver()
		}
		if r.scan == nil {
			if err := r.enter(); err != nil {
				return Record{}, err
			}
		}
		sp, err := r.scan.step()
		switch {
		case err == nil:
			if err := r.take(sp); err != nil {
				return Record{}, err
			}
		case errors.Is(err, io.EOF):
			if err := r.leave(); err != nil {
				return Record{}, err
			}
		case errors.Is(err, errGone):
			r.scan = nil
		default:
			return Record{}, fmt.Errorf("read journal segment %s at offset %d: %w", r.seg.path, r.scan.pos, err)
		}
	}
}

// enter finds the segment that r.next is in, or the first behind it. It returns a *Gap when records before that
// segment are gone, and io.EOF when r.next does not exist yet.
func (r *reader) enter() error {
	r.j.mu.Lock()
	if r.j.closed {
		r.j.mu.Unlock()
		return ErrClosed
	}
	if r.next > r.j.durable {
		r.j.mu.Unlock()
		return io.EOF
	}
	segs := r.j.segs
	i := len(segs) - 1
	for i > 0 && segs[i].first > r.next {
		i--
	}
	r.seg = segs[i]
	var gap error
	if i == 0 && r.next < r.seg.first {
		gap = r.before(r.seg.first)
	}
	r.j.mu.Unlock()
	if gap != nil {
		return gap
	}
	r.scan = r.j.scan(r.seg, r.next)
	return nil
}

// before goes on at first, the oldest position kept, and returns the *Gap that this makes, if it makes one. A reader that
// asked for the beginning begins where the journal does. r.j.mu is held.
func (r *reader) before(first Position) error {
	from := r.next
	g := Gap{From: from, To: first - 1, Points: -1, MinTime: math.MaxInt64, MaxTime: math.MinInt64, Reason: ReasonDropped}
	points, covered := int64(0), Position(0)
	known := true
	for _, d := range r.j.state.drops {
		if d.to < from || d.from >= first {
			continue
		}
		if covered == 0 && r.first && from == 1 {
			g.From = d.from
		}
		known = known && d.points >= 0 && d.from >= g.From && d.to < first
		points += d.points
		covered += min(d.to, g.To) - max(d.from, g.From) + 1
		if d.points != 0 {
			g.MinTime, g.MaxTime = min(g.MinTime, d.minTime), max(g.MaxTime, d.maxTime)
		}
	}
	r.next, r.lost = first, loss{}
	if covered == 0 && r.first && from == 1 {
		return nil
	}
	if known && covered == g.To-g.From+1 {
		g.Points = int(min(points, math.MaxInt))
	}
	if g.MinTime > g.MaxTime {
		g.MinTime, g.MaxTime = r.unknownTimes(g.Points)
	}
	if covered == 0 && g.To > r.j.released {
		g.Reason, g.Err = ReasonDamaged, errMissing
	}
	r.first = false
	return &g
}

// unknownTimes returns bounds for a gap of which no time is known.
func (r *reader) unknownTimes(points int) (minTime, maxTime int64) {
	if points == 0 {
		return 0, 0
	}
	return math.MinInt64, math.MaxInt64
}

// take looks at what the scan found: it keeps a record to deliver, remembers damage, and returns a *Gap before a
// record that is not the next.
func (r *reader) take(sp span) error {
	if sp.err != nil {
		r.damage(sp)
		return nil
	}
	if sp.head.position < r.next {
		return nil
	}
	r.ahead, r.found = sp, true
	if sp.head.position == r.next {
		r.lost = loss{}
		return nil
	}
	return r.gap(sp.head.position-1, &r.ahead.head)
}

// damage remembers a damaged span for the gap that follows.
func (r *reader) damage(sp span) {
	if sp.known && sp.head.position < r.next {
		return
	}
	err := fmt.Errorf("%s at offset %d: %w", r.seg.path, sp.off, sp.err)
	if r.lost.err == nil {
		r.lost.err = err
	}
	if sp.known {
		r.lost.add(&sp.head)
	}
	r.j.m.damaged.WithLabelValues("record").Inc()
}

// gap returns the *Gap from r.next to to and goes on behind it; behind is the next record, nil at the end.
func (r *reader) gap(to Position, behind *head) error {
	g := &Gap{From: r.next, To: to, Points: r.lost.points, MinTime: r.lost.minTime, MaxTime: r.lost.maxTime, Reason: ReasonDamaged, Err: r.lost.err}
	if g.Err == nil {
		g.Err = errMissing
	}
	if Position(r.lost.records) != to-r.next+1 {
		g.Points = -1
		g.MinTime, g.MaxTime = r.guessTimes(behind)
	}
	r.lost = loss{}
	r.next = to + 1
	r.first = false
	return g
}

// guessTimes bounds missing points by what is known of their records and by the neighbours'.
func (r *reader) guessTimes(behind *head) (minTime, maxTime int64) {
	t := r.lost.totals
	for _, h := range []*head{&r.prev, behind} {
		if h != nil {
			t.add(h)
		}
	}
	if t.points == 0 {
		return math.MinInt64, math.MaxInt64
	}
	return t.minTime, t.maxTime
}

// deliver returns the record that the scan stands at.
func (r *reader) deliver() (Record, error) {
	h := &r.ahead.head
	if cap(r.body) > 8*readChunk && h.bodySize <= readChunk {
		r.body = nil // one large record does not hold its memory for good
	}
	body, grown, err := decodeBody(h, r.ahead.packed, r.body)
	r.body = grown
	if errors.Is(err, errCodec) {
		return Record{}, fmt.Errorf("read journal segment %s at offset %d: %w; use the version that wrote it", r.seg.path, r.ahead.off, err)
	}
	r.found = false
	if err != nil {
		r.ahead.err = err
		r.damage(r.ahead)
		return Record{}, r.gap(h.position, nil)
	}
	r.prev, r.next, r.first = *h, h.position+1, false
	return Record{
		Position: h.position, Kind: h.kind, Count: int(h.count), MinTime: h.minTime, MaxTime: h.maxTime,
		Accepted: h.accepted, Body: body,
	}, nil
}

// leave goes on behind the end of what the scan could see: to more of the same segment, to the next, or to the end,
// where it returns io.EOF or the *Gap of records that should have been there.
func (r *reader) leave() error {
	r.j.mu.Lock()
	if r.j.closed {
		r.j.mu.Unlock()
		return ErrClosed
	}
	durable := r.j.durable
	if r.seg.durable > r.scan.limit {
		r.scan.limit = r.seg.durable
		r.j.mu.Unlock()
		return nil
	}
	if r.seg.removed {
		r.j.mu.Unlock()
		r.scan = nil // enter tells what became of r.next
		return nil
	}
	i := slices.Index(r.j.segs, r.seg) + 1
	if i == len(r.j.segs) {
		r.j.mu.Unlock()
		if r.next > durable {
			return io.EOF
		}
		return r.gap(durable, nil)
	}
	r.seg = r.j.segs[i]
	r.j.mu.Unlock()
	r.scan = r.j.scan(r.seg, r.next)
	if r.next < r.seg.first {
		return r.gap(r.seg.first-1, nil)
	}
	return nil
}
