package query

import (
	"context"
	"slices"

	"github.com/influxdata/influxql"
)

// frame is rows of one series of a plan's result, in the order of time. It is valid until the function it was handed to
// returns.
type frame struct {
	key   groupKey
	group *tagset // of the plan's groupBy
	times []int64
	cols  []Column // one for each of the plan's fields
}

// needsOrder reports whether the plan must read its rows in the order of time, when its result is (or is not) wanted so.
func (p *plan) needsOrder(ordered bool) bool {
	if len(p.calls) == 0 {
		return ordered || p.limit > 0 || p.offset > 0
	}
	return slices.ContainsFunc(p.calls, (*call).ordered)
}

// empty reports whether nothing that the plan selects exists anywhere.
func (p *plan) empty() bool {
	for _, c := range p.calls {
		if c.typ != influxql.Unknown {
			return false
		}
	}
	if len(p.calls) > 0 {
		return true
	}
	for _, i := range p.aux {
		if p.inputs[i].ref.Type != influxql.Unknown {
			return false
		}
	}
	return true
}

// run executes the plan and hands its result to emit, in the order of groups. Within a group, rows of several tagsets are
// in the order of time when ordered is set, and else tagset by tagset.
func (p *plan) run(ctx context.Context, x *execution, ordered bool, emit func(*frame) error) error {
	if p.empty() {
		return nil
	}
	subs := 0
	for _, s := range p.sources {
		if s.sub != nil {
			subs++
		}
	}
	r := &runner{p: p, ctx: ctx, x: x, ordered: ordered, emit: emit, out: newProjection(p)}
	switch {
	case subs == 0:
		return r.measurements()
	case subs == 1 && len(p.sources) == 1:
		return r.subquery(p.sources[0].sub)
	}
	return r.several()
}

// runner executes one plan.
type runner struct {
	p       *plan
	ctx     context.Context
	x       *execution
	ordered bool
	emit    func(*frame) error
	out     *projection
	open    *groupRun
}

// measurements runs a plan whose sources are all measurements.
func (r *runner) measurements() error {
	groups, err := r.p.groups(r.ctx, r.x)
	if err != nil {
		return err
	}
	ordered := r.p.needsOrder(r.ordered)
	for i, g := range groups {
		run := r.newGroup(g.key)
		if edge := r.p.edge(); edge != 0 {
			err = r.feedEdges(g, edge > 0, run.add)
		} else {
			err = r.feed(g, ordered, run.add, run.full)
		}
		if err != nil {
			return err
		}
		if err := run.finish(); err != nil {
			return err
		}
		groups[i] = nil
	}
	return nil
}

// feed hands the batches of a group to add, until full says that it is enough.
func (r *runner) feed(g *group, ordered bool, add func(*batch) error, full func() bool) error {
	if !ordered {
		return r.p.each(r.ctx, r.x, g, add)
	}
	in, err := r.p.ordered(r.ctx, r.x, g)
	if err != nil {
		return err
	}
	for {
		b, err := in.next()
		if err != nil {
			_ = in.close() // the first error is the cause
			return err
		}
		if b == nil || full() {
			return in.close()
		}
		if err := add(b); err != nil {
			_ = in.close() // the first error is the cause
			return err
		}
	}
}

// subquery runs a plan whose only source is another plan.
func (r *runner) subquery(sub *plan) error {
	in := newFrameReader(r.p, sub)
	err := sub.run(r.ctx, r.x, r.p.needsOrder(r.ordered), func(f *frame) error {
		b := in.batch(f)
		if b == nil {
			return nil
		}
		return r.next(f.key, b)
	})
	if err != nil {
		return err
	}
	return r.finish()
}

// next takes a batch of a group; all batches of a group come one after the other.
func (r *runner) next(key groupKey, b *batch) error {
	if r.open != nil && r.open.key.compare(key) != 0 {
		if err := r.finish(); err != nil {
			return err
		}
	}
	if r.open == nil {
		r.open = r.newGroup(key)
	}
	return r.open.add(b)
}

func (r *runner) finish() error {
	if r.open == nil {
		return nil
	}
	err := r.open.finish()
	r.open = nil
	return err
}
