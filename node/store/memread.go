package store

import (
	"slices"
	"sort"
	"unsafe"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// memView is the first n rows of a series in a memtable.
type memView struct {
	s *memSeries
	n int
}

// memRows is the headers of a view's slices, taken under the lock and then read without it: what they cover never changes.
type memRows struct {
	times  []int64
	cols   []memColumn // one for each wanted field; t is 0 where there is none
	strict bool
	sorted bool
}

// headers takes the slices of the wanted fields, given by their indexes in the series' field set, -1 for none. The bucket's lock
// must be held, unless the table is frozen.
func (v memView) headers(fields []int) memRows {
	r := memRows{times: v.s.times[:v.n], cols: make([]memColumn, len(fields)), strict: v.s.strict, sorted: v.s.sorted}
	for i, at := range fields {
		if at >= 0 && at < len(v.s.cols) {
			r.cols[i] = v.s.cols[at].until(v.n)
		}
	}
	return r
}

// until returns the column as it was when the series had n rows.
func (c *memColumn) until(n int) memColumn {
	out := *c
	k := max(len(c.bits), len(c.strs))
	if c.rows == nil {
		k = min(k, n)
	} else {
		k = sort.Search(len(c.rows), func(i int) bool { return int(c.rows[i]) >= n })
		out.rows = c.rows[:k]
	}
	if c.t == line.String {
		out.strs = c.strs[:k]
	} else {
		out.bits = c.bits[:k]
	}
	return out
}

// within returns the rows of a time range, sorted, one for each time: of several values for a field the last that came counts.
func (r *memRows) within(tr TimeRange) rows {
	if !r.strict {
		return r.settled(tr)
	}
	lo := sort.Search(len(r.times), func(i int) bool { return r.times[i] >= tr.Min })
	hi := sort.Search(len(r.times), func(i int) bool { return r.times[i] > tr.Max })
	out := rows{times: r.times[lo:hi], cols: make([]Column, len(r.cols))}
	for i := range r.cols {
		out.cols[i] = r.cols[i].expand(lo, hi)
	}
	return out
}

// expand returns rows [lo, hi) as a column. Where no row is missing, and for numbers, it shares memory.
func (c *memColumn) expand(lo, hi int) Column {
	n := max(len(c.bits), len(c.strs))
	if c.t == 0 || n == 0 {
		return Column{}
	}
	if c.rows == nil && n >= hi {
		return c.typed(lo, hi)
	}
	out := Column{Type: c.t, Valid: make([]bool, hi-lo)}
	out.grow(hi - lo)
	i := min(lo, n)
	if c.rows != nil {
		i = sort.Search(n, func(i int) bool { return int(c.rows[i]) >= lo })
	}
	for ; i < n; i++ {
		row := i
		if c.rows != nil {
			row = int(c.rows[i])
		}
		if row >= hi {
			break
		}
		out.Valid[row-lo] = true
		c.put(&out, row-lo, i)
	}
	return out
}

// put copies value i to row at of a column that has room for it.
func (c *memColumn) put(dst *Column, at, i int) {
	switch c.t {
	case line.Float:
		dst.Floats[at] = floatOf(c.bits[i])
	case line.Integer:
		dst.Integers[at] = int64(c.bits[i])
	case line.Unsigned:
		dst.Unsigned[at] = c.bits[i]
	case line.Boolean:
		dst.Booleans[at] = c.bits[i] != 0
	case line.String:
		dst.Strings[at] = c.strs[i]
	}
}

// typed returns the values [lo, hi) of a column without gaps.
func (c *memColumn) typed(lo, hi int) Column {
	out := Column{Type: c.t}
	switch c.t {
	case line.Float:
		out.Floats = unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(c.bits))), len(c.bits))[lo:hi]
	case line.Integer:
		out.Integers = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(c.bits))), len(c.bits))[lo:hi]
	case line.Unsigned:
		out.Unsigned = c.bits[lo:hi]
	case line.Boolean:
		out.Booleans = make([]bool, hi-lo)
		for i, v := range c.bits[lo:hi] {
			out.Booleans[i] = v != 0
		}
	case line.String:
		out.Strings = c.strs[lo:hi]
	}
	return out
}

// settled sorts the rows of the range and merges those of one time.
func (r *memRows) settled(tr TimeRange) rows {
	order := make([]uint32, 0, len(r.times))
	for i, t := range r.times {
		if tr.contains(t) {
			order = append(order, uint32(i))
		}
	}
	if !r.sorted {
		slices.SortStableFunc(order, func(a, b uint32) int {
			switch ta, tb := r.times[a], r.times[b]; {
			case ta < tb:
				return -1
			case ta > tb:
				return 1
			}
			return 0
		})
	}
	out := rows{cols: make([]Column, len(r.cols))}
	target := make([]int32, len(r.times)) // the row of the result that each row goes to
	for i := range target {
		target[i] = -1
	}
	for _, i := range order {
		if n := len(out.times); n == 0 || out.times[n-1] != r.times[i] {
			out.times = append(out.times, r.times[i])
		}
		target[i] = int32(len(out.times) - 1)
	}
	for c := range r.cols {
		out.cols[c] = r.cols[c].scatter(target, len(out.times))
	}
	return out
}

// scatter puts each value to its row's target, the later over the earlier.
func (c *memColumn) scatter(target []int32, n int) Column {
	k := max(len(c.bits), len(c.strs))
	if c.t == 0 || k == 0 || n == 0 {
		return Column{}
	}
	out := Column{Type: c.t, Valid: make([]bool, n)}
	out.grow(n)
	for i := range k {
		row := i
		if c.rows != nil {
			row = int(c.rows[i])
		}
		if at := target[row]; at >= 0 {
			out.Valid[at] = true
			c.put(&out, int(at), i)
		}
	}
	return out
}
