package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// seriesRows is a series of a group and what its rows must satisfy.
type seriesRows struct {
	reader store.Reader
	series *store.Series
	group  *tagset // of the plan's groupBy
	filter influxql.Expr
}

// group is the series that one series of the request's result is made of.
type group struct {
	key    groupKey
	series []seriesRows
}

// groups finds the series of the plan's measurements, in the order of the result.
func (p *plan) groups(ctx context.Context, x *execution) ([]*group, error) {
	var out []*group
	byKey := map[groupKey]*group{}
	dims, by := newTagsets(p.dims), newTagsets(p.groupBy)
	total := 0
	for _, src := range p.sources {
		if src.sub != nil {
			continue
		}
		match, rest := splitCondition(p.condition)
		all, err := src.reader.Series(ctx, src.name, p.bounded(), match)
		if err != nil {
			return nil, fmt.Errorf("listing the series of %q: %w", src.name, err)
		}
		if total += len(all); x.o.Limits.MaxSeries > 0 && total > x.o.Limits.MaxSeries {
			return nil, &LimitError{Limit: "series", Max: int64(x.o.Limits.MaxSeries), Need: int64(total)}
		}
		conditions := newReducer(rest)
		var mine []*group
		for _, s := range all {
			filter := conditions.of(s)
			if filter == never {
				continue
			}
			key := groupKey{s.Measurement, dims.of(s.Tag)}
			g := byKey[key]
			if g == nil {
				g = &group{key: key}
				byKey[key] = g
				mine = append(mine, g)
			}
			g.series = append(g.series, seriesRows{src.reader, s, by.of(s.Tag), filter})
		}
		slices.SortFunc(mine, func(a, b *group) int { return a.key.compare(b.key) })
		out = append(out, limitGroups(mine, p.slimit, p.soffset)...)
	}
	slices.SortStableFunc(out, func(a, b *group) int {
		if p.desc {
			a, b = b, a
		}
		return a.key.compare(b.key)
	})
	return out, nil
}

// limitGroups applies SLIMIT and SOFFSET, which count for each measurement. As in InfluxDB, SOFFSET alone leaves nothing.
func limitGroups(g []*group, limit, offset int) []*group {
	if limit == 0 && offset == 0 {
		return g
	}
	if offset > len(g) {
		return nil
	}
	return g[offset:min(offset+limit, len(g))]
}

// bounded is the time range that the plan reads, within what the whole statement may read.
func (p *plan) bounded() store.TimeRange {
	return store.TimeRange{Min: max(p.read.Min, p.bounds.Min), Max: min(p.read.Max, p.bounds.Max)}
}

// fieldNames lists the stored fields that the plan and a condition look at.
func (p *plan) fieldNames(filter *rowFilter) []string {
	var out []string
	add := func(ref *influxql.VarRef) {
		if !isTagRef(ref) && !slices.Contains(out, ref.Val) {
			out = append(out, ref.Val)
		}
	}
	for i := range p.inputs {
		add(&p.inputs[i].ref)
	}
	if filter != nil {
		for i := range filter.refs {
			add(&filter.refs[i])
		}
	}
	return out
}

// scan reads series that share a reader and a condition, one after the other, or just one.
func (p *plan) scan(ctx context.Context, x *execution, rows []seriesRows, desc bool) (*seriesScan, error) {
	var filter *rowFilter
	if rows[0].filter != nil {
		filter = newRowFilter(rows[0].filter, noValue)
	}
	fields := p.fieldNames(filter)
	if len(fields) == 0 {
		return nil, nil
	}
	series := make([]*store.Series, len(rows))
	for i := range rows {
		series[i] = rows[i].series
	}
	cur, err := rows[0].reader.Scan(ctx, store.ScanOptions{Series: series, Fields: fields, Range: p.bounded(), Descending: desc})
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", rows[0].series.Measurement, err)
	}
	return &seriesScan{ctx: ctx, x: x, rows: rows, cursor: cur, reader: newChunkReader(p, fields, filter)}, nil
}

// seriesScan reads the batches of a scan.
type seriesScan struct {
	ctx    context.Context
	x      *execution
	rows   []seriesRows
	at     int
	cursor store.Cursor
	reader *chunkReader
	closed bool
}

// next returns the next batch, nil at the end.
func (s *seriesScan) next() (*batch, error) {
	for {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		c, err := s.cursor.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", s.rows[0].series.Measurement, err)
		}
		if err := s.x.budget.read(len(c.Times)); err != nil {
			return nil, err
		}
		for s.at < len(s.rows)-1 && s.rows[s.at].series != c.Series && s.rows[s.at].series.Key != c.Series.Key {
			s.at++
		}
		if b := s.reader.batch(c, s.rows[s.at].group); b != nil {
			return b, nil
		}
	}
}

// close may be called again.
func (s *seriesScan) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.cursor.Close()
}

// each hands the batches of a group to fn, series by series.
func (p *plan) each(ctx context.Context, x *execution, g *group, fn func(*batch) error) error {
	for lo := 0; lo < len(g.series); {
		hi := lo + 1
		for hi < len(g.series) && g.series[hi].filter == g.series[lo].filter && g.series[hi].reader == g.series[lo].reader {
			hi++
		}
		if err := p.eachOf(ctx, x, g.series[lo:hi], fn); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

func (p *plan) eachOf(ctx context.Context, x *execution, rows []seriesRows, fn func(*batch) error) (err error) {
	s, err := p.scan(ctx, x, rows, p.desc)
	if err != nil || s == nil {
		return err
	}
	defer func() {
		if cerr := s.close(); err == nil {
			err = cerr
		}
	}()
	for {
		b, err := s.next()
		if err != nil || b == nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
	}
}
