package store

import (
	"slices"
	"unsafe"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// rows is a run of rows of one series: times, and one column for each wanted field. Times are strictly monotonic, in
// the direction of the scan.
type rows struct {
	times []int64
	cols  []Column
}

func (r *rows) len() int { return len(r.times) }

// slice returns the rows [lo, hi), sharing memory.
func (r *rows) slice(lo, hi int) rows {
	out := rows{times: r.times[lo:hi], cols: make([]Column, len(r.cols))}
	for i := range r.cols {
		out.cols[i] = r.cols[i].Slice(lo, hi)
	}
	return out
}

// reset empties r and gives it n columns, keeping the memory.
func (r *rows) reset(n int) {
	r.times = r.times[:0]
	if cap(r.cols) < n {
		r.cols = make([]Column, n)
	}
	r.cols = r.cols[:n]
	for i := range r.cols {
		r.cols[i].reset()
	}
}

// append adds the rows [lo, hi) of src.
func (r *rows) append(src *rows, lo, hi int) {
	before := len(r.times)
	r.times = append(r.times, src.times[lo:hi]...)
	for i := range r.cols {
		r.cols[i].append(before, &src.cols[i], lo, hi)
	}
}

// reverse turns the rows around in place. The rows must not share memory with anything that is still read.
func (r *rows) reverse() {
	slices.Reverse(r.times)
	for i := range r.cols {
		c := &r.cols[i]
		slices.Reverse(c.Valid)
		slices.Reverse(c.Floats)
		slices.Reverse(c.Integers)
		slices.Reverse(c.Unsigned)
		slices.Reverse(c.Booleans)
		slices.Reverse(c.Strings)
	}
}

// clone returns a copy that shares nothing with r.
func (r *rows) clone() rows {
	out := rows{cols: make([]Column, len(r.cols))}
	out.append(r, 0, r.len())
	return out
}

// dropEmpty removes the rows that have no value in any column, in place of r's headers: kept values are copied.
func (r *rows) dropEmpty() {
	for i := range r.cols {
		if r.cols[i].Type != 0 && r.cols[i].Valid == nil {
			return
		}
	}
	var kept *rows
	start := -1
	for i := 0; i <= len(r.times); i++ {
		if i < len(r.times) && r.hasAny(i) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start == 0 && i == len(r.times) {
			return
		}
		if kept == nil {
			kept = &rows{cols: make([]Column, len(r.cols))}
		}
		if start >= 0 {
			kept.append(r, start, i)
			start = -1
		}
	}
	*r = *kept
}

func (r *rows) hasAny(i int) bool {
	for c := range r.cols {
		if r.cols[c].Has(i) {
			return true
		}
	}
	return false
}

// cut removes the rows whose times lie in the ranges.
func (r *rows) cut(ranges []TimeRange) {
	if len(ranges) == 0 || r.len() == 0 {
		return
	}
	kept := rows{cols: make([]Column, len(r.cols))}
	start := -1
	for i := 0; i <= len(r.times); i++ {
		if i < len(r.times) && !within(ranges, r.times[i]) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			kept.append(r, start, i)
			start = -1
		}
	}
	if kept.len() != r.len() {
		*r = kept
	}
}

func within(ranges []TimeRange, t int64) bool {
	for _, r := range ranges {
		if r.contains(t) {
			return true
		}
	}
	return false
}

func (tr TimeRange) contains(t int64) bool { return t >= tr.Min && t <= tr.Max }

func (tr TimeRange) overlaps(o TimeRange) bool { return tr.Min <= o.Max && o.Min <= tr.Max }

// covers tells whether all of o lies within tr.
func (tr TimeRange) covers(o TimeRange) bool { return tr.Min <= o.Min && tr.Max >= o.Max }

func (tr TimeRange) clip(o TimeRange) TimeRange {
	return TimeRange{Min: max(tr.Min, o.Min), Max: min(tr.Max, o.Max)}
}

func (tr TimeRange) empty() bool { return tr.Min > tr.Max }

