package query

import (
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/influxdata/influxql"
)

// filler puts a result into each window of c's time range that has none.
type filler struct {
	p      *plan
	win    windows
	in     *points
	value  any // what fill(number) puts in
	mode   influxql.FillOption
	prev   int // the last result of a window that had one, -1 when there was none
	out    points
	zone   int64
	time   int64 // the next window's
	budget *budget
}

// fill returns the results of c with those that fill() asks for.
func (p *plan) fillPoints(c *call, in points, b *budget) (points, error) {
	if in.len() == 0 || !c.filled || p.win.every == 0 || p.fill == influxql.NoFill {
		return in, nil
	}
	f := &filler{p: p, win: p.win, in: &in, mode: p.fill, value: castFill(p.fillValue, c.typ), prev: -1, budget: b}
	f.win.start, f.win.end = c.start, c.end
	if c.name == "count" && f.mode == influxql.NullFill {
		f.mode, f.value = influxql.NumberFill, int64(0)
	}
	f.out.value = column{Type: in.value.Type}
	if f.out.value.Type == 0 {
		f.out.value.Type = lineType(c.typ)
	}
	err := f.run()
	return f.out, err
}

// castFill is fill()'s number as a value of a function's type: where numbers have no place, it is "" or false.
func castFill(v any, t influxql.DataType) any {
	switch t {
	case influxql.String, influxql.Tag:
		return ""
	case influxql.Boolean:
		return false
	}
	return castValue(v, t)
}

// run walks the windows from the range's beginning to its end.
func (f *filler) run() error {
	start, _ := f.win.at(f.win.start)
	end, _ := f.win.at(f.win.end)
	if f.p.desc {
		start, end = end, start
	}
	f.time = start
	if start == influxql.MinTime {
		f.time, _ = f.win.at(f.in.times[0])
	}
	f.zone = f.win.zone(f.time)
	if err := f.count(end); err != nil {
		return err
	}
	i := 0
	for i < f.in.len() || f.within(end) {
		if i < f.in.len() && !f.before(f.in.times[i]) {
			f.prev = i
			f.out.times = append(f.out.times, f.in.times[i])
			appendRow(&f.out.value, &f.in.value, i)
			f.keepAux(i)
			i++
		} else {
			f.out.times = append(f.out.times, f.time)
			f.empty(i)
			f.keepAux(-1)
		}
		f.advance()
	}
	return nil
}

// count checks, before any is made, that there may be as many windows.
func (f *filler) count(end int64) error {
	span := uint64(end - f.time)
	if f.p.desc {
		span = uint64(f.time - end)
		if end == influxql.MinTime {
			last, _ := f.win.at(f.in.times[f.in.len()-1])
			span = uint64(f.time - last)
		}
	}
	n := int64(min(span/uint64(f.win.every)+1, 1<<62))
	if err := f.budget.room(n); err != nil {
		return err
	}
	return f.budget.hold(n * 16)
}

// within reports whether the next window is still in the range.
func (f *filler) within(end int64) bool {
	if f.p.desc {
		return f.time >= end && end != influxql.MinTime
	}
	return f.time <= end
}

// before reports whether the next window comes before a result at t.
func (f *filler) before(t int64) bool {
	if f.p.desc {
		return t < f.time
	}
	return t > f.time
}

func (f *filler) keepAux(i int) {
	if f.in.aux == nil {
		return
	}
	var aux []any
	if i >= 0 {
		aux = f.in.aux[i]
	}
	f.out.aux = append(f.out.aux, aux)
}

// empty adds the value of a window that has none; next is the result that follows.
func (f *filler) empty(next int) {
	switch f.mode {
	case influxql.NumberFill:
		appendValue(&f.out.value, f.value)
	case influxql.PreviousFill:
		if f.prev >= 0 {
			appendRow(&f.out.value, &f.in.value, f.prev)
			return
		}
		appendNull(&f.out.value)
	case influxql.LinearFill:
		if f.prev >= 0 && next < f.in.len() {
			f.linear(next)
			return
		}
		appendNull(&f.out.value)
	default:
		appendNull(&f.out.value)
	}
}

// linear adds the value on the line between the results before and after. Times count in intervals.
func (f *filler) linear(next int) {
	every := f.win.every
	t, t0, t1 := f.time/every, f.in.times[f.prev]/every, f.in.times[next]/every
	v := &f.in.value
	switch v.Type {
	case line.Float:
		appendValue(&f.out.value, lineAt(t, t0, t1, v.Floats[f.prev], v.Floats[next]))
	case line.Integer:
		a, b := v.Integers[f.prev], v.Integers[next]
		appendValue(&f.out.value, int64(float64(b-a)/float64(t1-t0)*float64(t-t0)+float64(a)))
	case line.Unsigned:
		a, b := float64(v.Unsigned[f.prev]), float64(v.Unsigned[next])
		appendValue(&f.out.value, uint64(lineAt(t, t0, t1, a, b)))
	default:
		appendNull(&f.out.value)
	}
}

// advance goes on to the next window. Where the clock changes within it, so does the window's beginning.
func (f *filler) advance() {
	if f.p.desc {
		f.time -= f.win.every
	} else {
		f.time += f.win.every
	}
	if f.win.loc == nil {
		return
	}
	if zone := f.win.zone(f.time - 1); zone != f.zone {
		f.time += f.win.shift(f.zone - zone)
		f.zone = zone
	}
}
