package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// plan is one SELECT ready to run: the statement of the request, or a subquery of it.
type plan struct {
	stmt *influxql.SelectStatement
	win  windows
	desc bool
	// read is the time range that is read; wider than win's where a function looks at the interval before.
	read store.TimeRange
	// bounds are what the request as a whole may read.
	bounds store.TimeRange
	// dims are the tags that the request's result is grouped by. They are the same at all levels. groupBy are the tags that
	// rows of this level are grouped by: dims and those that this level and the levels above it name. Both are sorted.
	dims, groupBy []string

	condition influxql.Expr
	fill      influxql.FillOption
	fillValue any
	limit     int
	offset    int
	slimit    int
	soffset   int

	inputs []input
	calls  []*call
	aux    []int // the inputs that are selected beside, or without, functions
	fields []field
	// columns are the names of the results: time, if the level has it, and the fields.
	columns []string
	sources []source
}

// input is a value that each row of the plan's source may have.
type input struct {
	ref influxql.VarRef
	// driver tells that a function works on it: a tag cannot be that, unless a subquery makes it a value.
	driver bool
}

// field is one result: an expression over the plan's symbols, which are the functions' results and then aux.
type field struct {
	name   string // as a query around this one calls it
	expr   influxql.Expr
	symbol int // when expr is just a symbol, else -1
	typ    influxql.DataType
}

// source is a measurement of a reader, or a subquery.
type source struct {
	reader store.Reader
	name   string
	sub    *plan
}

// symbolTypes returns the types of the plan's symbols.
func (p *plan) symbolTypes() []influxql.DataType {
	out := make([]influxql.DataType, 0, len(p.calls)+len(p.aux))
	for _, c := range p.calls {
		out = append(out, c.typ)
	}
	for _, i := range p.aux {
		out = append(out, p.inputs[i].ref.Type)
	}
	return out
}

// planner makes the plans of one statement.
type planner struct {
	x      *execution
	ctx    context.Context
	now    time.Time
	bounds store.TimeRange // what may be read at all, at any level
	schema *schema
}

// prepare checks s and makes its plan.
func (x *execution) prepare(ctx context.Context, s *influxql.SelectStatement) (*plan, error) {
	s = s.Clone()
	c, err := compile(s, x.r.Now)
	if err != nil {
		return nil, err
	}
	bounds := store.TimeRange{Min: c.time.MinTimeNano(), Max: c.time.MaxTimeNano()}
	widen(&bounds, c.ascending, int64(c.every), int64(c.extraWindows))
	p := &planner{x: x, ctx: ctx, now: c.now, bounds: bounds, schema: newSchema(ctx, x, bounds)}
	if err := p.schema.resolve(s); err != nil {
		return nil, err
	}
	if err := p.schema.typeTags(s); err != nil {
		return nil, err
	}
	s, err = s.RewriteFields(p.schema)
	if p.schema.err != nil {
		return nil, p.schema.err
	}
	if err != nil {
		return nil, err
	}
	types := influxql.TypeValuerEval{TypeMapper: typeMapper{}}
	for _, f := range s.Fields {
		if _, err := types.EvalType(f.Expr); err != nil {
			return nil, err
		}
	}
	top := &plan{stmt: s, desc: !c.ascending, condition: s.Condition, slimit: s.SLimit, soffset: s.SOffset, bounds: bounds}
	if err := top.setWindows(s); err != nil {
		return nil, err
	}
	top.win.start, top.win.end = c.time.MinTimeNano(), c.time.MaxTimeNano()
	top.setDimensions(s)
	top.dims = top.groupBy
	if err := p.checkBuckets(top); err != nil {
		return nil, err
	}
	return top, p.finish(top)
}

// widen extends r by n intervals before its beginning, seen in the query's direction.
func widen(r *store.TimeRange, ascending bool, every, n int64) {
	if every <= 0 || n <= 0 {
		return
	}
	by := every * min(n, influxql.MaxTime/every)
	if ascending {
		r.Min = earlier(r.Min, by)
	} else {
		r.Max = later(r.Max, by)
	}
}

// earlier is t less by, but no time that cannot be.
func earlier(t, by int64) int64 {
	if t < influxql.MinTime+by {
		return influxql.MinTime
	}
	return t - by
}

// later is t and by, but no time that cannot be.
func later(t, by int64) int64 {
	if t > influxql.MaxTime-by {
		return influxql.MaxTime
	}
	return t + by
}

// setWindows reads GROUP BY time() and the time zone.
func (p *plan) setWindows(s *influxql.SelectStatement) error {
	every, err := s.GroupByInterval()
	if err != nil {
		return err
	}
	p.win.loc = s.Location
	if every <= 0 {
		return nil
	}
	offset, err := s.GroupByOffset()
	if err != nil {
		return err
	}
	p.win.every, p.win.offset = int64(every), int64(offset)
	return nil
}

