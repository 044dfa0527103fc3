package store

import (
	"slices"
	"sort"
)

// chunkRows is the most rows of a chunk.
const chunkRows = 4096

// source gives the rows of one series out of one place, in the direction of the scan, as batches with a column for each
// wanted field. A batch is valid until the next call; nil is the end.
type source interface {
	next() *rows
}

// blockScan reads one block for one scan.
type blockScan struct {
	b       *block
	time    *columnReader
	fields  []string
	cols    []*columnReader // wide: one for each wanted field, nil where the block does not have it
	values  []*columnReader // narrow: by index in b.cols
	wanted  map[uint32]int  // narrow: index in b.fields to index in fields
	damaged func(d Damage)
}

// newBlockScan prepares to read fields. The block must be acquired.
func newBlockScan(b *block, fields []string, damaged func(Damage)) (*blockScan, error) {
	f, err := b.reader()
	if err != nil {
		return nil, err
	}
	s := &blockScan{b: b, time: newColumnReader(&b.cols[0], f), fields: fields, damaged: damaged}
	if b.head.layout == wide {
		s.cols = make([]*columnReader, len(fields))
		for i, name := range fields {
			if at := b.column(name); at >= 0 {
				s.cols[i] = newColumnReader(&b.cols[at], f)
			}
		}
		return s, nil
	}
	s.wanted = make(map[uint32]int)
	for i, name := range fields {
		for at, have := range b.fields {
			if have.Name == name {
				s.wanted[uint32(at)] = i
			}
		}
	}
	s.values = make([]*columnReader, len(b.cols))
	for i := 1; i < len(b.cols); i++ {
		s.values[i] = newColumnReader(&b.cols[i], f)
	}
	return s, nil
}

// column returns the index in cols of a field of a wide block, -1 when there is none.
func (b *block) column(field string) int {
	i := sort.Search(len(b.fields), func(i int) bool { return b.fields[i].Name >= field })
	if i < len(b.fields) && b.fields[i].Name == field {
		return i + 1
	}
	return -1
}

// lost returns what columnReader calls for a damaged page.
func (s *blockScan) lost(c *blockColumn) func(int, error) {
	return func(p int, err error) {
		s.b.damaged.Store(true)
		s.damaged(s.b.pageDamage(c, p, err))
	}
}

// series returns the source of series number i, nil when it has no rows in tr. Rows in the ranges of cut are left out.
func (s *blockScan) series(i int, tr TimeRange, cut []TimeRange, descending bool) source {
	lo, hi := s.b.starts[i], s.b.starts[i+1]
	if s.b.head.layout == narrow {
		return &narrowSource{scan: s, series: i, tr: tr, cut: cut, descending: descending}
	}
	first, last := s.time.col.pageOf(lo), s.time.col.pageOf(hi-1)
	w := &wideSource{scan: s, lo: lo, hi: hi, page: first, last: last, step: 1, tr: tr, cut: cut}
	if descending {
		w.page, w.last, w.step = last, first, -1
	}
	return w
}

// wideSource reads the rows [lo, hi) of a wide block page by page.
type wideSource struct {
	scan   *blockScan
	lo, hi uint32
	// page is the next to read, last the last.
	page, last, step int
	tr               TimeRange
	cut              []TimeRange
	done             bool
}

func (w *wideSource) next() *rows {
	t := w.scan.time.col
	for !w.done {
		p := w.page
		w.done = p == w.last
		w.page += w.step
		if !t.bounds[p].overlaps(w.tr) {
			continue
		}
		if r := w.read(max(w.lo, t.firsts[p]), min(w.hi, t.firsts[p+1])); r.len() > 0 {
			return &r
		}
	}
	return nil
}

// read returns the rows [lo, hi), which are of one page of times.
func (w *wideSource) read(lo, hi uint32) rows {
	s := w.scan
	times := s.time.read(lo, hi, s.lost(s.time.col)).Integers
	if len(times) == 0 {
		return rows{}
	}
	from := sort.Search(len(times), func(i int) bool { return times[i] >= w.tr.Min })
	to := sort.Search(len(times), func(i int) bool { return times[i] > w.tr.Max })
	if from >= to {
		return rows{}
	}
	lo, hi = lo+uint32(from), lo+uint32(to)
	r := rows{times: times[from:to], cols: make([]Column, len(s.cols))}
	for i, c := range s.cols {
		if c != nil {
			r.cols[i] = c.read(lo, hi, s.lost(c.col))
		}
	}
	r.cut(w.cut)
	if w.step < 0 {
		r = r.clone()
		r.reverse()
	}
	return r
}

// narrowSource reads the runs of one series of a narrow block, all at once: narrow blocks hold little of each series.
type narrowSource struct {
	scan       *blockScan
	series     int
	tr         TimeRange
	cut        []TimeRange
	descending bool
	done       bool
}

func (n *narrowSource) next() *rows {
	if n.done {
		return nil
	}
	n.done = true
	s, b := n.scan, n.scan.b
	var runs []rows
	for r := b.runAt[n.series]; r < b.runAt[n.series+1]; r++ {
		if field, ok := s.wanted[b.runField[r]]; ok {
			runs = addRun(runs, s.run(r, field, n.tr))
		}
	}
	if len(runs) == 0 {
		return nil
	}
	out := runs[0]
	if len(runs) > 1 {
		out = mergeAll(runs, len(s.fields))
	}
	out.cut(n.cut)
	if n.descending {
		out.reverse()
	}
	if out.len() == 0 {
		return nil
	}
	return &out
}

// run returns a copy of the run's rows in tr, with the value in the column of its field.
func (s *blockScan) run(r uint32, field int, tr TimeRange) rows {
	b := s.b
	lo, hi := b.runStart[r], b.runStart[r+1]
	times := s.time.read(lo, hi, s.lost(s.time.col))
	value := s.valueColumn(b.fields[b.runField[r]])
	if value == nil || times.Type == 0 {
		return rows{}
	}
	all := rows{times: times.Integers, cols: make([]Column, len(s.fields))}
	all.cols[field] = value.read(lo, hi, s.lost(value.col))
	out := rows{cols: make([]Column, len(s.fields))}
	start := -1
	for i := 0; i <= len(all.times); i++ {
		if i < len(all.times) && times.Has(i) && tr.contains(all.times[i]) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			out.append(&all, start, i)
			start = -1
		}
	}
	return out
}

func (s *blockScan) valueColumn(f FieldKey) *columnReader {
	for _, c := range s.values {
		if c != nil && c.col.t == f.Type {
			return c
		}
	}
	return nil
}

// addRun adds the rows of a run, into the rows of another when the times are the same, which is the rule.
func addRun(runs []rows, r rows) []rows {
	if r.len() == 0 {
		return runs
	}
	for i := range runs {
		if !slices.Equal(runs[i].times, r.times) {
			continue
		}
		for c := range r.cols {
			if r.cols[c].Type != 0 {
				runs[i].cols[c] = r.cols[c]
			}
		}
		return runs
	}
	return append(runs, r)
}

// sliceSource gives rows that are in memory.
type sliceSource struct{ r *rows }

func (s *sliceSource) next() *rows {
	r := s.r
	s.r = nil
	return r
}

// mergeAll merges ascending rows of n columns into one.
func mergeAll(list []rows, n int) rows {
	m := merger{n: n}
	for i := range list {
		m.add(&sliceSource{&list[i]})
	}
	out := rows{cols: make([]Column, n)}
	for r := m.next(); r != nil; r = m.next() {
		out.append(r, 0, r.len())
	}
	return out
}
