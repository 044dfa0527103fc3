package query

import (
	"cmp"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// points are a function's results for one series, in the order they are answered. A value that is not valid is a window
// without one.
type points struct {
	times []int64
	value column
	// aux are the other inputs of the row that a selector chose, nil when none are selected.
	aux [][]any
}

func (p *points) len() int { return len(p.times) }

// slice returns results [lo, hi).
func (p *points) slice(lo, hi int) points {
	out := points{times: p.times[lo:hi], value: p.value.Slice(lo, hi)}
	if p.aux != nil {
		out.aux = p.aux[lo:hi]
	}
	return out
}

// truth is a boolean that the generic functions can order.
type truth uint8

// value is the types that values have in the generic functions.
type value interface {
	float64 | int64 | uint64 | string | truth
}

// valuesOf returns a column's values as T. scratch is for booleans.
func valuesOf[T value](c *column, scratch *[]T) []T {
	switch s := any(scratch).(type) {
	case *[]float64:
		return any(c.Floats).([]T)
	case *[]int64:
		return any(c.Integers).([]T)
	case *[]uint64:
		return any(c.Unsigned).([]T)
	case *[]string:
		return any(c.Strings).([]T)
	case *[]truth:
		*s = (*s)[:0]
		for _, b := range c.Booleans {
			v := truth(0)
			if b {
				v = 1
			}
			*s = append(*s, v)
		}
	}
	return *scratch
}

// typeOf is the stored type of T.
func typeOf[T value]() line.Type {
	var v T
	switch any(v).(type) {
	case float64:
		return line.Float
	case int64:
		return line.Integer
	case uint64:
		return line.Unsigned
	case string:
		return line.String
	}
	return line.Boolean
}

// appendTyped adds a value to a column of its type.
func appendTyped[T value](c *column, v T) {
	switch v := any(v).(type) {
	case float64:
		c.Floats = append(c.Floats, v)
	case int64:
		c.Integers = append(c.Integers, v)
	case uint64:
		c.Unsigned = append(c.Unsigned, v)
	case string:
		c.Strings = append(c.Strings, v)
	case truth:
		c.Booleans = append(c.Booleans, v == 1)
	}
	if c.Valid != nil {
		c.Valid = append(c.Valid, true)
	}
}

// windowSet numbers the windows of one series in the order they are met.
type windowSet struct {
	starts []int64
	dense  []int32 // by distance from base in intervals, plus one
	base   int64
	every  int64 // 0: look up in sparse
	sparse map[int64]int32
	last   int64 // the window of the last lookup
	lastAt int32
}

// maxDense is how many intervals the window table may span.
const maxDense = 1 << 16

func newWindowSet(w *windows) *windowSet {
	s := &windowSet{lastAt: -1}
	if w.loc == nil {
		s.every = w.every
	}
	return s
}

// index returns the number of the window that begins at start.
func (s *windowSet) index(start int64) int32 {
	if s.lastAt >= 0 && s.last == start {
		return s.lastAt
	}
	s.last = start
	s.lastAt = s.find(start)
	return s.lastAt
}

func (s *windowSet) find(start int64) int32 {
	if len(s.starts) == 0 {
		s.base = start
	}
	if d := start - s.base; s.every > 0 && s.sparse == nil && d >= 0 && d/s.every < maxDense {
		i := int(d / s.every)
		for len(s.dense) <= i {
			s.dense = append(s.dense, 0)
		}
		if s.dense[i] == 0 {
			s.starts = append(s.starts, start)
			s.dense[i] = int32(len(s.starts))
		}
		return s.dense[i] - 1
	}
	if s.sparse == nil {
		s.sparse = make(map[int64]int32, len(s.starts)+1)
		for i, t := range s.starts {
			s.sparse[t] = int32(i)
		}
		s.dense = nil
	}
	i, ok := s.sparse[start]
	if !ok {
		i = int32(len(s.starts))
		s.starts = append(s.starts, start)
		s.sparse[start] = i
	}
	return i
}

// order returns the windows' numbers by time.
func (s *windowSet) order(desc bool) []int32 {
	out := make([]int32, len(s.starts))
	for i := range out {
		out[i] = int32(i)
	}
	slices.SortFunc(out, func(a, b int32) int {
		if desc {
			a, b = b, a
		}
		return cmp.Compare(s.starts[a], s.starts[b])
	})
	return out
}
