package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// statementName is the words that a statement begins with, for errors.
func statementName(s influxql.Statement) string {
	var words []string
	for _, w := range strings.Fields(s.String()) {
		if strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || w == "ON" || w == "FROM" || len(words) == 3 {
			break
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// showDatabases answers with the databases that the request may read or write.
func (x *execution) showDatabases(ctx context.Context) error {
	all, err := x.o.Databases.Databases(ctx)
	if err != nil {
		return fmt.Errorf("listing databases: %w", err)
	}
	rows := [][]any{}
	for _, d := range all {
		if x.authorize(ctx, d.Name, "", Read) == nil || x.authorize(ctx, d.Name, "", Write) == nil {
			rows = append(rows, []any{d.Name})
		}
	}
	return x.emit(textSeries("databases", []string{"name"}, rows))
}

func (x *execution) showRetentionPolicies(ctx context.Context, s *influxql.ShowRetentionPoliciesStatement) error {
	name := s.Database
	if name == "" {
		name = x.db
	}
	db, err := x.database(ctx, name)
	if err != nil {
		return err
	}
	if err := x.authorize(ctx, name, "", Read); err != nil {
		return err
	}
	var rows [][]any
	for _, p := range db.Policies {
		rows = append(rows, []any{p.Name, p.Duration.String(), p.ShardGroupDuration.String(), int64(1), p.Default})
	}
	return x.emit(textSeries("", []string{"name", "duration", "shardGroupDuration", "replicaN", "default"}, rows))
}

// listing is the part that the SHOW statements about data share: which measurements, and which of their series.
type listing struct {
	ctx     context.Context
	x       *execution
	readers []store.Reader
	sources influxql.Sources
	match   []store.TagMatcher
	rest    influxql.Expr
	hasCond bool
	tr      store.TimeRange
}

// list prepares a SHOW statement over the retention policies of a database: all of them, or the one that is named.
func (x *execution) list(ctx context.Context, database string, sources influxql.Sources, cond influxql.Expr) (*listing, error) {
	if database == "" {
		database = x.db
	}
	l := &listing{ctx: ctx, x: x, sources: sources}
	policy := ""
	for _, s := range sources {
		m, ok := s.(*influxql.Measurement)
		if !ok {
			return nil, errors.New("a subquery cannot be shown")
		}
		if m.Database != "" {
			database = m.Database
		}
		policy = m.RetentionPolicy
	}
	db, err := x.database(ctx, database)
	if err != nil {
		return nil, err
	}
	expr, tr, err := influxql.ConditionExpr(cond, &influxql.NowValuer{Now: x.r.Now})
	if err != nil {
		return nil, err
	}
	l.tr = store.TimeRange{Min: influxql.MinTime, Max: influxql.MaxTime}
	if !tr.Min.IsZero() {
		l.tr.Min = tr.MinTimeNano()
	}
	if !tr.Max.IsZero() {
		l.tr.Max = tr.MaxTimeNano()
	}
	if err := checkTagCondition(expr); err != nil {
		return nil, err
	}
	l.hasCond = expr != nil
	l.match, l.rest = splitCondition(expr)
	return l, l.open(db, policy)
}

// checkTagCondition refuses comparisons that tags do not have.
func checkTagCondition(e influxql.Expr) error {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return checkTagCondition(e.Expr)
	case *influxql.BinaryExpr:
		switch e.Op {
		case influxql.AND, influxql.OR:
			if err := checkTagCondition(e.LHS); err != nil {
				return err
			}
			return checkTagCondition(e.RHS)
		case influxql.EQ, influxql.NEQ, influxql.EQREGEX, influxql.NEQREGEX:
		default:
			return errors.New("invalid tag comparison operator")
		}
	}
	return nil
}

// open opens the readers of the retention policies that may be read.
func (l *listing) open(db *Database, policy string) error {
	var denied error
	for _, p := range db.Policies {
		if policy != "" && p.Name != policy {
			continue
		}
		if err := l.x.authorize(l.ctx, db.Name, p.Name, Read); err != nil {
			denied = err
			continue
		}
		r, err := l.x.o.Databases.Reader(l.ctx, db.Name, p.Name)
		if err != nil {
			return fmt.Errorf("opening %s.%s: %w", db.Name, p.Name, err)
		}
		l.readers = append(l.readers, r)
	}
	if len(l.readers) == 0 && denied != nil {
		return denied
	}
	return nil
}

// measurements lists the names that the statement is about, sorted.
func (l *listing) measurements() ([]string, error) {
	var out []string
	for _, r := range l.readers {
		names, err := r.Measurements(l.ctx, l.tr)
		if err != nil {
			return nil, fmt.Errorf("listing measurements: %w", err)
		}
		for _, n := range names {
			if l.wants(n) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (l *listing) wants(name string) bool {
	if len(l.sources) == 0 {
		return true
	}
	return slices.ContainsFunc(l.sources, func(s influxql.Source) bool {
		m := s.(*influxql.Measurement)
		return m.Name == name || (m.Regex != nil && m.Regex.Val.MatchString(name))
	})
}

// series lists the series of a measurement that satisfy the condition, sorted by key, each once.
func (l *listing) series(name string) ([]*store.Series, error) {
	var out []*store.Series
	conditions := newReducer(l.rest)
	for _, r := range l.readers {
		all, err := r.Series(l.ctx, name, l.tr, l.match)
		if err != nil {
			return nil, fmt.Errorf("listing the series of %q: %w", name, err)
		}
		if n, most := len(out)+len(all), l.x.o.Limits.MaxSeries; most > 0 && n > most {
			return nil, &LimitError{Limit: "series", Max: int64(most), Need: int64(n)}
		}
		for _, s := range all {
			if conditions.of(s) != never {
				out = append(out, s)
			}
		}
	}
	if len(l.readers) > 1 {
		slices.SortFunc(out, func(a, b *store.Series) int { return strings.Compare(a.Key, b.Key) })
		out = slices.CompactFunc(out, func(a, b *store.Series) bool { return a.Key == b.Key })
	}
	return out, nil
}

// page applies LIMIT and OFFSET to rows.
func page[T any](rows []T, limit, offset int) []T {
	if offset >= len(rows) {
		return nil
	}
	rows = rows[offset:]
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	return rows
}

func (x *execution) showMeasurements(ctx context.Context, s *influxql.ShowMeasurementsStatement) error {
	if influxql.HasTimeExpr(s.Condition) {
		return errors.New("SHOW MEASUREMENTS doesn't support time in WHERE clause")
	}
	var sources influxql.Sources
	if s.Source != nil {
		sources = influxql.Sources{s.Source}
	}
	l, err := x.list(ctx, s.Database, sources, s.Condition)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	var rows [][]any
	for _, n := range names {
		if l.hasCond {
			series, err := l.series(n)
			if err != nil {
				return err
			}
			if len(series) == 0 {
				continue
			}
		}
		rows = append(rows, []any{n})
	}
	if rows = page(rows, s.Limit, s.Offset); len(rows) == 0 {
		return nil
	}
	return x.emit(textSeries("measurements", []string{"name"}, rows))
}

func (x *execution) showMeasurementCardinality(ctx context.Context, s *influxql.ShowMeasurementCardinalityStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, s.Condition)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	return x.emit(cardinality(s.Exact || s.Sources != nil || s.Condition != nil, int64(len(names))))
}

// cardinality is the answer with a number; the column's name says whether InfluxDB would have counted or estimated.
func cardinality(exact bool, n int64) *Series {
	name := "cardinality estimation"
	if exact {
		name = "count"
	}
	return textSeries("", []string{name}, [][]any{{n}})
}

func (x *execution) showFieldKeys(ctx context.Context, s *influxql.ShowFieldKeysStatement) error {
	l, err := x.list(ctx, s.Database, s.Sources, nil)
	if err != nil {
		return err
	}
	names, err := l.measurements()
	if err != nil {
		return err
	}
	for _, n := range names {
		var keys []store.FieldKey
		for _, r := range l.readers {
			more, err := r.Fields(ctx, n, l.tr)
			if err != nil {
				return fmt.Errorf("listing the fields of %q: %w", n, err)
			}
			keys = append(keys, more...)
		}
		slices.SortFunc(keys, func(a, b store.FieldKey) int {
			if a.Name != b.Name {
				return strings.Compare(a.Name, b.Name)
			}
			return strings.Compare(a.Type.String(), b.Type.String())
		})
		keys = page(slices.Compact(keys), s.Limit, s.Offset)
		if len(keys) == 0 {
			continue
		}
		rows := make([][]any, len(keys))
		for i, k := range keys {
			rows[i] = []any{k.Name, k.Type.String()}
		}
		if err := x.emit(textSeries(n, []string{"fieldKey", "fieldType"}, rows)); err != nil {
			return err
		}
	}
	return nil
}