// setDimensions reads the tags of GROUP BY and adds those of more.
func (p *plan) setDimensions(s *influxql.SelectStatement, more ...string) {
	set := map[string]struct{}{}
	for _, d := range s.Dimensions {
		if ref, ok := d.Expr.(*influxql.VarRef); ok {
			set[ref.Val] = struct{}{}
		}
	}
	for _, k := range more {
		set[k] = struct{}{}
	}
	p.groupBy = slices.Sorted(maps.Keys(set))
}

// checkBuckets refuses early what has too many intervals by its time range alone.
func (p *planner) checkBuckets(q *plan) error {
	limit := p.x.o.Limits.MaxBuckets
	if limit <= 0 || q.win.every == 0 || q.win.start == influxql.MinTime || q.stmt.IsRawQuery {
		return nil
	}
	first, _ := q.win.at(q.win.start)
	last, _ := q.win.at(q.win.end - 1)
	if last < first {
		return nil
	}
	if n := uint64(last-first)/uint64(q.win.every) + 1; n > uint64(limit) {
		return &LimitError{Limit: "buckets", Max: limit, Need: int64(min(n, 1<<62))}
	}
	return nil
}

// sub makes the plan of a statement that outer reads.
func (p *planner) sub(s *influxql.SelectStatement, outer *plan) (*plan, error) {
	q := &plan{stmt: s, desc: outer.desc, dims: outer.dims, bounds: p.bounds}
	cond, tr, err := influxql.ConditionExpr(s.Condition, &influxql.NowValuer{Now: p.now, Location: s.Location})
	if err != nil {
		return nil, err
	}
	q.condition = cond
	if err := q.setWindows(s); err != nil {
		return nil, err
	}
	q.win.start, q.win.end = outer.read.Min, outer.read.Max
	if !tr.Min.IsZero() {
		q.win.start = max(q.win.start, tr.MinTimeNano())
	}
	if !tr.Max.IsZero() {
		q.win.end = min(q.win.end, tr.MaxTimeNano())
	}
	if q.win.every != 0 && q.win.end == influxql.MaxTime {
		q.win.end = p.now.UnixNano()
	}
	if q.win.every == 0 {
		q.win.every, q.win.offset = outer.win.every, outer.win.offset
	}
	q.setDimensions(s, outer.groupBy...)
	q.slimit, q.soffset = s.SLimit+outer.slimit, s.SOffset+outer.soffset
	if err := p.checkBuckets(q); err != nil {
		return nil, err
	}
	if err := p.finish(q); err != nil {
		return nil, err
	}
	// A window without values is no row for the query around this one.
	if !s.IsRawQuery && q.fill == influxql.NullFill {
		q.fill = influxql.NoFill
	}
	return q, nil
}

// finish adds the fields, functions and sources.
func (p *planner) finish(q *plan) error {
	s := q.stmt
	q.fill, q.fillValue, q.limit, q.offset = s.Fill, s.FillValue, s.Limit, s.Offset
	if v, ok := q.fillValue.(int); ok {
		q.fillValue = int64(v)
	}
	q.read = store.TimeRange{Min: q.win.start, Max: q.win.end}
	b := &symbols{plan: q, byText: map[string]int{}}
	for _, f := range s.Fields {
		if err := b.add(f); err != nil {
			return err
		}
	}
	b.number()
	q.columns = s.ColumnNames()
	if len(q.calls) == 1 && q.win.every == 0 && influxql.IsSelector(&influxql.Call{Name: q.calls[0].name}) {
		q.calls[0].windowed = false // the only selector answers with the time of its row
	}
	for _, c := range q.calls {
		if leaf := c.leaf(); leaf.windowed && len(q.aux) == 0 {
			leaf.valueOnly = true
		}
		q.read.Min, q.read.Max = min(q.read.Min, c.start), max(q.read.Max, c.end)
	}
	for _, src := range s.Sources {
		if err := p.source(q, src); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) source(q *plan, src influxql.Source) error {
	switch src := src.(type) {
	case *influxql.SubQuery:
		sub, err := p.sub(src.Statement, q)
		if err != nil {
			return err
		}
		q.sources = append(q.sources, source{sub: sub})
		return nil
	case *influxql.Measurement:
		reader, names, err := p.schema.measurements(src)
		if err != nil {
			return err
		}
		for _, n := range names {
			q.sources = append(q.sources, source{reader: reader, name: n})
		}
		return nil
	}
	return fmt.Errorf("unsupported source: %s", src)
}

// input returns the place of an input, which is added when it is new.
func (p *plan) input(ref influxql.VarRef, driver bool) int {
	for i, in := range p.inputs {
		if in.ref == ref && in.driver == driver {
			return i
		}
	}
	p.inputs = append(p.inputs, input{ref, driver})
	return len(p.inputs) - 1
}

// inputType is the type of an input's column: 0 when nothing stored can have it.
func (p *plan) inputType(i int) line.Type { return lineType(p.inputs[i].ref.Type) }
