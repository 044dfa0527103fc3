package query

import (
	"cmp"
	"slices"

	"github.com/influxdata/influxql"
)

// groupRun executes a plan for one group: it takes the group's batches and emits the group's frames.
type groupRun struct {
	*runner
	key   groupKey
	inner []*seriesRun
	last  *seriesRun
	by    map[*tagset]*seriesRun
	runs  []run
}

// seriesRun is the state of one series of a group: of the rows that have the same tags of the plan's groupBy.
type seriesRun struct {
	group    *tagset
	windows  *windowSet
	calls    []aggregator // by the plan's calls: that of the innermost function
	rows     int          // rows seen, of a plan without functions
	previous []any        // the last row's values, for fill(previous)
	order    []int32
}

func (r *runner) newGroup(key groupKey) *groupRun {
	return &groupRun{runner: r, key: key, by: map[*tagset]*seriesRun{}}
}

// series returns the state of the series that a batch is of.
func (g *groupRun) series(b *batch) *seriesRun {
	if g.last != nil && g.last.group == b.group {
		return g.last
	}
	s := g.by[b.group]
	if s == nil {
		s = &seriesRun{group: b.group, windows: newWindowSet(&g.p.win)}
		for _, c := range g.p.calls {
			var a aggregator
			if c.typ != influxql.Unknown {
				a = newAggregator(c.leaf(), g.p.aux, g.x)
			}
			s.calls = append(s.calls, a)
		}
		g.by[b.group] = s
		g.inner = append(g.inner, s)
	}
	g.last = s
	return s
}

// full reports whether LIMIT leaves no place for more rows, so that no more need be read.
func (g *groupRun) full() bool {
	return len(g.p.calls) == 0 && g.p.limit > 0 && len(g.p.dims) == len(g.p.groupBy) && len(g.inner) == 1 &&
		g.inner[0].rows >= g.p.offset+g.p.limit
}

// add takes a batch.
func (g *groupRun) add(b *batch) error {
	s := g.series(b)
	if len(g.p.calls) == 0 {
		return g.addRaw(s, b)
	}
	g.runs = g.p.win.split(g.runs[:0], b.times)
	known := len(s.windows.starts)
	for _, r := range g.runs {
		w := s.windows.index(r.start)
		for i, c := range g.p.calls {
			if err := g.addRun(s.calls[i], c.leaf(), b, w, r); err != nil {
				return err
			}
		}
	}
	if fresh := len(s.windows.starts) - known; fresh > 0 && g.p.win.every > 0 {
		return g.x.budget.hold(int64(fresh) * int64(16+48*len(g.p.calls)))
	}
	return nil
}

func (g *groupRun) addRun(a aggregator, c *call, b *batch, w int32, r run) error {
	if a == nil || c.argType == 0 || b.cols[c.arg].Type != c.argType {
		return nil
	}
	lo, hi := g.p.clip(c, b.times, r.lo, r.hi)
	if lo == hi {
		return nil
	}
	return a.add(b, b.cols[c.arg], w, lo, hi)
}

// addRaw answers the rows of a batch, less those that LIMIT and OFFSET take away.
func (g *groupRun) addRaw(s *seriesRun, b *batch) error {
	lo, hi := 0, len(b.times)
	if skip := g.p.offset - s.rows; skip > 0 {
		lo = min(skip, hi)
	}
	if g.p.limit > 0 {
		hi = max(lo, min(hi, g.p.offset+g.p.limit-s.rows))
	}
	s.rows += len(b.times)
	if lo == hi {
		return nil
	}
	symbols := make([]Column, len(g.p.aux))
	for i, in := range g.p.aux {
		symbols[i].Column = b.cols[in].Slice(lo, hi)
	}
	return g.emit(g.out.frame(g.key, s, b.times[lo:hi], symbols))
}

// finish answers what the functions came to.
func (g *groupRun) finish() error {
	if len(g.p.calls) == 0 {
		return nil
	}
	slices.SortFunc(g.inner, func(a, b *seriesRun) int {
		if g.p.desc {
			a, b = b, a
		}
		return a.group.compare(b.group)
	})
	var frames []*frame
	for _, s := range g.inner {
		f, err := g.results(s)
		if err != nil {
			return err
		}
		if f != nil {
			frames = append(frames, f)
		}
	}
	if len(frames) > 1 && g.ordered {
		frames = interleave(frames, g.p.desc)
	}
	for _, f := range frames {
		if err := g.emit(f); err != nil {
			return err
		}
	}
	return nil
}

