package query

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

func (x *execution) showTagKeys(ctx context.Context, s *influxql.ShowTagKeysStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, s.Condition)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	for _, n := range names {
		keys, err := l.tagKeys(n)
		if err != nil {
			return err
		}
		keys = page(keys, s.Limit, s.Offset)
		if len(keys) == 0 {
			continue
		}
		rows := make([][]any, len(keys))
		for i, k := range keys {
			rows[i] = []any{k}
		}
		if err := x.emit(textSeries(n, []string{"tagKey"}, rows)); err != nil {
			return err
		}
	}
	return nil
}

// tagKeys lists the tag keys of a measurement's series that satisfy the condition.
func (l *listing) tagKeys(name string) ([]string, error) {
	if l.hasCond {
		series, err := l.series(name)
		return tagKeysOf(series), err
	}
	var out []string
	for _, r := range l.readers {
		keys, err := readTagKeys(l.ctx, r, name, l.tr)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (x *execution) showTagValues(ctx context.Context, s *influxql.ShowTagValuesStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, s.Condition)
	if err != nil {
		return err
	}
	want, err := keyCondition(s.Op, s.TagKeyExpr)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	for _, n := range names {
		series, err := l.series(n)
		if err != nil {
			return err
		}
		values := page(tagValues(series, want), s.Limit, s.Offset)
		if len(values) == 0 {
			continue
		}
		rows := make([][]any, len(values))
		for i, v := range values {
			rows[i] = []any{v.Key, v.Value}
		}
		if err := x.emit(textSeries(n, []string{"key", "value"}, rows)); err != nil {
			return err
		}
	}
	return nil
}

// keyCondition reads WITH KEY.
func keyCondition(op influxql.Token, e influxql.Literal) (func(key string) bool, error) {
	switch e := e.(type) {
	case *influxql.ListLiteral:
		return func(key string) bool { return slices.Contains(e.Vals, key) }, nil
	case *influxql.StringLiteral:
		return func(key string) bool { return (key == e.Val) == (op == influxql.EQ) }, nil
	case *influxql.RegexLiteral:
		return func(key string) bool { return e.Val.MatchString(key) == (op == influxql.EQREGEX) }, nil
	}
	return nil, errors.New("WITH KEY needs a name, a list of names or a regular expression")
}

// tagValues lists the pairs of key and value among series, sorted.
func tagValues(series []*store.Series, want func(key string) bool) []store.Tag {
	seen := map[store.Tag]struct{}{}
	var out []store.Tag
	for _, s := range series {
		for _, t := range s.Tags {
			if _, ok := seen[t]; !ok && want(t.Key) {
				seen[t] = struct{}{}
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b store.Tag) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	return out
}

func (x *execution) showSeries(ctx context.Context, s *influxql.ShowSeriesStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, s.Condition)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	var rows [][]any
	for _, n := range names {
		series, err := l.series(n)
		if err != nil {
			return err
		}
		for _, s := range series {
			rows = append(rows, []any{s.Key})
		}
	}
	if rows = page(rows, s.Limit, s.Offset); len(rows) == 0 {
		return nil
	}
	return x.emit(textSeries("", []string{"key"}, rows))
}

func (x *execution) showSeriesCardinality(ctx context.Context, s *influxql.ShowSeriesCardinalityStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, s.Condition)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	exact := s.Exact || s.Sources != nil || s.Condition != nil
	var total int64
	for _, n := range names {
		series, err := l.series(n)
		if err != nil {
			return err
		}
		total += int64(len(series))
		if exact && len(series) > 0 {
			out := cardinality(true, int64(len(series)))
			out.Name = n
			if err := x.emit(out); err != nil {
				return err
			}
		}
	}
	if exact {
		return nil
	}
	return x.emit(cardinality(false, total))
}
