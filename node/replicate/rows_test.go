package replicate

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

type fakeBucket struct {
	asked store.TimeRange
	fail  error
}

func (b *fakeBucket) Applied() uint64 { return 7 }

func (b *fakeBucket) Lines(_ context.Context, tr store.TimeRange) iter.Seq2[*line.Batch, error] {
	b.asked = tr
	return func(yield func(*line.Batch, error) bool) {
		var batch line.Batch
		for at := tr.Min; at <= tr.Max; at++ {
			batch.Reset()
			batch.Add([]byte("m,a=b"), []line.Field{{Key: []byte("f"), Value: line.Value{Type: line.Integer, Bits: uint64(at)}}}, at)
			if !yield(&batch, nil) {
				return
			}
		}
		if b.fail != nil {
			yield(nil, b.fail)
		}
	}
}

func TestRowsOfABucketAreItsCanonicalLines(t *testing.T) {
	bucket := &fakeBucket{fail: errors.New("damaged")}
	rows := RowsOf(bucket)
	text := ""
	var failed error
	for lines, err := range rows.Lines(t.Context(), 5, 6) {
		text += string(lines)
		failed = err
	}
	if want := "m,a=b f=5i 5\nm,a=b f=6i 6\n"; text != want || failed != bucket.fail || rows.Applied() != 7 || bucket.asked != (store.TimeRange{Min: 5, Max: 6}) {
		t.Errorf("got %q, %v, asked %v", text, failed, bucket.asked)
	}
	for lines, err := range rows.Lines(t.Context(), 1, 1000) {
		if err != nil || len(lines) == 0 {
			t.Errorf("got %q, %v", lines, err)
		}
		break // a reader that has enough
	}
}