// results joins the results of all functions for one series by time.
func (g *groupRun) results(s *seriesRun) (*frame, error) {
	s.order = s.windows.order(g.p.desc)
	all := make([]points, len(g.p.calls))
	for i, c := range g.p.calls {
		if s.calls[i] == nil {
			continue
		}
		p, err := g.eval(s, s.calls[i], c)
		if err != nil {
			return nil, err
		}
		lo := min(g.p.offset, p.len())
		hi := p.len()
		if g.p.limit > 0 {
			hi = min(hi, lo+g.p.limit)
		}
		all[i] = p.slice(lo, hi)
	}
	times, symbols := g.join(all)
	if len(times) == 0 {
		return nil, nil
	}
	if g.p.win.every > 0 {
		if err := g.x.budget.windows(int64(len(times))); err != nil {
			return nil, err
		}
	}
	return g.out.frame(g.key, s, times, symbols), nil
}

// eval returns the results of c, whose innermost function is a.
func (g *groupRun) eval(s *seriesRun, a aggregator, c *call) (points, error) {
	if c.inner != nil {
		in, err := g.eval(s, a, c.inner)
		if err != nil {
			return points{}, err
		}
		if c.name == "count" {
			return g.p.fillPoints(c, countTimes(&in), &g.x.budget)
		}
		return applyStepper(c, &in), nil
	}
	p, err := a.points(s.order, func(w int32) int64 { return g.p.win.label(s.windows.starts[w]) })
	if err != nil {
		return points{}, err
	}
	if c.windowed && c.ownTime() {
		for i, t := range p.times {
			p.times[i] = g.p.win.label(t)
		}
	}
	return g.p.fillPoints(c, p, &g.x.budget)
}

// countTimes counts the results of each time.
func countTimes(in *points) points {
	var out points
	out.value.Type = lineType(influxql.Integer)
	for i, t := range in.times {
		if i == 0 || t != in.times[i-1] {
			out.times = append(out.times, t)
			out.value.Integers = append(out.value.Integers, 0)
		}
		out.value.Integers[len(out.times)-1]++
	}
	return out
}

// join brings results of the same time into one row. A function without a result at a time has no value there.
func (g *groupRun) join(all []points) ([]int64, []Column) {
	types := g.p.symbolTypes()
	symbols := make([]Column, len(types))
	if len(all) == 1 {
		symbols[0].Column = all[0].value
		for j := range g.p.aux {
			for i := range all[0].times {
				var v any
				if aux := all[0].aux[i]; aux != nil {
					v = aux[j]
				}
				symbols[1+j].Any = append(symbols[1+j].Any, v)
			}
		}
		return all[0].times, symbols
	}
	for i := range all {
		symbols[i].Type = lineType(types[i])
	}
	var times []int64
	at := make([]int, len(all))
	for {
		t, ok := nextTime(all, at, g.p.desc)
		if !ok {
			return times, symbols
		}
		times = append(times, t)
		for i := range all {
			if at[i] < all[i].len() && all[i].times[at[i]] == t {
				appendRow(&symbols[i].Column, &all[i].value, at[i])
				at[i]++
			} else {
				appendNull(&symbols[i].Column)
			}
		}
	}
}

// nextTime returns the first time that is still to be joined.
func nextTime(all []points, at []int, desc bool) (t int64, ok bool) {
	for i := range all {
		if at[i] >= all[i].len() {
			continue
		}
		if u := all[i].times[at[i]]; !ok || (u < t) != desc && u != t {
			t, ok = u, true
		}
	}
	return t, ok
}

// interleave puts the rows of several series in the order of time; of one time, those of the first series come first.
func interleave(frames []*frame, desc bool) []*frame {
	type row struct{ frame, at int }
	var rows []row
	for i, f := range frames {
		for j := range f.times {
			rows = append(rows, row{i, j})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if desc {
			a, b = b, a
		}
		return cmp.Compare(frames[a.frame].times[a.at], frames[b.frame].times[b.at])
	})
	var out []*frame
	for i := 0; i < len(rows); {
		j := i + 1
		for j < len(rows) && rows[j].frame == rows[i].frame && rows[j].at == rows[j-1].at+1 {
			j++
		}
		out = append(out, frames[rows[i].frame].slice(rows[i].at, rows[j-1].at+1))
		i = j
	}
	return out
}

// slice returns rows [lo, hi).
func (f *frame) slice(lo, hi int) *frame {
	out := &frame{key: f.key, group: f.group, times: f.times[lo:hi], cols: make([]Column, len(f.cols))}
	for i := range f.cols {
		if f.cols[i].Any != nil {
			out.cols[i].Any = f.cols[i].Any[lo:hi]
		} else {
			out.cols[i].Column = f.cols[i].Slice(lo, hi)
		}
	}
	return out
}
