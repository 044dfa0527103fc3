package query

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/influxdata/influxql"
)

// explain answers with the plan of a SELECT, a line for each step.
func (x *execution) explain(ctx context.Context, s *influxql.ExplainStatement) error {
	if s.Analyze {
		return errors.New("not implemented: EXPLAIN ANALYZE")
	}
	p, err := x.prepare(ctx, s.Statement)
	if err != nil {
		return err
	}
	var rows [][]any
	err = p.describe(ctx, x, 0, func(indent int, format string, args ...any) {
		rows = append(rows, []any{strings.Repeat("  ", indent) + fmt.Sprintf(format, args...)})
	})
	if err != nil {
		return err
	}
	return x.emit(textSeries("", []string{"QUERY PLAN"}, rows))
}

// describe writes what the plan will do.
func (p *plan) describe(ctx context.Context, x *execution, indent int, line func(int, string, ...any)) error {
	line(indent, "SELECT %s", strings.Join(p.columns, ", "))
	for _, c := range p.calls {
		how := "a column at a time"
		if c.ordered() {
			how = "in the order of time"
		}
		line(indent+1, "FUNCTION %s: %s", c.name, how)
	}
	if p.win.every > 0 {
		line(indent+1, "INTERVAL %d ns, offset %d ns", p.win.every, p.win.offset)
	}
	line(indent+1, "TIME %d to %d", p.read.Min, p.read.Max)
	if len(p.groupBy) > 0 {
		line(indent+1, "GROUP BY %s", strings.Join(p.groupBy, ", "))
	}
	groups, err := p.groups(ctx, x)
	if err != nil {
		return err
	}
	series := 0
	for _, g := range groups {
		series += len(g.series)
	}
	for _, s := range p.sources {
		if s.sub == nil {
			line(indent+1, "MEASUREMENT %s", influxql.QuoteIdent(s.name))
		}
	}
	if len(groups) > 0 {
		line(indent+1, "SERIES %d in %d groups", series, len(groups))
	}
	for _, s := range p.sources {
		if s.sub != nil {
			if err := s.sub.describe(ctx, x, indent+1, line); err != nil {
				return err
			}
		}
	}
	return nil
}
