package query

import (
	"context"

	"github.com/influxdata/influxql"
)

// selectStatement answers a SELECT.
func (x *execution) selectStatement(ctx context.Context, s *influxql.SelectStatement) error {
	p, err := x.prepare(ctx, s)
	if err != nil {
		return err
	}
	return p.run(ctx, x, true, func(f *frame) error {
		return x.emit(&Series{Name: f.key.name, Tags: f.key.tags.tags(), Columns: p.columns, Times: f.times,
			Location: p.win.loc, Values: f.cols, Rows: len(f.times)})
	})
}
