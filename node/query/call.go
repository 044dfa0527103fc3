package query

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/influxdata/influxql"
)

// call is one function over the rows of a plan's source, or over the results of another function.
type call struct {
	name string
	typ  influxql.DataType // of the result; Unknown means that nothing has the field, and there are no results
	// start and end are the times, both inclusive, of the rows that the function looks at.
	start, end int64
	inner      *call // when the function works on another's results
	arg        int   // else the input it works on
	argType    line.Type

	n          int            // of top, bottom, moving_average
	percentile float64        // 0 to 100
	unit       int64          // ns, of derivative, elapsed, integral
	tags       map[string]int // of top and bottom: the inputs of the tags, for each of whose values only the best row counts
	// windowed results carry the time of their window; others that of a row.
	windowed bool
	win      *windows
	desc     bool
	// valueOnly tells that nothing but the value of the row that a selector chose is answered.
	valueOnly bool
	// filled results go through fill().
	filled bool
}

// transforms are the functions over consecutive values.
var transforms = map[string]bool{
	"derivative": true, "non_negative_derivative": true, "difference": true, "non_negative_difference": true,
	"moving_average": true, "cumulative_sum": true, "elapsed": true,
}

// newCall plans a function over rows in [start, end].
func (b *symbols) newCall(e *influxql.Call, start, end int64) (*call, error) {
	c := &call{name: e.Name, start: start, end: end, unit: int64(time.Second), win: &b.win, desc: b.desc}
	types := influxql.TypeValuerEval{TypeMapper: typeMapper{}}
	var err error
	if c.typ, err = types.EvalType(e); err != nil {
		return nil, err
	}
	c.arguments(e, b)
	if transforms[c.name] && c.name != "cumulative_sum" && b.win.every > 0 {
		// The first window's result needs the window before it.
		if b.desc {
			c.end = later(c.end, b.win.every)
		} else {
			c.start = earlier(c.start, b.win.every)
		}
	}
	if inner, ok := e.Args[0].(*influxql.Call); ok {
		if c.inner, err = b.newCall(inner, c.start, c.end); err != nil {
			return nil, err
		}
		c.argType = lineType(c.inner.typ)
		c.inner.windowed = c.inner.timed()
		c.inner.filled = c.inner.fillable()
		if c.name == "count" {
			c.windowed, c.filled = true, true
		}
		return c, c.checkType()
	}
	ref := *e.Args[0].(*influxql.VarRef)
	c.arg = b.input(ref, true)
	c.argType = lineType(ref.Type)
	c.windowed, c.filled = c.timed(), c.fillable()
	if err := c.checkType(); err != nil {
		if ref.Type == influxql.Tag && !b.readsSubquery() {
			c.typ = influxql.Unknown // a stored tag is no value, of whatever type
			return c, nil
		}
		return nil, err
	}
	return c, nil
}

// readsSubquery reports whether one of the sources is a subquery.
func (p *plan) readsSubquery() bool {
	return slices.ContainsFunc(p.stmt.Sources, func(s influxql.Source) bool {
		_, ok := s.(*influxql.SubQuery)
		return ok
	})
}

// arguments reads what follows the first argument.
func (c *call) arguments(e *influxql.Call, b *symbols) {
	last := e.Args[len(e.Args)-1]
	switch c.name {
	case "percentile":
		switch a := last.(type) {
		case *influxql.NumberLiteral:
			c.percentile = a.Val
		case *influxql.IntegerLiteral:
			c.percentile = float64(a.Val)
		}
	case "top", "bottom":
		c.n = int(last.(*influxql.IntegerLiteral).Val)
		c.tags = map[string]int{}
		for _, a := range e.Args[1 : len(e.Args)-1] {
			ref := a.(*influxql.VarRef)
			c.tags[ref.Val] = b.input(*ref, false)
		}
	case "moving_average":
		c.n = int(last.(*influxql.IntegerLiteral).Val)
	case "derivative", "non_negative_derivative":
		if b.win.every > 0 {
			c.unit = b.win.every
		}
	case "elapsed":
		c.unit = 1
	}
	if d, ok := last.(*influxql.DurationLiteral); ok {
		c.unit = int64(d.Val)
	}
}

// timed reports whether the function's results carry their window's time when it is not the only selector.
func (c *call) timed() bool {
	switch c.name {
	case "top", "bottom", "integral":
		return false
	}
	return !transforms[c.name]
}

// ownTime reports whether the aggregator answers with the times of rows.
func (c *call) ownTime() bool {
	switch c.name {
	case "min", "max", "first", "last", "percentile", "mode", "distinct":
		return true
	}
	return false
}

func (c *call) fillable() bool { return c.timed() && c.name != "distinct" }

// checkType refuses fields whose type the function does not take.
func (c *call) checkType() error {
	ok := true
	switch c.argType {
	case line.String:
		switch c.name {
		case "count", "first", "last", "distinct", "mode", "elapsed":
		default:
			ok = false
		}
	case line.Boolean:
		switch c.name {
		case "count", "first", "last", "distinct", "mode", "elapsed", "min", "max":
		default:
			ok = false
		}
	}
	if ok {
		return nil
	}
	return fmt.Errorf("unsupported %s iterator type: %s", c.name, c.argType)
}

// ordered reports whether the function must see the rows of a group in the order of time.
func (c *call) ordered() bool {
	if c.inner != nil {
		return c.inner.ordered()
	}
	switch c.name {
	case "count", "sum", "mean", "min", "max", "first", "last", "spread", "stddev", "median":
		return false
	case "percentile":
		return !c.valueOnly
	}
	return true
}

// leaf returns the function that works on rows.
func (c *call) leaf() *call {
	for c.inner != nil {
		c = c.inner
	}
	return c
}

// clip narrows rows [lo, hi) of sorted times to those that c looks at, where it looks at less than the plan reads. (The first
// interval of a subquery may carry a time before all of that.)
func (p *plan) clip(c *call, times []int64, lo, hi int) (int, int) {
	outside := func(t int64) bool {
		return (t < c.start && c.start > p.read.Min) || (t > c.end && c.end < p.read.Max)
	}
	for lo < hi && outside(times[lo]) {
		lo++
	}
	for lo < hi && outside(times[hi-1]) {
		hi--
	}
	return lo, hi
}
