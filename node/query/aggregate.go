package query

import (
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// aggregator is the state of one function for one series, of all its windows.
type aggregator interface {
	// add takes rows [lo, hi) of a batch, all of window w. col is the input that the function works on.
	add(b *batch, col *column, w int32, lo, hi int) error
	// points returns the results. order has the windows by time, label the time of a window's result.
	points(order []int32, label func(w int32) int64) (points, error)
}

// newAggregator makes the state of c, which works on rows. Selectors keep the inputs keep of the rows they choose.
func newAggregator(c *call, keep []int, x *execution) aggregator {
	switch c.argType {
	case line.Integer:
		return numberAggregator[int64](c, keep, x)
	case line.Unsigned:
		return numberAggregator[uint64](c, keep, x)
	case line.String:
		return valueAggregator[string](c, keep, x)
	case line.Boolean:
		return valueAggregator[truth](c, keep, x)
	}
	return numberAggregator[float64](c, keep, x)
}

// numberAggregator has the functions that need numbers.
func numberAggregator[T number](c *call, keep []int, x *execution) aggregator {
	switch c.name {
	case "sum":
		return &sumAggregator[T]{}
	case "mean":
		return &meanAggregator[T]{}
	case "spread":
		return &spreadAggregator[T]{}
	case "stddev":
		return &stddevAggregator[T]{}
	case "median":
		return newMedian[T](x)
	case "percentile":
		if !c.ordered() {
			return newPercentile[T](c.percentile, x)
		}
	}
	return valueAggregator[T](c, keep, x)
}

// valueAggregator has the functions that need only an order.
func valueAggregator[T value](c *call, keep []int, x *execution) aggregator {
	switch c.name {
	case "count":
		return &countAggregator{}
	case "min":
		return &extremeAggregator[T]{keep: keep, sign: -1}
	case "max":
		return &extremeAggregator[T]{keep: keep, sign: 1}
	case "first":
		return &edgeAggregator[T]{keep: keep, sign: -1}
	case "last":
		return &edgeAggregator[T]{keep: keep, sign: 1}
	}
	return newCollector[T](c, keep, x)
}

// grow makes s long enough for window w.
func grow[T any](s []T, w int32) []T {
	if int(w) < len(s) {
		return s
	}
	return append(s, make([]T, int(w)+1-len(s))...)
}

// countAggregator counts values.
type countAggregator struct{ n []int64 }

func (a *countAggregator) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.n = grow(a.n, w)
	a.n[w] += countValid(col, lo, hi)
	return nil
}

func countValid(col *column, lo, hi int) int64 {
	if col.Valid == nil {
		return int64(hi - lo)
	}
	var n int64
	for _, ok := range col.Valid[lo:hi] {
		if ok {
			n++
		}
	}
	return n
}

func (a *countAggregator) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: line.Integer}}
	for _, w := range order {
		if int(w) < len(a.n) && a.n[w] > 0 {
			p.times = append(p.times, label(w))
			p.value.Integers = append(p.value.Integers, a.n[w])
		}
	}
	return p, nil
}

// total is a sum and how many values it has.
type total[T number] struct {
	sum T
	n   int64
}

func (t *total[T]) add(col *column, lo, hi int) {
	values := valuesOf[T](col, nil)[lo:hi]
	sum, n := t.sum, int64(len(values))
	if col.Valid == nil {
		for _, v := range values {
			sum += v
		}
	} else {
		valid := col.Valid[lo:hi]
		n = 0
		for i, v := range values {
			if valid[i] {
				sum += v
				n++
			}
		}
	}
	t.sum = sum
	t.n += n
}

// sumAggregator adds values up; integers wrap around.
type sumAggregator[T number] struct{ totals []total[T] }

func (a *sumAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.totals = grow(a.totals, w)
	a.totals[w].add(col, lo, hi)
	return nil
}

func (a *sumAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: typeOf[T]()}}
	for _, w := range order {
		if int(w) < len(a.totals) && a.totals[w].n > 0 {
			p.times = append(p.times, label(w))
			appendTyped(&p.value, a.totals[w].sum)
		}
	}
	return p, nil
}

// meanAggregator averages; of integers too the mean is a float.
type meanAggregator[T number] struct{ totals []total[T] }

func (a *meanAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.totals = grow(a.totals, w)
	a.totals[w].add(col, lo, hi)
	return nil
}

func (a *meanAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: line.Float}}
	for _, w := range order {
		if int(w) < len(a.totals) && a.totals[w].n > 0 {
			t := a.totals[w]
			p.times = append(p.times, label(w))
			p.value.Floats = append(p.value.Floats, float64(t.sum)/float64(t.n))
		}
	}
	return p, nil
}

// spreadAggregator is the difference of the greatest and the smallest value.
type spreadAggregator[T number] struct {
	n        []int64
	min, max []T
}

func (a *spreadAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.n, a.min, a.max = grow(a.n, w), grow(a.min, w), grow(a.max, w)
	least, most, n := a.min[w], a.max[w], a.n[w]
	for i, v := range valuesOf[T](col, nil)[lo:hi] {
		if col.Valid != nil && !col.Valid[lo+i] {
			continue
		}
		if n == 0 {
			least, most = v, v
		}
		n++
		least, most = min(least, v), max(most, v)
	}
	a.min[w], a.max[w], a.n[w] = least, most, n
	return nil
}

func (a *spreadAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: typeOf[T]()}}
	for _, w := range order {
		if int(w) < len(a.n) && a.n[w] > 0 {
			p.times = append(p.times, label(w))
			appendTyped(&p.value, a.max[w]-a.min[w])
		}
	}
	return p, nil
}
