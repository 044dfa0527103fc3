package store

import (
	"unicode/utf8"
	"unsafe"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// memtable holds the points that are in no block yet. Rows are only ever appended, so that a scan can read the first n rows of a
// series without a lock; a delete replaces the series it touches.
type memtable struct {
	parts map[*partition]*memPart
	bytes int64
	// first and last are the journal positions of what is in the table. last is fixed when the table is frozen.
	first, last uint64
	// sets are the field sets of the series in it.
	sets  map[*fieldSet]bool
	arena []byte
}

// memPart is the part of a memtable that belongs to one partition.
type memPart struct {
	table  *memtable
	p      *partition
	series map[uint32]*memSeries
}

// memSeries is the rows of one series, in the order they came.
type memSeries struct {
	part   *memPart
	entry  *seriesEntry
	fields *fieldSet
	times  []int64
	cols   []memColumn // by index in fields
	// strict tells that times are strictly increasing, sorted that they do not decrease.
	strict, sorted bool
	min, max       int64
}

// memColumn is the values of one field. Value i is that of row rows[i], or of row i while rows is nil.
type memColumn struct {
	t    line.Type
	bits []uint64
	strs []string
	rows []uint32
	// raw tells that some text is not UTF-8.
	raw bool
}

// What a series, a column and a value cost beside the bytes of their values, about.
const (
	memSeriesBytes = 256
	memColumnBytes = 112
	memStringBytes = 24
)

func newMemtable() *memtable {
	return &memtable{parts: make(map[*partition]*memPart), sets: make(map[*fieldSet]bool)}
}

func (t *memtable) empty() bool { return len(t.parts) == 0 }

func (t *memtable) partOf(p *partition) *memPart {
	mp := t.parts[p]
	if mp == nil {
		mp = &memPart{table: t, p: p, series: make(map[uint32]*memSeries)}
		t.parts[p] = mp
	}
	return mp
}

// seriesOf returns where the rows of e go in partition p, made when it is new.
func (t *memtable) seriesOf(p *partition, e *seriesEntry) *memSeries {
	if s := e.hot; s != nil && s.part.p == p && s.part.table == t {
		return s
	}
	mp := t.partOf(p)
	s := mp.series[e.id]
	if s == nil {
		s = &memSeries{part: mp, entry: e, fields: p.fieldsOf(e.m), strict: true, sorted: true}
		mp.series[e.id] = s
		t.sets[s.fields] = true
		e.refs++
		t.bytes += memSeriesBytes
	}
	e.hot = s
	return s
}

// add appends a row and returns how many of its values were refused because their field has another type.
func (s *memSeries) add(at int64, fields []line.Field) (refused int) {
	t := s.part.table
	row := len(s.times)
	if row == 0 {
		s.min, s.max = at, at
	} else if at <= s.max {
		s.strict = false
		s.sorted = s.sorted && at >= s.times[row-1]
		s.min = min(s.min, at)
	} else {
		s.max = at
	}
	s.times = append(s.times, at)
	t.bytes += 8
	index := -1
	for i := range fields {
		f := &fields[i]
		index = s.fields.find(f.Key, index+1)
		if index < 0 {
			index = s.fields.add(string(f.Key), f.Value.Type)
		}
		if s.fields.types[index] != f.Value.Type {
			refused++
			continue
		}
		if cap(s.cols) <= index {
			s.cols = append(make([]memColumn, 0, max(index+1, len(s.fields.names))), s.cols...)
		}
		for len(s.cols) <= index {
			s.cols = append(s.cols, memColumn{t: s.fields.types[len(s.cols)]})
			t.bytes += memColumnBytes
		}
		s.cols[index].add(row, &f.Value, t)
	}
	return refused
}

func (c *memColumn) add(row int, v *line.Value, t *memtable) {
	n := len(c.bits)
	if c.t == line.String {
		n = len(c.strs)
	}
	if c.rows == nil && n != row {
		c.rows = make([]uint32, n, n+8)
		for i := range c.rows {
			c.rows[i] = uint32(i)
		}
		t.bytes += int64(4 * n)
	}
	if c.rows != nil {
		c.rows = append(c.rows, uint32(row))
		t.bytes += 4
	}
	if c.t == line.String {
		c.strs = append(c.strs, t.copyString(v.Str))
		c.raw = c.raw || !utf8.Valid(v.Str)
		t.bytes += memStringBytes + int64(len(v.Str))
		return
	}
	c.bits = append(c.bits, v.Bits)
	t.bytes += 8
}

// copyString copies s into the table's arena.
func (t *memtable) copyString(s []byte) string {
	const chunk = 16 << 10
	if len(s) > chunk/4 {
		return string(s)
	}
	if len(s) > cap(t.arena)-len(t.arena) {
		t.arena = make([]byte, 0, chunk)
	}
	start := len(t.arena)
	t.arena = append(t.arena, s...)
	return unsafe.String(unsafe.SliceData(t.arena[start:]), len(s))
}

// remove takes the rows of the series within tr out of the part. Scans that began before still see them.
func (mp *memPart) remove(s *memSeries, tr TimeRange) {
	if !tr.overlaps(TimeRange{s.min, s.max}) {
		return
	}
	kept := &memSeries{part: mp, entry: s.entry, fields: s.fields, strict: true, sorted: true}
	row := make([]int, len(s.times)) // the new index of each row, -1 when it is removed
	for i, at := range s.times {
		if tr.contains(at) {
			row[i] = -1
			continue
		}
		row[i] = len(kept.times)
		if len(kept.times) == 0 {
			kept.min, kept.max = at, at
		} else if at <= kept.max {
			kept.strict = false
			kept.sorted = kept.sorted && at >= kept.times[len(kept.times)-1]
			kept.min = min(kept.min, at)
		} else {
			kept.max = at
		}
		kept.times = append(kept.times, at)
	}
	if s.entry.hot == s {
		s.entry.hot = nil
	}
	if len(kept.times) == 0 {
		delete(mp.series, s.entry.id)
		s.entry.refs--
		if len(mp.series) == 0 {
			delete(mp.table.parts, mp.p)
		}
		return
	}
	kept.cols = make([]memColumn, len(s.cols))
	for i := range s.cols {
		kept.cols[i] = s.cols[i].keep(row)
	}
	mp.series[s.entry.id] = kept
}

// keep returns the column with the rows that have a new index.
func (c *memColumn) keep(row []int) memColumn {
	out := memColumn{t: c.t, rows: []uint32{}, raw: c.raw}
	n := max(len(c.bits), len(c.strs))
	for i := range n {
		at := i
		if c.rows != nil {
			at = int(c.rows[i])
		}
		if row[at] < 0 {
			continue
		}
		out.rows = append(out.rows, uint32(row[at]))
		if c.t == line.String {
			out.strs = append(out.strs, c.strs[i])
		} else {
			out.bits = append(out.bits, c.bits[i])
		}
	}
	return out
}
