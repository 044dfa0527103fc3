package query

// edge is 1 when all that the plan wants of each series is its last value of some fields, -1 when it is the first, and else
// 0. Such a plan need not read all rows.
func (p *plan) edge() int {
	if p.win.every > 0 || len(p.calls) == 0 {
		return 0
	}
	for _, c := range p.calls {
		if c.name != p.calls[0].name || c.inner != nil {
			return 0
		}
	}
	switch p.calls[0].name {
	case "last":
		return 1
	case "first":
		return -1
	}
	return 0
}

// feedEdges hands the batches of each series to add, from the end or from the beginning, until each function has a value.
func (r *runner) feedEdges(g *group, last bool, add func(*batch) error) error {
	for i := range g.series {
		if err := r.feedEdge(g.series[i:i+1], last, add); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) feedEdge(one []seriesRows, last bool, add func(*batch) error) (err error) {
	s, err := r.p.scan(r.ctx, r.x, one, last)
	if err != nil || s == nil {
		return err
	}
	defer func() {
		if cerr := s.close(); err == nil {
			err = cerr
		}
	}()
	found := make([]bool, len(r.p.calls))
	for {
		b, err := s.next()
		if err != nil || b == nil {
			return err
		}
		if err := add(b); err != nil {
			return err
		}
		all := true
		for i, c := range r.p.calls {
			col := b.cols[c.arg]
			found[i] = found[i] || c.argType == 0 || (col.Type != 0 && countValid(col, 0, len(b.times)) > 0)
			all = all && found[i]
		}
		if all {
			return nil
		}
	}
}
