package journal

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// model is the journal as it should be: all records ever acknowledged, and where cursors and readers are.
type model struct {
	rnd     *rand.Rand
	o       Options
	j       *Journal
	clock   *clock
	records []Record
	cursors map[string]*modelCursor
	readers []*modelReader
	full    int
	gaps    int
}

type modelCursor struct {
	Cursor
	pos  Position
	pins bool
}

type modelReader struct {
	Reader
	next  Position
	fresh bool
}

func TestRandomOperationsMatchTheModel(t *testing.T) {
	var full, gaps int
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		c := newClock()
		m := &model{rnd: rnd, clock: c, cursors: map[string]*modelCursor{}}
		m.o = Options{
			Dir: "/j", FS: newMemFS(), Now: c.now, SegmentBytes: 300 + int64(rnd.IntN(1500)), CursorInterval: -1,
			Policy: Policy(seed % 2), MaxBytes: []int64{0, 8 << 10, 20 << 10}[seed%3],
		}
		if seed%4 == 0 {
			m.o.MaxAge = time.Hour
		}
		m.j = open(t, m.o)
		for step := range 400 {
			if err := m.step(t); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		if err := m.verify(t); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		full += m.full
		gaps += m.gaps
	}
	if full == 0 || gaps == 0 {
		t.Fatalf("the journals were full %d times and %d gaps were seen: the test does not reach the bounds", full, gaps)
	}
}

func (m *model) step(t *testing.T) error {
	switch n := m.rnd.IntN(100); {
	case n < 55:
		return m.append(t)
	case n < 70:
		return m.advance()
	case n < 82:
		return m.read()
	case n < 86:
		return m.newReader()
	case n < 89:
		return m.newCursor()
	case n < 91:
		return m.removeCursor()
	case n < 95:
		m.clock.add(time.Duration(m.rnd.IntN(40)) * time.Minute)
		return nil
	case n < 98:
		return m.sizes()
	}
	return m.reopen()
}

func (m *model) append(t *testing.T) error {
	r := points(m.rnd.IntN(1e6), m.rnd.IntN(30))
	p, err := m.j.Append(t.Context(), r)
	var full *FullError
	if errors.As(err, &full) {
		m.full++
		if full.RetryAfter <= 0 || full.Reason == "" || (m.o.MaxBytes == 0 && m.o.MinFreeBytes == 0) {
			return fmt.Errorf("full with %+v", full)
		}
		return m.mayBeFull()
	}
	if err != nil {
		return err
	}
	if m.records = append(m.records, r); int(p) != len(m.records) {
		return fmt.Errorf("position %d, want %d", p, len(m.records))
	}
	if _, size, _ := m.j.kept(); m.o.MaxBytes > 0 && size > m.o.MaxBytes {
		return fmt.Errorf("%d bytes are kept, %d are allowed", size, m.o.MaxBytes)
	}
	return m.pinsHold()
}

// mayBeFull verifies that something holds the oldest segment.
func (m *model) mayBeFull() error {
	if m.o.Policy == Reject {
		return nil
	}
	for _, c := range m.cursors {
		if c.pins {
			return nil
		}
	}
	return errors.New("refused although nothing is pinned and the policy is to drop")
}

// pinsHold verifies that nothing behind a pinning cursor is gone.
func (m *model) pinsHold() error {
	first, last := m.j.Bounds()
	if int(last) != len(m.records) {
		return fmt.Errorf("last is %d, want %d", last, len(m.records))
	}
	for name, c := range m.cursors {
		if c.pins && first > c.pos+1 {
			return fmt.Errorf("first is %d, pinning cursor %s is at %d", first, name, c.pos)
		}
	}
	return nil
}

func (m *model) anyCursor() string {
	names := slices.Sorted(maps.Keys(m.cursors))
	if len(names) == 0 {
		return ""
	}
	return names[m.rnd.IntN(len(names))]
}

func (m *model) advance() error {
	c := m.cursors[m.anyCursor()]
	if c == nil {
		return nil
	}
	p := c.pos + Position(m.rnd.IntN(len(m.records)-int(min(c.pos, Position(len(m.records))))+1))
	if err := c.Advance(p); err != nil {
		return err
	}
	c.pos = max(c.pos, p)
	if got := c.Position(); got != c.pos {
		return fmt.Errorf("cursor is at %d, want %d", got, c.pos)
	}
	return nil
}

func (m *model) newCursor() error {
	name := fmt.Sprintf("c%d", m.rnd.IntN(3))
	if m.cursors[name] != nil {
		return nil
	}
	c := &modelCursor{pins: m.rnd.IntN(2) == 0}
	var err error
	if c.Cursor, err = m.j.Cursor(name, CursorOptions{Pins: c.pins}); err != nil {
		return err
	}
	settle(m.j)
	first, _ := m.j.Bounds() // a new cursor begins with what is there
	c.pos = first - 1
	m.cursors[name] = c
	return c.Advance(c.pos)
}

