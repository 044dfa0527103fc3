package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Report is what Check found. Times are in ns since the epoch, sizes in bytes; ranges of positions are inclusive.
type Report struct {
	Dir string `json:"dir"`
	// First and Last are the positions that the segments span.
	First    Position        `json:"first"`
	Last     Position        `json:"last"`
	Records  int             `json:"records"`
	Points   int             `json:"points"`
	Bytes    int64           `json:"bytes"`
	Segments []SegmentReport `json:"segments"`
	Cursors  []CursorReport  `json:"cursors"`
	// Dropped are the ranges that the bounds removed and that readers may still have to learn of.
	Dropped []DropReport `json:"dropped"`
	// State is the damage of the state file, empty when it is intact.
	State string `json:"state,omitempty"`
}

// SegmentReport describes one segment.
type SegmentReport struct {
	File    string   `json:"file"`
	First   Position `json:"first"`
	Last    Position `json:"last"` // 0 without records
	Records int      `json:"records"`
	Points  int      `json:"points"`
	Bytes   int64    `json:"bytes"`
	MinTime int64    `json:"minTime"`
	MaxTime int64    `json:"maxTime"`
	Damage  []Damage `json:"damage,omitempty"`
}

// Damage is a stretch of a segment that is no record.
type Damage struct {
	Offset int64 `json:"offset"`
	Bytes  int64 `json:"bytes"`
	// From and To are the records lost there, 0 when they are not known or when none is.
	From Position `json:"from,omitempty"`
	To   Position `json:"to,omitempty"`
	// Torn tells that this is what an interrupted write leaves: the next start cuts it off, and nothing was lost.
	Torn  bool   `json:"torn,omitempty"`
	Cause string `json:"cause"`
}

// CursorReport describes one cursor.
type CursorReport struct {
	Name     string   `json:"name"`
	Position Position `json:"position"`
	Pins     bool     `json:"pins"`
	// Lag is how many positions the cursor is behind the end, LagBytes how many bytes the records behind it take.
	Lag      uint64 `json:"lag"`
	LagBytes int64  `json:"lagBytes"`
	Damage   string `json:"damage,omitempty"`
}

// DropReport describes records that the bounds removed. Points is -1 when unknown.
type DropReport struct {
	From    Position `json:"from"`
	To      Position `json:"to"`
	Points  int64    `json:"points"`
	MinTime int64    `json:"minTime"`
	MaxTime int64    `json:"maxTime"`
	At      int64    `json:"at"`
	Reason  string   `json:"reason"`
}

// Intact reports whether nothing is damaged. An unfinished record at the end is no damage.
func (r *Report) Intact() bool {
	for _, s := range r.Segments {
		if slices.ContainsFunc(s.Damage, func(d Damage) bool { return !d.Torn }) {
			return false
		}
	}
	return r.State == "" && !slices.ContainsFunc(r.Cursors, func(c CursorReport) bool { return c.Damage != "" })
}

// Check reads the whole journal in dir and verifies every record. It changes nothing. It is meant for a journal that no
// process has open; on one in use the newest record may look torn. The error tells that the folder cannot be read; files
// that cannot be read are reported as damage.
func Check(dir string) (Report, error) { return check(osFS{}, dir) }

func check(fsys FS, dir string) (Report, error) {
	r := Report{Dir: dir}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return r, fmt.Errorf("check journal: %w", err)
	}
	c := checker{fs: fsys, report: &r}
	c.state(filepath.Join(dir, stateName))
	for _, e := range entries {
		if first, ok := parseSegmentName(e.Name()); ok {
			c.segs = append(c.segs, &segment{path: filepath.Join(dir, e.Name()), first: first})
		}
	}
	if err := c.cursors(filepath.Join(dir, cursorDir)); err != nil {
		return r, fmt.Errorf("check journal: %w", err)
	}
	for i := range c.segs {
		c.segment(i)
	}
	c.sum()
	return r, nil
}

// checker holds what Check has learned so far.
type checker struct {
	fs     FS
	report *Report
	floor  Position
	segs   []*segment
}

func (c *checker) state(path string) {
	f, err := c.fs.OpenFile(path, os.O_RDONLY, filePerm)
	if err != nil {
		c.report.State = err.Error()
		return
	}
	value, _, damaged, err := readSlots(f, stateSlot)
	err = errors.Join(err, damaged, f.Close())
	if value != nil {
		s, decodeErr := decodeState(value)
		err = errors.Join(err, decodeErr)
		c.floor = s.floor
		for _, d := range s.drops {
			c.floor = max(c.floor, d.to)
			c.report.Dropped = append(c.report.Dropped, DropReport{
				From: d.from, To: d.to, Points: d.points, MinTime: d.minTime, MaxTime: d.maxTime, At: d.at, Reason: d.reason.String(),
			})
		}
	}
	if err != nil {
		c.report.State = fmt.Sprintf("%s: %s", path, err)
	}
}

