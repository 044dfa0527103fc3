package query

import (
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// stepper is a function over consecutive values.
type stepper[T value] interface {
	// step takes the next value. Times do not go back in the query's direction.
	step(t int64, v T)
	// finish takes the end of the values.
	finish()
	// result returns all results.
	result() *points
}

// newStepper returns the function c. desc is the query's direction.
func newStepper[T value](c *call, w *windows, desc bool) stepper[T] {
	if c.name == "elapsed" {
		return &elapsed[T]{unit: c.unit, out: points{value: column{Type: line.Integer}}}
	}
	var s any
	switch c.argType {
	case line.Integer:
		s = numberStepper[int64](c, w, desc)
	case line.Unsigned:
		s = numberStepper[uint64](c, w, desc)
	default:
		s = numberStepper[float64](c, w, desc)
	}
	return s.(stepper[T])
}

func numberStepper[T number](c *call, w *windows, desc bool) stepper[T] {
	switch c.name {
	case "derivative", "non_negative_derivative":
		return &derivative[T]{unit: float64(c.unit), positive: c.name != "derivative", desc: desc, out: floatPoints()}
	case "difference", "non_negative_difference":
		return &difference[T]{positive: c.name != "difference", out: points{value: column{Type: typeOf[T]()}}}
	case "moving_average":
		return &movingAverage[T]{ring: make([]T, 0, min(c.n, 1024)), n: c.n, out: floatPoints()}
	case "integral":
		return &integral[T]{unit: float64(c.unit), win: w, desc: desc, out: floatPoints()}
	}
	return &cumulativeSum[T]{out: points{value: column{Type: typeOf[T]()}}}
}

func floatPoints() points { return points{value: column{Type: line.Float}} }

// add begins a result at t.
func (p *points) add(t int64) { p.times = append(p.times, t) }

// pair holds the last two values at different times. Of several at one time the first counts.
type pair[T number] struct {
	n            int // values held
	time, before int64
	value, prior T
}

// push takes a value and reports whether there are two values now.
func (p *pair[T]) push(t int64, v T) bool {
	if p.n > 0 && p.time == t {
		return false
	}
	p.before, p.prior = p.time, p.value
	p.time, p.value = t, v
	p.n++
	return p.n > 1
}

// change is the difference of the two values as a float; that of unsigned values may be negative.
func (p *pair[T]) change() float64 {
	if p.value < p.prior {
		return -float64(p.prior - p.value)
	}
	return float64(p.value - p.prior)
}

type derivative[T number] struct {
	pair[T]
	unit           float64
	positive, desc bool
	out            points
}

func (d *derivative[T]) step(t int64, v T) {
	if !d.push(t, v) {
		return
	}
	change, elapsed := d.change(), d.time-d.before
	if d.desc {
		elapsed = -elapsed
	}
	if d.positive && change < 0 {
		return
	}
	d.out.add(t)
	d.out.value.Floats = append(d.out.value.Floats, change/(float64(elapsed)/d.unit))
}

func (d *derivative[T]) finish()         {}
func (d *derivative[T]) result() *points { return &d.out }

type difference[T number] struct {
	pair[T]
	positive bool
	out      points
}

func (d *difference[T]) step(t int64, v T) {
	if !d.push(t, v) || (d.positive && d.value-d.prior < 0) {
		return
	}
	d.out.add(t)
	appendTyped(&d.out.value, d.value-d.prior)
}

func (d *difference[T]) finish()         {}
func (d *difference[T]) result() *points { return &d.out }

type cumulativeSum[T number] struct {
	sum T
	out points
}

func (c *cumulativeSum[T]) step(t int64, v T) {
	c.sum += v
	c.out.add(t)
	appendTyped(&c.out.value, c.sum)
}

func (c *cumulativeSum[T]) finish()         {}
func (c *cumulativeSum[T]) result() *points { return &c.out }

type movingAverage[T number] struct {
	ring []T
	n    int
	at   int
	sum  T
	out  points
}

func (m *movingAverage[T]) step(t int64, v T) {
	if len(m.ring) < m.n {
		m.ring = append(m.ring, v)
	} else {
		m.sum -= m.ring[m.at]
		m.ring[m.at] = v
		m.at = (m.at + 1) % m.n
	}
	m.sum += v
	if len(m.ring) == m.n {
		m.out.add(t)
		m.out.value.Floats = append(m.out.value.Floats, float64(m.sum)/float64(m.n))
	}
}

func (m *movingAverage[T]) finish()         {}
func (m *movingAverage[T]) result() *points { return &m.out }

// elapsed is the time between consecutive values, in whole units.
type elapsed[T value] struct {
	unit   int64
	n      int
	before int64
	out    points
}

func (e *elapsed[T]) step(t int64, _ T) {
	if e.n++; e.n > 1 {
		e.out.add(t)
		e.out.value.Integers = append(e.out.value.Integers, (t-e.before)/e.unit)
	}
	e.before = t
}

func (e *elapsed[T]) finish()         {}
func (e *elapsed[T]) result() *points { return &e.out }

// integral is the area under the values, by trapezia. An interval's area ends where the line between the values around its
// end crosses that end.
type integral[T number] struct {
	unit   float64
	win    *windows
	desc   bool
	n      int
	before int64
	prior  float64
	start  int64 // of the open window, and its far end
	end    int64
	sum    float64
	out    points
}

// open enters the window that t falls into. Without intervals the one result has the time that InfluxDB gives it: that of
// the range's beginning for integers, and the epoch for floats.
func (g *integral[T]) open(t int64) {
	if g.win.every == 0 {
		if typeOf[T]() != line.Float {
			g.start = g.win.label(t)
		}
		return
	}
	g.start, g.end = g.win.at(t)
	if g.desc {
		g.start, g.end = g.end, g.start
	}
}

func (g *integral[T]) step(t int64, value T) {
	v := float64(value)
	if g.n++; g.n == 1 {
		g.before, g.prior = t, v
		g.open(t)
		return
	}
	if t == g.before {
		g.prior = v
		return
	}
	if g.win.every > 0 && ((!g.desc && t >= g.end) || (g.desc && t <= g.end)) {
		if g.before != g.end {
			at := lineAt(g.end, g.before, t, g.prior, v)
			g.sum += 0.5 * (at + g.prior) * float64(g.end-g.before) / g.unit
			g.before, g.prior = g.end, at
		}
		g.emit()
		g.open(t)
	}
	g.sum += 0.5 * (v + g.prior) * float64(t-g.before) / g.unit
	g.before, g.prior = t, v
}

func (g *integral[T]) emit() {
	g.out.add(g.start)
	g.out.value.Floats = append(g.out.value.Floats, g.sum)
	g.sum = 0
}

// finish answers the open window, unless its only value is at its very beginning.
func (g *integral[T]) finish() {
	if g.n > 0 && g.before != g.start {
		g.emit()
	}
}

func (g *integral[T]) result() *points { return &g.out }

// lineAt returns the value at time t of the line through two points.
func lineAt(t, t0, t1 int64, v0, v1 float64) float64 {
	return (v1-v0)/float64(t1-t0)*float64(t-t0) + v0
}

// stream is a stepper over the rows of a series.
type stream[T value] struct {
	budget *budget
	stepper[T]
	truths []T
}

func newStream[T value](c *call, x *execution) aggregator {
	return &stream[T]{budget: &x.budget, stepper: newStepper[T](c, c.win, c.desc)}
}

func (s *stream[T]) add(b *batch, col *column, _ int32, lo, hi int) error {
	values := valuesOf(col, &s.truths)
	for i := lo; i < hi; i++ {
		if col.Valid == nil || col.Valid[i] {
			s.step(b.times[i], values[i])
		}
	}
	return s.budget.hold(int64(hi-lo) * 16)
}

func (s *stream[T]) points([]int32, func(int32) int64) (points, error) {
	s.finish()
	return *s.result(), nil
}

// applyStepper runs c over another function's results; those without a value are passed over.
func applyStepper(c *call, in *points) points {
	switch c.argType {
	case line.Integer:
		return stepAll[int64](c, in)
	case line.Unsigned:
		return stepAll[uint64](c, in)
	case line.String:
		return stepAll[string](c, in)
	case line.Boolean:
		return stepAll[truth](c, in)
	}
	return stepAll[float64](c, in)
}

func stepAll[T value](c *call, in *points) points {
	s := newStepper[T](c, c.win, c.desc)
	var truths []T
	values := valuesOf(&in.value, &truths)
	for i, t := range in.times {
		if in.value.Valid == nil || in.value.Valid[i] {
			s.step(t, values[i])
		}
	}
	s.finish()
	return *s.result()
}
