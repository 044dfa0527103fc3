package store

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// headKey is the Parquet metadata key under which a block's head stands, in base64.
const headKey = "holdfast.block"

// Flushes are compressed fast, because writers may wait for them; merges a little better, because what they write stays.
var (
	flushCodec = &zstd.Codec{Level: zstd.SpeedFastest}
	mergeCodec = &zstd.Codec{Level: zstd.SpeedDefault}
)

// columnNamer gives each column of a file a name that no engine confuses with another's: case counts for nothing, and
// only valid UTF-8 is used.
type columnNamer map[string]bool

func (n columnNamer) name(want, suffix string) string {
	want = readable(want)
	name := want
	for i := 1; n[strings.ToLower(name)]; i++ {
		name = want + suffix
		if i > 1 {
			name = fmt.Sprintf("%s%s%d", want, suffix, i)
		}
	}
	n[strings.ToLower(name)] = true
	return name
}

// wideColumns lists the columns of a wide block.
func wideColumns(tags []headColumn, fields []headColumn) []headColumn {
	names := columnNamer{}
	out := []headColumn{{role: roleTime, column: names.name("time", "")}}
	for _, c := range tags {
		c.role, c.column = roleTag, names.name(c.key, "_tag")
		out = append(out, c)
	}
	for _, c := range fields {
		c.role, c.column = roleField, names.name(c.key, "_field")
		out = append(out, c)
	}
	return out
}

// narrowColumns lists the columns of a narrow block whose values have the given types. raw tells that some text in it is not UTF-8.
func narrowColumns(types []line.Type, raw bool) []headColumn {
	out := []headColumn{
		{role: roleTime, column: "time"},
		{role: roleSeries, column: "series", raw: raw},
		{role: roleMeasurement, column: "measurement", raw: raw},
		{role: roleFieldKey, column: "field", raw: raw},
	}
	for _, t := range types {
		out = append(out, headColumn{role: roleValue, column: "value_" + t.String(), t: t, optional: len(types) > 1, raw: raw && t == line.String})
	}
	return out
}

// parquetSchema makes the schema of the columns.
func parquetSchema(name string, columns []headColumn) *parquet.Schema {
	group := make(parquet.Group, len(columns))
	for _, c := range columns {
		group[c.column] = c.node()
	}
	return parquet.NewSchema(readable(name), group)
}

// node is the Parquet type of the column.
func (c *headColumn) node() parquet.Node {
	var n parquet.Node
	text := parquet.String()
	if c.raw {
		text = parquet.Leaf(parquet.ByteArrayType)
	}
	switch c.role {
	case roleTime:
		n = parquet.Encoded(parquet.Timestamp(parquet.Nanosecond), &parquet.DeltaBinaryPacked)
	case roleTag, roleSeries, roleMeasurement, roleFieldKey:
		n = parquet.Encoded(text, &parquet.RLEDictionary)
	default:
		switch c.t {
		case line.Float:
			n = parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.ByteStreamSplit)
		case line.Integer:
			n = parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.DeltaBinaryPacked)
		case line.Unsigned:
			n = parquet.Encoded(parquet.Uint(64), &parquet.DeltaBinaryPacked)
		case line.Boolean:
			n = parquet.Encoded(parquet.Leaf(parquet.BooleanType), &parquet.Plain)
		default:
			n = parquet.Encoded(text, &parquet.DeltaLengthByteArray)
		}
	}
	if c.optional {
		n = parquet.Optional(n)
	}
	return n
}

func headMetadata(h *blockHead) string { return base64.StdEncoding.EncodeToString(encodeHead(h)) }

func parseHeadMetadata(s string) (blockHead, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return blockHead{}, fmt.Errorf("%w: block head: %w", errDamaged, err)
	}
	d := decoder{b: raw}
	h := decodeHead(&d)
	return h, d.err
}

// readable is s as it can stand in Parquet metadata for people.
func readable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