// segment verifies the segment with index i.
func (c *checker) segment(i int) {
	s := c.segs[i]
	sr := SegmentReport{File: s.path, First: s.first}
	defer func() { c.report.Segments = append(c.report.Segments, sr) }()
	f, err := c.fs.OpenFile(s.path, os.O_RDONLY, filePerm)
	if err != nil {
		sr.Damage = append(sr.Damage, Damage{Cause: err.Error()})
		return
	}
	defer func() {
		if err := f.Close(); err != nil {
			sr.Damage = append(sr.Damage, Damage{Cause: err.Error()})
		}
	}()
	damage, err := s.readHeader(f)
	if err := errors.Join(damage, err); err != nil {
		sr.Damage = append(sr.Damage, Damage{Bytes: min(s.size, headerSize), Cause: err.Error()})
		if damage == nil {
			return
		}
	}
	sr.Bytes = s.size
	c.records(&sr, f, i)
}

// records goes through a segment's records.
func (c *checker) records(sr *SegmentReport, f File, i int) {
	newest := i == len(c.segs)-1
	last := c.floor // of what should be in this segment
	if !newest {
		last = c.segs[i+1].first - 1
	}
	sc := &scanner{next: sr.First, pos: headerSize}
	sc.src, sc.limit = f, sr.Bytes
	var t totals
	expected, open := sr.First, -1 // open is the damage whose end is not known yet
	for {
		sp, err := sc.step()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				sr.Damage = append(sr.Damage, Damage{Offset: sc.pos, Bytes: sr.Bytes - sc.pos, Cause: err.Error()})
			}
			break
		}
		if sp.known && sp.head.position > expected {
			open = sr.lost(open, sp.off, expected, sp.head.position-1)
		}
		if sp.err != nil {
			d := Damage{Offset: sp.off, Bytes: sp.end - sp.off, Cause: sp.err.Error()}
			d.Torn = sp.torn && newest && max(expected, sp.head.position) > c.floor
			if sp.known {
				d.From, d.To = sp.head.position, sp.head.position
			} else if !d.Torn {
				open = len(sr.Damage)
			}
			sr.Damage = append(sr.Damage, d)
		} else {
			t.add(&sp.head)
			c.lag(&sp.head)
		}
		if sp.known {
			expected = sp.head.position + 1
		}
	}
	if expected <= last {
		sr.lost(open, sr.Bytes, expected, last)
	}
	sr.Records, sr.Points, sr.MinTime, sr.MaxTime, sr.Last = t.records, t.points, t.minTime, t.maxTime, t.last
}

// lost notes that the positions from to to are missing before the given offset: in the damage with index open, or
// without a trace when that is -1.
func (sr *SegmentReport) lost(open int, off int64, from, to Position) int {
	if open >= 0 {
		sr.Damage[open].From, sr.Damage[open].To = from, to
	} else {
		sr.Damage = append(sr.Damage, Damage{Offset: off, From: from, To: to, Cause: errMissing.Error()})
	}
	return -1
}

func (c *checker) sum() {
	r := c.report
	for _, s := range r.Segments {
		r.Records += s.Records
		r.Points += s.Points
		r.Bytes += s.Bytes
		r.Last = max(r.Last, s.Last)
	}
	r.Last = max(r.Last, c.floor)
	if len(r.Segments) > 0 {
		r.First = r.Segments[0].First
	}
	for i := range r.Cursors {
		if at := r.Cursors[i].Position; at < r.Last {
			r.Cursors[i].Lag = uint64(r.Last - at)
		}
	}
}

// lag counts a record for the cursors that are before it.
func (c *checker) lag(h *head) {
	for i := range c.report.Cursors {
		if cr := &c.report.Cursors[i]; cr.Position < h.position {
			cr.LagBytes += h.size()
		}
	}
}

func (c *checker) cursors(dir string) error {
	entries, err := c.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name, ok := parseCursorFile(e.Name()); ok {
			c.report.Cursors = append(c.report.Cursors, c.cursor(name, filepath.Join(dir, e.Name())))
		}
	}
	return nil
}

func (c *checker) cursor(name, path string) CursorReport {
	cr := CursorReport{Name: name}
	f, err := c.fs.OpenFile(path, os.O_RDONLY, filePerm)
	if err != nil {
		cr.Damage = err.Error()
		return cr
	}
	value, _, damaged, err := readSlots(f, cursorSlot)
	err = errors.Join(err, damaged, f.Close())
	if value != nil {
		var decodeErr error
		cr.Position, cr.Pins, decodeErr = decodeCursor(value)
		err = errors.Join(err, decodeErr)
	}
	if err != nil {
		cr.Damage = fmt.Sprintf("%s: %s", path, err)
	}
	return cr
}
