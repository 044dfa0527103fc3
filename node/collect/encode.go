package collect

import (
	"math"
	"slices"
	"strings"

	"github.com/influxdata/telegraf"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// encoder turns Telegraf's metrics into points. Its buffers are reused; it is not for concurrent use.
type encoder struct {
	unsigned bool // keep unsigned integers; otherwise they become integers, the largest ones clamped

	series []byte
	keys   []byte
	tags   []line.Tag
	fields []line.Field
}

// add appends m to b and tells whether a point came of it. What line protocol cannot express is left out as Telegraf's
// serializer does: NaN and infinite floats, empty tags, backslashes at the end of a tag.
func (e *encoder) add(b *line.Batch, m telegraf.Metric) bool {
	e.tags = e.tags[:0]
	for _, t := range m.TagList() {
		e.tags = append(e.tags, line.Tag{Key: strings.TrimRight(t.Key, `\`), Value: strings.TrimRight(t.Value, `\`)})
	}
	e.series = line.AppendSeriesKey(e.series[:0], m.Name(), e.tags)
	e.fields, e.keys = e.fields[:0], e.keys[:0]
	for _, f := range m.FieldList() {
		if v, ok := e.value(f.Value); ok {
			e.fields = append(e.fields, line.Field{Key: e.copy(strings.TrimRight(f.Key, `\`)), Value: v})
		}
	}
	slices.SortFunc(e.fields, func(a, b line.Field) int { return slices.Compare(a.Key, b.Key) })
	return b.Add(e.series, e.fields, m.Time().UnixNano())
}

func (e *encoder) value(v any) (line.Value, bool) {
	switch v := v.(type) {
	case float64:
		return line.Value{Type: line.Float, Bits: math.Float64bits(v)}, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int64:
		return line.Value{Type: line.Integer, Bits: uint64(v)}, true
	case uint64:
		if e.unsigned {
			return line.Value{Type: line.Unsigned, Bits: v}, true
		}
		return line.Value{Type: line.Integer, Bits: min(v, math.MaxInt64)}, true
	case bool:
		if v {
			return line.Value{Type: line.Boolean, Bits: 1}, true
		}
		return line.Value{Type: line.Boolean}, true
	case string:
		return line.Value{Type: line.String, Str: e.copy(v)}, true
	}
	return line.Value{}, false
}

// copy keeps s until the next add.
func (e *encoder) copy(s string) []byte {
	start := len(e.keys)
	e.keys = append(e.keys, s...)
	return e.keys[start:len(e.keys):len(e.keys)]
}