func (m *model) removeCursor() error {
	name := m.anyCursor()
	if name == "" {
		return nil
	}
	c := m.cursors[name]
	delete(m.cursors, name)
	return c.Remove()
}

func (m *model) newReader() error {
	from := Position(1 + m.rnd.IntN(len(m.records)+1))
	if c := m.cursors[m.anyCursor()]; c != nil && m.rnd.IntN(2) == 0 {
		from = c.pos + 1
	}
	r, err := m.j.ReadFrom(from)
	if err != nil {
		return err
	}
	if len(m.readers) == 4 {
		if err := m.readers[0].Close(); err != nil {
			return err
		}
		m.readers = m.readers[1:]
	}
	m.readers = append(m.readers, &modelReader{Reader: r, next: from, fresh: true})
	return nil
}

func (m *model) read() error {
	if len(m.readers) == 0 {
		return nil
	}
	r := m.readers[m.rnd.IntN(len(m.readers))]
	for range m.rnd.IntN(20) {
		end, err := m.next(r)
		if end || err != nil {
			return err
		}
	}
	return nil
}

// next reads once and compares with the model. end tells that there is nothing more.
func (m *model) next(r *modelReader) (end bool, err error) {
	rec, err := r.Next()
	var gap *Gap
	switch {
	case errors.Is(err, io.EOF):
		if int(r.next) <= len(m.records) && !r.skips(Position(len(m.records)+1)) {
			return true, fmt.Errorf("the end comes before record %d of %d", r.next, len(m.records))
		}
		return true, nil
	case errors.As(err, &gap):
		return false, m.gap(r, gap)
	case err != nil:
		return true, err
	}
	if rec.Position != r.next && !r.skips(rec.Position) {
		return true, fmt.Errorf("record %d comes where %d is due", rec.Position, r.next)
	}
	r.next, r.fresh = rec.Position+1, false
	return false, same(rec, m.records[rec.Position-1], rec.Position)
}

// skips reports whether r may begin at p without a gap: it asked for the beginning.
func (r *modelReader) skips(p Position) bool { return r.fresh && r.next == 1 && p > 1 }

func (m *model) gap(r *modelReader, g *Gap) error {
	m.gaps++
	first, _ := m.j.Bounds()
	if g.Reason != ReasonDropped || g.Err != nil {
		return fmt.Errorf("%v: %w", g, g.Err)
	}
	if (g.From != r.next && !r.skips(g.From)) || g.To < g.From || g.To >= first {
		return fmt.Errorf("%v where %d is due and %d is the first kept", g, r.next, first)
	}
	r.next, r.fresh = g.To+1, false
	return checkGap(g, m.records)
}

// settle returns when the committer has done what it was kicked for before: the third kick is taken when the work for
// the first is done.
func settle(j *Journal) {
	for range 3 {
		j.kick <- struct{}{}
	}
}

// sizes verifies that Size shrinks by a record at each position and is 0 at the end.
func (m *model) sizes() error {
	settle(m.j)
	first, last := m.j.Bounds()
	before := m.j.Size(first - 1)
	for p := first; p <= last; p++ {
		size := m.j.Size(p)
		if d := before - size; d < offBody || d > int64(offBody+len(m.records[p-1].Body)) {
			return fmt.Errorf("record %d of %d bytes takes %d", p, len(m.records[p-1].Body), d)
		}
		before = size
	}
	if before != 0 {
		return fmt.Errorf("%d bytes are behind the last record", before)
	}
	return nil
}

func (m *model) reopen() error {
	if err := m.j.Close(); err != nil {
		return err
	}
	report, err := check(m.o.FS, m.o.Dir)
	if err != nil || !report.Intact() || int(report.Last) != len(m.records) {
		return fmt.Errorf("check found %+v, %w", report, err)
	}
	if m.j, err = Open(m.o); err != nil {
		return err
	}
	for name, c := range m.cursors {
		if c.Cursor, err = m.j.Cursor(name, CursorOptions{Pins: c.pins}); err != nil {
			return err
		}
		if got := c.Position(); got != c.pos {
			return fmt.Errorf("cursor %s is at %d after reopen, want %d", name, got, c.pos)
		}
	}
	for _, r := range m.readers {
		if r.Reader, err = m.j.ReadFrom(r.next); err != nil {
			return err
		}
	}
	return m.pinsHold()
}

// verify reads everything with every reader and with a new one for each cursor.
func (m *model) verify(t *testing.T) error {
	for _, c := range m.cursors {
		r, err := m.j.ReadFrom(c.pos + 1)
		if err != nil {
			return err
		}
		m.readers = append(m.readers, &modelReader{Reader: r, next: c.pos + 1, fresh: true})
	}
	for _, r := range m.readers {
		for {
			end, err := m.next(r)
			if err != nil {
				return err
			}
			if end {
				break
			}
		}
	}
	return m.j.Close()
}
