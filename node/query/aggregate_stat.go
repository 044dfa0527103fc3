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

// medianAggregator keeps all values of a window.
type medianAggregator[T number] struct {
	budget *budget
	values [][]T
}

func (a *medianAggregator[T]) add(_ *batch, col *column, w int32, lo, hi int) error {
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

func (a *medianAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	p := points{value: column{Type: line.Float}}
	for _, w := range order {
		if int(w) < len(a.values) && len(a.values[w]) > 0 {
			p.times = append(p.times, label(w))
			p.value.Floats = append(p.value.Floats, median(a.values[w]))
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
