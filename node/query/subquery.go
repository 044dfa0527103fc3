package query

import (
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/influxdata/influxql"
)

// frameReader turns the frames of a subquery into batches of the plan around it.
type frameReader struct {
	p      *plan
	sub    *plan
	from   []mapping // by p's inputs
	by     *tagsets
	filter *rowFilter
	ffrom  []mapping // by the filter's refs

	b      batch
	cols   []column
	fcols  []column
	frefs  []*column
	picked []column
	rows   []int
	times  []int64
}

// mapping says where a value of a subquery's row is: in a column, in a tag, or nowhere.
type mapping struct {
	column int // -1: not in a column
	tag    string
	isTag  bool
	typ    influxql.DataType
}

func newFrameReader(p, sub *plan) *frameReader {
	r := &frameReader{p: p, sub: sub, by: newTagsets(p.groupBy), cols: make([]column, len(p.inputs)), picked: make([]column, len(p.inputs))}
	for i := range p.inputs {
		r.from = append(r.from, sub.find(&p.inputs[i].ref))
	}
	r.b.cols = make([]*column, len(p.inputs))
	if p.condition != nil {
		r.filter = newRowFilter(p.condition, nil)
		for i := range r.filter.refs {
			r.ffrom = append(r.ffrom, sub.findForCondition(&r.filter.refs[i]))
		}
		r.fcols = make([]column, len(r.filter.refs))
		r.frefs = make([]*column, len(r.filter.refs))
	}
	return r
}

// find says where the plan's result has what a query around it calls ref.
func (p *plan) find(ref *influxql.VarRef) mapping {
	for i := range p.fields {
		if p.fields[i].name == ref.Val {
			return mapping{column: i, typ: ref.Type}
		}
	}
	for _, d := range p.stmt.Dimensions {
		if d, ok := d.Expr.(*influxql.VarRef); ok && d.Val == ref.Val {
			return mapping{column: -1, tag: d.Val, isTag: true}
		}
	}
	return mapping{column: -1}
}

// findForCondition is find for a condition, which sees the columns under their final names and all tags.
func (p *plan) findForCondition(ref *influxql.VarRef) mapping {
	for i, name := range p.columns {
		if name == ref.Val {
			return mapping{column: i, typ: ref.Type}
		}
	}
	return mapping{column: -1, tag: ref.Val, isTag: true}
}

// batch returns the batch of a frame, nil when none of its rows satisfy the condition.
func (r *frameReader) batch(f *frame) *batch {
	n := len(f.times)
	r.b.group, r.b.times = r.by.of(f.group.get), f.times
	for i := range r.from {
		t := r.p.inputType(i)
		if isTagRef(&r.p.inputs[i].ref) {
			t = line.String
		}
		r.b.cols[i] = r.from[i].values(f, t, &r.cols[i])
	}
	if r.filter == nil {
		return &r.b
	}
	for i := range r.ffrom {
		t := lineType(r.filter.refs[i].Type)
		if t == 0 || r.ffrom[i].isTag {
			t = line.String
		}
		r.frefs[i] = r.ffrom[i].values(f, t, &r.fcols[i])
	}
	r.rows = r.filter.rows(r.rows[:0], r.frefs, n)
	if len(r.rows) == 0 {
		return nil
	}
	r.times = gatherRows(r.times[:0], f.times, r.rows)
	r.b.times = r.times
	for i, c := range r.b.cols {
		gather(&r.picked[i], c, r.rows)
		r.b.cols[i] = &r.picked[i]
	}
	return &r.b
}

// values returns the mapped values of a frame as a column of type t.
func (m *mapping) values(f *frame, t line.Type, scratch *column) *column {
	n := len(f.times)
	switch {
	case m.isTag:
		v := f.group.get(m.tag)
		resetColumn(scratch, line.String)
		scratch.Valid = nil
		for range n {
			scratch.Strings = append(scratch.Strings, v)
		}
		return scratch
	case m.column < 0:
		return none
	}
	c := &f.cols[m.column]
	if c.Any == nil {
		return castColumn(&c.Column, t, scratch)
	}
	resetColumn(scratch, t)
	for _, v := range c.Any {
		appendValue(scratch, castValue(v, m.typ))
	}
	return scratch
}
