package query

import (
	"math"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// stddevAggregator is the sample standard deviation, updated value by value (Welford), so that it does not lose digits
// when the mean is large.
type stddevAggregator[T number] struct{ moments []moments }

type moments struct {
	n        int64 // values, NaN included
	counted  float64
	mean, m2 float64
}

func (m *moments) add(v float64) {
	m.n++
	if math.IsNaN(v) {
		return
	}
	m.counted++
	d := v - m.mean
	m.mean += d / m.counted
	m.m2 += d * (v - m.mean)
}

// stddev is NaN for a single value.
func (m *moments) stddev() float64 {
	if m.n < 2 {
		return math.NaN()
	}
	return math.Sqrt(m.m2 / (m.counted - 1))
}

func (a *stddevAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.moments = grow(a.moments, w)
	m := a.moments[w]
	for i, v := range valuesOf[T](col, nil)[lo:hi] {
		if col.Valid == nil || col.Valid[lo+i] {
			m.add(float64(v))
		}
	}
	a.moments[w] = m
	return nil
}

func (a *stddevAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: line.Float}}
	for _, w := range order {
		if int(w) < len(a.moments) && a.moments[w].n > 0 {
			p.times = append(p.times, label(w))
			p.value.Floats = append(p.value.Floats, a.moments[w].stddev())
		}
	}
	return p, nil
}

// valuesAggregator is the functions that need all values of a window, but not their order.
type valuesAggregator[T number] struct {
	budget *budget
	values [][]T
	// reduce adds the result of a window's values to a column, and reports whether there is one. It may sort them.
	reduce func(out *column, values []T) bool
	typ    line.Type
}

func newMedian[T number](x *execution) aggregator {
	return &valuesAggregator[T]{budget: &x.budget, typ: line.Float, reduce: func(out *column, values []T) bool {
		out.Floats = append(out.Floats, median(values))
		return true
	}}
}

// newPercentile is for percentiles of which neither the time nor the rest of the row is asked for.
func newPercentile[T number](p float64, x *execution) aggregator {
	return &valuesAggregator[T]{budget: &x.budget, typ: typeOf[T](), reduce: func(out *column, values []T) bool {
		i := rank(len(values), p)
		if i < 0 {
			return false
		}
		slices.Sort(values)
		appendTyped(out, values[i])
		return true
	}}
}

func (a *valuesAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
	a.values = grow(a.values, w)
	all := valuesOf[T](col, nil)[lo:hi]
	if err := a.budget.hold(int64(len(all)) * 8); err != nil {
		return err
	}
	if col.Valid == nil {
		a.values[w] = append(a.values[w], all...)
		return nil
	}
	for i, v := range all {
		if col.Valid[lo+i] {
			a.values[w] = append(a.values[w], v)
		}
	}
	return nil
}

func (a *valuesAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: a.typ}}
	for _, w := range order {
		if int(w) < len(a.values) && len(a.values[w]) > 0 && a.reduce(&p.value, a.values[w]) {
			p.times = append(p.times, label(w))
		}
	}
	return p, nil
}

// median sorts values. Of an even number it is the middle of the two in the middle.
func median[T number](values []T) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return float64(values[n/2])
	}
	low, high := values[n/2-1], values[n/2]
	return float64(low) + float64(high-low)/2
}
