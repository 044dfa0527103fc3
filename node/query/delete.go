package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// maxDeletions is how many deletions one statement may come to, because OR makes several.
const maxDeletions = 256

var allTime = store.TimeRange{Min: influxql.MinTime, Max: influxql.MaxTime}

func (x *execution) dropMeasurement(ctx context.Context, s *influxql.DropMeasurementStatement) error {
	return x.deleteAll(ctx, []Deletion{{Range: allTime, Measurement: s.Name}})
}

func (x *execution) dropSeries(ctx context.Context, s *influxql.DropSeriesStatement) error {
	if influxql.HasTimeExpr(s.Condition) {
		return errors.New("DROP SERIES doesn't support time in WHERE clause")
	}
	return x.deleteFrom(ctx, s.Sources, s.Condition)
}

func (x *execution) deleteSeries(ctx context.Context, s *influxql.DeleteSeriesStatement) error {
	return x.deleteFrom(ctx, s.Sources, s.Condition)
}

// deleteFrom deletes what is of the sources, or of all measurements when there are none, and satisfies the condition.
func (x *execution) deleteFrom(ctx context.Context, sources influxql.Sources, cond influxql.Expr) error {
	expr, tr, err := influxql.ConditionExpr(cond, &influxql.NowValuer{Now: x.r.Now})
	if err != nil {
		return err
	}
	span := allTime
	if !tr.Min.IsZero() {
		span.Min = tr.MinTimeNano()
	}
	if !tr.Max.IsZero() {
		span.Max = tr.MaxTimeNano()
	}
	alternatives, err := disjunction(expr)
	if err != nil {
		return err
	}
	names, err := x.deletedMeasurements(ctx, sources)
	if err != nil {
		return err
	}
	if len(names)*len(alternatives) > maxDeletions {
		return fmt.Errorf("the statement comes to %d deletions, more than the limit of %d: split it", len(names)*len(alternatives), maxDeletions)
	}
	var all []Deletion
	for _, n := range names {
		for _, tags := range alternatives {
			all = append(all, Deletion{Range: span, Measurement: n, Tags: tags})
		}
	}
	return x.deleteAll(ctx, all)
}

// deletedMeasurements names the measurements that sources stand for; [""] is all of them.
func (x *execution) deletedMeasurements(ctx context.Context, sources influxql.Sources) ([]string, error) {
	if len(sources) == 0 {
		return []string{""}, nil
	}
	var names []string
	for _, s := range sources {
		m, ok := s.(*influxql.Measurement)
		if !ok || m.Database != "" || m.RetentionPolicy != "" {
			return nil, errors.New("retention policy not supported at the database level")
		}
		if m.Regex == nil {
			names = append(names, m.Name)
			continue
		}
		l, err := x.list(ctx, x.db, influxql.Sources{m}, nil)
		if err != nil {
			return nil, err
		}
		matched, err := l.measurements()
		if err != nil {
			return nil, err
		}
		names = append(names, matched...)
	}
	return names, nil
}

// disjunction writes a condition on tags as alternatives, each of which joins matchers by AND.
func disjunction(e influxql.Expr) ([][]store.TagMatcher, error) {
	switch e := e.(type) {
	case nil:
		return [][]store.TagMatcher{nil}, nil
	case *influxql.ParenExpr:
		return disjunction(e.Expr)
	case *influxql.BinaryExpr:
		if e.Op != influxql.AND && e.Op != influxql.OR {
			if m, ok := tagComparison(e); ok {
				return [][]store.TagMatcher{{m}}, nil
			}
			return nil, fmt.Errorf("cannot delete by %s: only tags and time can be compared", e)
		}
		l, err := disjunction(e.LHS)
		if err != nil {
			return nil, err
		}
		r, err := disjunction(e.RHS)
		if err != nil {
			return nil, err
		}
		return combine(e.Op, l, r)
	}
	return nil, fmt.Errorf("cannot delete by %s: only tags and time can be compared", e)
}

func combine(op influxql.Token, l, r [][]store.TagMatcher) ([][]store.TagMatcher, error) {
	if op == influxql.OR {
		l = append(l, r...)
	} else {
		if len(l)*len(r) > maxDeletions {
			return nil, fmt.Errorf("the condition comes to more than %d deletions: split the statement", maxDeletions)
		}
		var both [][]store.TagMatcher
		for _, a := range l {
			for _, b := range r {
				both = append(both, append(append([]store.TagMatcher{}, a...), b...))
			}
		}
		l = both
	}
	if len(l) > maxDeletions {
		return nil, fmt.Errorf("the condition comes to more than %d deletions: split the statement", maxDeletions)
	}
	return l, nil
}

// deleteAll deletes from all retention policies of the request's database, as InfluxDB does. Nothing is deleted unless all
// of them may be written.
func (x *execution) deleteAll(ctx context.Context, all []Deletion) error {
	if x.o.Deleter == nil {
		return errors.New("not implemented: deleting")
	}
	if x.r.ReadOnly {
		return errors.New("deleting needs a POST request")
	}
	db, err := x.database(ctx, x.db)
	if err != nil {
		return err
	}
	for _, p := range db.Policies {
		if err := x.authorize(ctx, db.Name, p.Name, Write); err != nil {
			return err
		}
	}
	for _, p := range db.Policies {
		for _, d := range all {
			if err := x.o.Deleter.Delete(ctx, db.Name, p.Name, d); err != nil {
				return fmt.Errorf("deleting from %s.%s: %w", db.Name, p.Name, err)
			}
		}
	}
	return nil
}
