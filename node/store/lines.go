package store

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// linesBatch is about how many points a batch of Lines has at most.
const linesBatch = chunkRows

// Lines gives all points of a time range as batches of up to some thousand points, partition by partition from the oldest, so that memory stays
// bounded: for an export, or to fill a gap of a replication. Within a partition they come by measurement, series and time.
// line.AppendBatch encodes them. Each measurement of each partition is read as a snapshot of its own. A batch is valid until the
// next. An error ends the sequence.
func (b *Bucket) Lines(ctx context.Context, tr TimeRange) iter.Seq2[*line.Batch, error] {
	return func(yield func(*line.Batch, error) bool) {
		e := export{b: b, ctx: ctx, yield: yield}
		for _, part := range b.spans(tr) {
			if err := e.partition(part); err != nil {
				if !errors.Is(err, errStopped) {
					yield(nil, err)
				}
				return
			}
		}
		if len(e.batch.Points) > 0 {
			yield(&e.batch, nil)
		}
	}
}

// spans returns the partitions of a range, clipped to it.
func (b *Bucket) spans(tr TimeRange) []TimeRange {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []TimeRange
	for _, p := range b.partitions {
		if part := p.span.clip(b.visible(tr)); !part.empty() {
			out = append(out, part)
		}
	}
	return out
}

var errStopped = errors.New("the reader of the lines stopped")

// export is one run of Lines.
type export struct {
	b     *Bucket
	ctx   context.Context
	yield func(*line.Batch, error) bool

	batch  line.Batch
	text   int // bytes of the strings in batch
	fields []line.Field
}

func (e *export) partition(tr TimeRange) error {
	names, err := e.b.Measurements(e.ctx, tr)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := e.measurement(name, tr); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) measurement(name string, tr TimeRange) error {
	keys, err := e.b.Fields(e.ctx, name, tr)
	if err != nil {
		return err
	}
	o := ScanOptions{Range: tr}
	for i, k := range keys {
		if i == 0 || keys[i-1].Name != k.Name {
			o.Fields = append(o.Fields, k.Name)
		}
	}
	if o.Series, err = e.b.Series(e.ctx, name, tr, nil); err != nil {
		return err
	}
	c, err := e.b.Scan(e.ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(e.rows(c, o.Fields), c.Close())
}

// rows adds the rows of a scan.
func (e *export) rows(c Cursor, names []string) error {
	keys := make([][]byte, len(names))
	for i, n := range names {
		keys[i] = []byte(n)
	}
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		series := []byte(chunk.Series.Key)
		for i, at := range chunk.Times {
			e.fields = e.fields[:0]
			for j := range chunk.Columns {
				if col := &chunk.Columns[j]; col.Has(i) {
					v := col.value(i)
					e.text += len(v.Str)
					e.fields = append(e.fields, line.Field{Key: keys[j], Value: v})
				}
			}
			e.batch.Add(series, e.fields, at)
			if len(e.batch.Points) < linesBatch && e.text < rowTextBytes {
				continue
			}
			if !e.yield(&e.batch, nil) {
				return errStopped
			}
			e.batch.Reset()
			e.text = 0
		}
	}
}
