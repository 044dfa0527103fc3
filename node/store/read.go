package store

import (
	"context"
	"regexp"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Tag is one tag of a series, unescaped.
type Tag struct{ Key, Value string }

// Series is one series of a bucket: a measurement and its tags. It never changes once made.
type Series struct {
	// Key is the canonical series key (line.Point.Series).
	Key         string
	Measurement string
	// Tags are sorted by key.
	Tags []Tag
}

// Tag returns the value of a tag, "" when the series does not have it.
func (s *Series) Tag(key string) string {
	for i := range s.Tags {
		if s.Tags[i].Key == key {
			return s.Tags[i].Value
		}
	}
	return ""
}

// TimeRange is a span of timestamps in ns since the epoch, both ends inclusive.
type TimeRange struct{ Min, Max int64 }

// MatchOp is how a TagMatcher compares.
type MatchOp uint8

// The comparisons that the index can answer. A series without the tag compares as one whose value is "".
const (
	MatchEqual MatchOp = iota
	MatchNotEqual
	MatchRegex
	MatchNotRegex
)

// TagMatcher is one condition on a tag.
type TagMatcher struct {
	Key    string
	Op     MatchOp
	Value  string
	Regexp *regexp.Regexp
}

// FieldKey is a field of a measurement. A name may have several types, one in each time partition.
type FieldKey struct {
	Name string
	Type line.Type
}

// Reader is what queries need of one bucket. All its answers are of one moment per call; Scan reads a snapshot.
// Only data that the bucket's retention still covers is seen.
type Reader interface {
	// Measurements returns the names of the measurements that have data within tr, sorted by bytes.
	Measurements(ctx context.Context, tr TimeRange) ([]string, error)
	// Fields returns the fields of a measurement within tr, sorted by name, then by type.
	Fields(ctx context.Context, measurement string, tr TimeRange) ([]FieldKey, error)
	// Series returns the series of a measurement that may have data within tr and satisfy all matchers, sorted by Key.
	Series(ctx context.Context, measurement string, tr TimeRange, match []TagMatcher) ([]*Series, error)
	// Scan reads rows. The cursor must be closed.
	Scan(ctx context.Context, o ScanOptions) (Cursor, error)
}

// ScanOptions choose what Scan reads.
type ScanOptions struct {
	// Series are read one after the other in this order. They must be of one measurement.
	Series []*Series
	// Fields are the columns of the chunks, in this order. A row without a value in any of them is left out.
	Fields []string
	Range  TimeRange
	// Descending gives each series' rows newest first.
	Descending bool
}

// Cursor gives the rows of a scan in chunks. It is used by one goroutine.
type Cursor interface {
	// Next returns the next chunk, or io.EOF. The chunk is valid until the next call of Next or Close.
	Next() (*Chunk, error)
	Close() error
}

// Chunk is a run of rows of one series. A series may come in several chunks, in time order; times never repeat within a series.
type Chunk struct {
	Series  *Series
	Times   []int64
	Columns []Column // one for each requested field
}

// Column is the values of one field in a chunk. Type is 0 when the field has no value in the chunk, and the slice named by
// Type is the one that is filled, as long as Times. Valid[i] tells whether row i has a value; nil means that all have.
type Column struct {
	Type     line.Type
	Valid    []bool
	Floats   []float64
	Integers []int64
	Unsigned []uint64
	Booleans []bool
	Strings  []string
}

// Has reports whether row i has a value.
func (c *Column) Has(i int) bool { return c.Type != 0 && (c.Valid == nil || c.Valid[i]) }
