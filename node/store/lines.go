package store

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// linesBatch is about how many bytes Lines gives at once.
const linesBatch = 512 << 10

// Lines gives the points with timestamps in tr as canonical line protocol, whole lines with ns timestamps, in batches that are valid until
// the next one. Points come by measurement and series; a point that is written meanwhile may or may not be among them. An
// error ends the sequence.
func (b *Bucket) Lines(ctx context.Context, tr TimeRange) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		w := lineWriter{yield: yield}
		names, err := b.Measurements(ctx, tr)
		for i := 0; err == nil && i < len(names); i++ {
			err = b.measurementLines(ctx, names[i], tr, &w)
		}
		if err == nil {
			err = w.flush()
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// errEnough tells that the consumer wants no more.
var errEnough = errors.New("store: iteration ended")

func (b *Bucket) measurementLines(ctx context.Context, name string, tr TimeRange, w *lineWriter) (err error) {
	fields, err := b.Fields(ctx, name, tr)
	if err != nil {
		return err
	}
	o := ScanOptions{Range: tr}
	for i, f := range fields {
		if i == 0 || f.Name != fields[i-1].Name { // a name comes once for each of its types
			o.Fields = append(o.Fields, f.Name)
		}
	}
	if o.Series, err = b.Series(ctx, name, tr, nil); err != nil {
		return err
	}
	c, err := b.Scan(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.chunk(chunk, o.Fields)
		}
		if err != nil {
			return err
		}
	}
}

// lineWriter turns chunks into lines.
type lineWriter struct {
	yield  func([]byte, error) bool
	buf    []byte
	fields []line.Field
}

func (w *lineWriter) chunk(c *Chunk, names []string) error {
	for i, at := range c.Times {
		w.fields = w.fields[:0]
		for f := range c.Columns {
			if col := &c.Columns[f]; col.Has(i) {
				w.fields = append(w.fields, line.Field{Key: []byte(names[f]), Value: col.value(i)})
			}
		}
		w.buf = line.AppendPoint(w.buf, &line.Point{Series: []byte(c.Series.Key), Fields: w.fields, Time: at})
		if len(w.buf) >= linesBatch {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *lineWriter) flush() error {
	if len(w.buf) > 0 && !w.yield(w.buf, nil) {
		return errEnough
	}
	w.buf = w.buf[:0]
	return nil
}
