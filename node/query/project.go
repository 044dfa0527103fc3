package query

import (
	"strconv"

	"github.com/influxdata/influxql"
)

// projection turns the symbols of a plan's rows into its fields.
type projection struct {
	p      *plan
	types  []influxql.DataType // of the symbols
	values influxql.MapValuer
	eval   influxql.ValuerEval
}

func newProjection(p *plan) *projection {
	r := &projection{p: p, types: p.symbolTypes(), values: influxql.MapValuer{}}
	r.eval = influxql.ValuerEval{Valuer: influxql.MultiValuer(mathValuer{}, r.values), IntegerFloatDivision: true}
	return r
}

// frame makes the rows of series s. symbols' values may be shared with it.
func (r *projection) frame(key groupKey, s *seriesRun, times []int64, symbols []Column) *frame {
	r.fill(s, symbols, len(times))
	f := &frame{key: key, group: s.group, times: times, cols: make([]Column, len(r.p.fields))}
	for i := range r.p.fields {
		if at := r.p.fields[i].symbol; at >= 0 {
			f.cols[i] = symbols[at]
		} else {
			f.cols[i] = r.compute(r.p.fields[i].expr, symbols, len(times))
		}
	}
	return f
}

// fill puts in what fill() says for missing values: a number, or the value of the row before.
func (r *projection) fill(s *seriesRun, symbols []Column, n int) {
	if r.p.fill != influxql.NumberFill && r.p.fill != influxql.PreviousFill {
		return
	}
	if s.previous == nil {
		s.previous = make([]any, len(symbols))
	}
	for i := range symbols {
		c := &symbols[i]
		if r.types[i] == influxql.Unknown && i < len(r.p.calls) {
			continue
		}
		out := make([]any, n)
		for j := range out {
			v := anyCell(c, j)
			if v == nil && r.p.fill == influxql.NumberFill {
				v = castValue(r.p.fillValue, r.types[i])
			} else if v == nil {
				v = s.previous[i]
			}
			s.previous[i] = v
			out[j] = v
		}
		c.Any = out
	}
}

// anyCell returns the value of a row as it is, NaN included.
func anyCell(c *Column, i int) any {
	if c.Any != nil {
		return c.Any[i]
	}
	return cell(&c.Column, i)
}

// compute evaluates an expression for each row: a column at a time where all of it is arithmetic on floats and integers, and
// else with the parser's evaluator.
func (r *projection) compute(e influxql.Expr, symbols []Column, n int) Column {
	if v, ok := vector(e, symbols, n); ok {
		return Column{Column: v}
	}
	out := make([]any, n)
	for i := range out {
		for s := range symbols {
			r.values[strconv.Itoa(s)] = anyCell(&symbols[s], i)
		}
		out[i] = r.eval.Eval(e)
	}
	return Column{Any: out}
}
