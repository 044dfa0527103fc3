package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// symbols collects the functions and references of a plan's fields. While it does, symbols are named by their text.
type symbols struct {
	*plan
	byText map[string]int // the place in order
	order  []symbol
}

type symbol struct {
	call *call
	aux  int // an input, when call is nil
}

// add adds a field, and for top and bottom the tags they name as more fields.
func (b *symbols) add(f *influxql.Field) error {
	if err := b.field(f.Name(), f.Expr); err != nil {
		return err
	}
	c, ok := f.Expr.(*influxql.Call)
	if !ok || (c.Name != "top" && c.Name != "bottom") {
		return nil
	}
	for _, a := range c.Args[1 : len(c.Args)-1] {
		if err := b.field(a.(*influxql.VarRef).Val, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *symbols) field(name string, e influxql.Expr) error {
	types := influxql.TypeValuerEval{TypeMapper: typeMapper{}}
	typ, err := types.EvalType(e)
	if err != nil {
		return err
	}
	expr, err := b.rewrite(e)
	if err != nil {
		return err
	}
	b.fields = append(b.fields, field{name: name, expr: expr, symbol: -1, typ: typ})
	return nil
}

// rewrite replaces functions and references by references to symbols.
func (b *symbols) rewrite(e influxql.Expr) (influxql.Expr, error) {
	var err error
	switch e := e.(type) {
	case *influxql.BinaryExpr:
		out := &influxql.BinaryExpr{Op: e.Op}
		if out.LHS, err = b.rewrite(e.LHS); err != nil {
			return nil, err
		}
		out.RHS, err = b.rewrite(e.RHS)
		return out, err
	case *influxql.ParenExpr:
		inner, err := b.rewrite(e.Expr)
		return &influxql.ParenExpr{Expr: inner}, err
	case *influxql.Call:
		if _, ok := mathFunctions[e.Name]; !ok {
			return b.symbol(e)
		}
		out := &influxql.Call{Name: e.Name, Args: make([]influxql.Expr, len(e.Args))}
		for i, a := range e.Args {
			if out.Args[i], err = b.rewrite(a); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *influxql.VarRef:
		return b.symbol(e)
	}
	return e, nil
}

func (b *symbols) symbol(e influxql.Expr) (influxql.Expr, error) {
	text := e.String()
	i, ok := b.byText[text]
	if !ok {
		s := symbol{}
		switch e := e.(type) {
		case *influxql.Call:
			c, err := b.newCall(e, b.win.start, b.win.end)
			if err != nil {
				return nil, err
			}
			s.call = c
		case *influxql.VarRef:
			s.aux = b.input(*e, false)
		}
		i = len(b.order)
		b.byText[text] = i
		b.order = append(b.order, s)
	}
	return &influxql.VarRef{Val: strconv.Itoa(i)}, nil
}

// number gives the symbols their final places: functions first.
func (b *symbols) number() {
	place := make([]int, len(b.order))
	for i, s := range b.order {
		if s.call != nil {
			place[i] = len(b.calls)
			b.calls = append(b.calls, s.call)
		}
	}
	for i, s := range b.order {
		if s.call == nil {
			place[i] = len(b.calls) + len(b.aux)
			b.aux = append(b.aux, s.aux)
		}
	}
	for i := range b.fields {
		influxql.WalkFunc(b.fields[i].expr, func(n influxql.Node) {
			if ref, ok := n.(*influxql.VarRef); ok {
				was, _ := strconv.Atoi(ref.Val)
				ref.Val = strconv.Itoa(place[was])
			}
		})
		if ref, ok := b.fields[i].expr.(*influxql.VarRef); ok {
			b.fields[i].symbol, _ = strconv.Atoi(ref.Val)
		}
	}
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
