package query

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"time"
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
