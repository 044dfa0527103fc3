package query

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// DefaultChunkSize is the number of rows in one document of a chunked response whose request names none.
const DefaultChunkSize = 10000

// EncodeOptions say how results are written.
type EncodeOptions struct {
	// Epoch is the unit of times that are written as integers: "u", "ms", "s", "m" or "h"; any other text is ns. "" writes
	// RFC 3339 text in JSON and ns in CSV.
	Epoch string
	// Chunked writes a document for each run of at most ChunkSize rows of one series.
	Chunked   bool
	ChunkSize int
	// Pretty indents JSON by four spaces.
	Pretty bool
	// Flush is called after each chunk, when it is set.
	Flush func()
}

// epochUnit returns the ns in the epoch parameter's unit.
func epochUnit(epoch string) int64 {
	switch epoch {
	case "u", "µ":
		return int64(time.Microsecond)
	case "ms":
		return int64(time.Millisecond)
	case "s":
		return int64(time.Second)
	case "m":
		return int64(time.Minute)
	case "h":
		return int64(time.Hour)
	}
	return 1
}

// jsonEncoder writes documents of the form {"results":[…]} and a newline.
type jsonEncoder struct {
	w    *bufio.Writer
	o    EncodeOptions
	buf  []byte // what was not yet written to w; the whole document when it is to be indented
	open *openSeries

	results int // begun in the open document
	series  int // begun in the open result
	rows    int // written of the open series
}

// NewJSONEncoder returns an encoder of the JSON that InfluxDB answers at /query.
func NewJSONEncoder(w io.Writer, o EncodeOptions) Encoder {
	e := &jsonEncoder{w: bufio.NewWriterSize(w, 32<<10), o: o}
	if o.Chunked {
		return newChunker(e, o)
	}
	return e
}

func (e *jsonEncoder) Begin(statement int) error {
	if e.results == 0 {
		e.buf = append(e.buf, `{"results":[`...)
	} else {
		e.buf = append(e.buf, ',')
	}
	e.results++
	e.series, e.open = 0, nil
	e.buf = append(e.buf, `{"statement_id":`...)
	e.buf = strconv.AppendInt(e.buf, int64(statement), 10)
	return e.drain()
}

func (e *jsonEncoder) Series(s *Series) error {
	if !e.open.continuedBy(s) {
		e.endSeries(false)
		e.beginSeries(s)
	}
	for i := range s.Rows {
		if e.rows == 0 {
			e.buf = append(e.buf, `,"values":[`...)
		} else {
			e.buf = append(e.buf, ',')
		}
		e.rows++
		e.row(s, i)
		if err := e.drain(); err != nil {
			return err
		}
	}
	return nil
}

func (e *jsonEncoder) beginSeries(s *Series) {
	if e.series == 0 {
		e.buf = append(e.buf, `,"series":[{`...)
	} else {
		e.buf = append(e.buf, `,{`...)
	}
	e.series++
	e.rows = 0
	e.open = newOpenSeries(s)
	if s.Name != "" {
		e.buf = append(e.buf, `"name":`...)
		e.buf = appendJSONString(e.buf, s.Name)
		e.buf = append(e.buf, ',')
	}
	if len(s.Tags) > 0 {
		e.buf = append(e.buf, `"tags":`...)
		for i, t := range s.Tags {
			e.buf = append(e.buf, "{,"[min(i, 1)])
			e.buf = appendJSONString(e.buf, t.Key)
			e.buf = append(e.buf, ':')
			e.buf = appendJSONString(e.buf, t.Value)
		}
		e.buf = append(e.buf, `},`...)
	}
	e.buf = append(e.buf, `"columns":[`...)
	for i, c := range s.Columns {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = appendJSONString(e.buf, c)
	}
	e.buf = append(e.buf, ']')
}

func (e *jsonEncoder) endSeries(partial bool) {
	if e.open == nil {
		return
	}
	if e.rows > 0 {
		e.buf = append(e.buf, ']')
	}
	if partial {
		e.buf = append(e.buf, `,"partial":true`...)
	}
	e.buf = append(e.buf, '}')
	e.open = nil
}