func (c *Column) reset() {
	c.Type = 0
	c.Valid = nil
	c.Floats, c.Integers, c.Unsigned = c.Floats[:0], c.Integers[:0], c.Unsigned[:0]
	c.Booleans, c.Strings = c.Booleans[:0], c.Strings[:0]
}

// Slice returns rows [lo, hi) of c, sharing its memory.
func (c *Column) Slice(lo, hi int) Column {
	out := Column{Type: c.Type}
	if c.Valid != nil {
		out.Valid = c.Valid[lo:hi]
	}
	switch c.Type {
	case line.Float:
		out.Floats = c.Floats[lo:hi]
	case line.Integer:
		out.Integers = c.Integers[lo:hi]
	case line.Unsigned:
		out.Unsigned = c.Unsigned[lo:hi]
	case line.Boolean:
		out.Booleans = c.Booleans[lo:hi]
	case line.String:
		out.Strings = c.Strings[lo:hi]
	}
	return out
}

// append adds the values [lo, hi) of src to c, which has n values so far. A column without a type takes that of src; where src has
// another type, its values count as missing.
func (c *Column) append(n int, src *Column, lo, hi int) {
	if src.Type == 0 || c.Type != 0 && c.Type != src.Type {
		c.appendMissing(n, hi-lo)
		return
	}
	if c.Type == 0 {
		c.Type = src.Type
		if n > 0 {
			c.Valid = make([]bool, n)
			c.grow(n)
		}
	}
	if src.Valid != nil {
		c.validity(n)
		c.Valid = append(c.Valid, src.Valid[lo:hi]...)
	} else if c.Valid != nil {
		for range hi - lo {
			c.Valid = append(c.Valid, true)
		}
	}
	switch c.Type {
	case line.Float:
		c.Floats = append(c.Floats, src.Floats[lo:hi]...)
	case line.Integer:
		c.Integers = append(c.Integers, src.Integers[lo:hi]...)
	case line.Unsigned:
		c.Unsigned = append(c.Unsigned, src.Unsigned[lo:hi]...)
	case line.Boolean:
		c.Booleans = append(c.Booleans, src.Booleans[lo:hi]...)
	case line.String:
		c.Strings = append(c.Strings, src.Strings[lo:hi]...)
	}
}

// appendMissing adds k rows without a value to c, which has n values so far.
func (c *Column) appendMissing(n, k int) {
	if c.Type == 0 {
		return
	}
	c.validity(n)
	c.Valid = append(c.Valid, make([]bool, k)...)
	c.grow(k)
}

// validity makes Valid explicit for n values.
func (c *Column) validity(n int) {
	if c.Valid != nil {
		return
	}
	c.Valid = make([]bool, n, n+64)
	for i := range c.Valid {
		c.Valid[i] = true
	}
}

// grow adds k zero values.
func (c *Column) grow(k int) {
	switch c.Type {
	case line.Float:
		c.Floats = append(c.Floats, make([]float64, k)...)
	case line.Integer:
		c.Integers = append(c.Integers, make([]int64, k)...)
	case line.Unsigned:
		c.Unsigned = append(c.Unsigned, make([]uint64, k)...)
	case line.Boolean:
		c.Booleans = append(c.Booleans, make([]bool, k)...)
	case line.String:
		c.Strings = append(c.Strings, make([]string, k)...)
	}
}

// tidy gives a column without any value the type 0, as Chunk promises.
func (c *Column) tidy() {
	if c.Valid == nil {
		return
	}
	if !slices.Contains(c.Valid, true) {
		*c = Column{}
	}
}

// value returns row i, which must have a value, as a field value. The bytes of a string must not be changed.
func (c *Column) value(i int) line.Value {
	v := line.Value{Type: c.Type}
	switch c.Type {
	case line.Float:
		v.Bits = floatBits(c.Floats[i])
	case line.Integer:
		v.Bits = uint64(c.Integers[i])
	case line.Unsigned:
		v.Bits = c.Unsigned[i]
	case line.Boolean:
		if c.Booleans[i] {
			v.Bits = 1
		}
	case line.String:
		s := c.Strings[i]
		v.Str = unsafe.Slice(unsafe.StringData(s), len(s))
	}
	return v
}
