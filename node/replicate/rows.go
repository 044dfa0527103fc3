package replicate

import (
	"context"
	"iter"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// Rows is where gaps are filled from: the store of the bucket.
type Rows interface {
	// Applied returns the journal position up to which Lines knows all records.
	Applied() uint64
	// Lines gives the points with timestamps from min to max, both inclusive, in ns since the epoch, as whole lines of canonical line
	// protocol, in batches that are valid until the next one. The order does not matter. An error ends it.
	Lines(ctx context.Context, min, max int64) iter.Seq2[[]byte, error]
}

// Bucket is what the store offers of a bucket.
type Bucket interface {
	Applied() uint64
	Lines(ctx context.Context, tr store.TimeRange) iter.Seq2[*line.Batch, error]
}

// RowsOf makes a bucket of the store a place to fill gaps from.
func RowsOf(b Bucket) Rows { return bucketRows{b} }

type bucketRows struct{ Bucket }

func (r bucketRows) Lines(ctx context.Context, low, high int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var text []byte
		for batch, err := range r.Bucket.Lines(ctx, store.TimeRange{Min: low, Max: high}) {
			if err != nil {
				yield(nil, err)
				return
			}
			text = line.AppendBatch(text[:0], batch)
			if len(text) > 0 && !yield(text, nil) {
				return
			}
		}
	}
}