func (e *jsonEncoder) row(s *Series, i int) {
	e.buf = append(e.buf, '[')
	if s.Times != nil {
		e.buf = appendTime(e.buf, s.Times[i], e.o.Epoch, s.Location)
	}
	for c := range s.Values {
		if c > 0 || s.Times != nil {
			e.buf = append(e.buf, ',')
		}
		e.buf = appendJSONCell(e.buf, &s.Values[c], i)
	}
	e.buf = append(e.buf, ']')
}

func (e *jsonEncoder) End(messages []Message, err error) error {
	return e.endChunk(messages, err, false, false)
}

// endChunk ends the result; the flags say that its last series, and that the result, go on in the next document.
func (e *jsonEncoder) endChunk(messages []Message, err error, partialSeries, partial bool) error {
	e.endSeries(partialSeries)
	if e.series > 0 {
		e.buf = append(e.buf, ']')
	}
	if len(messages) > 0 {
		text, merr := json.Marshal(messages)
		if merr != nil {
			return merr
		}
		e.buf = append(append(e.buf, `,"messages":`...), text...)
	}
	if partial {
		e.buf = append(e.buf, `,"partial":true`...)
	}
	if err != nil {
		e.buf = append(e.buf, `,"error":`...)
		e.buf = appendJSONString(e.buf, err.Error())
	}
	e.buf = append(e.buf, '}')
	return e.drain()
}

// Close ends the document. The next Begin opens another.
func (e *jsonEncoder) Close() error {
	if e.results == 0 {
		e.buf = append(e.buf, `{"results":[`...)
	}
	e.buf = append(e.buf, `]}`...)
	e.results = 0
	if e.o.Pretty {
		var out bytes.Buffer
		if err := json.Indent(&out, e.buf, "", "    "); err != nil {
			return err
		}
		e.buf = out.Bytes()
	}
	e.buf = append(e.buf, '\n')
	if _, err := e.w.Write(e.buf); err != nil {
		return err
	}
	e.buf = e.buf[:0]
	if err := e.w.Flush(); err != nil {
		return err
	}
	if e.o.Flush != nil {
		e.o.Flush()
	}
	return nil
}

// drain writes what is buffered, unless the document must be kept whole.
func (e *jsonEncoder) drain() error {
	if e.o.Pretty || len(e.buf) < 4<<10 {
		return nil
	}
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	return err
}

// openSeries remembers which series an encoder is in the midst of.
type openSeries struct{ s Series }

func newOpenSeries(s *Series) *openSeries {
	return &openSeries{Series{Name: s.Name, Tags: slices.Clone(s.Tags), Columns: slices.Clone(s.Columns)}}
}

func (o *openSeries) continuedBy(s *Series) bool {
	return o != nil && o.s.Name == s.Name && slices.Equal(o.s.Tags, s.Tags) && slices.Equal(o.s.Columns, s.Columns)
}

// appendTime writes a time as the epoch parameter asks.
func appendTime(b []byte, t int64, epoch string, loc *time.Location) []byte {
	if epoch != "" {
		return strconv.AppendInt(b, t/epochUnit(epoch), 10)
	}
	if loc == nil {
		loc = time.UTC
	}
	b = append(b, '"')
	b = time.Unix(0, t).In(loc).AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendJSONCell(b []byte, c *Column, i int) []byte {
	if c.Any != nil {
		return appendJSONValue(b, c.Any[i])
	}
	if !c.Has(i) {
		return append(b, "null"...)
	}
	switch c.Type {
	case line.Float:
		return appendJSONFloat(b, c.Floats[i])
	case line.Integer:
		return strconv.AppendInt(b, c.Integers[i], 10)
	case line.Unsigned:
		return strconv.AppendUint(b, c.Unsigned[i], 10)
	case line.Boolean:
		return strconv.AppendBool(b, c.Booleans[i])
	}
	return appendJSONString(b, c.Strings[i])
}

func appendJSONValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		return appendJSONFloat(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendJSONString(b, v)
	}
	return append(b, "null"...)
}

// appendJSONFloat writes f as encoding/json does: the shortest decimal, with an exponent only for very small and very large
// numbers. JSON has no NaN and no infinity; both are null.
func appendJSONFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	abs := math.Abs(f)
	if abs == 0 || (abs >= 1e-6 && abs < 1e21) {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	// e-09 is written e-9
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes s quoted. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
