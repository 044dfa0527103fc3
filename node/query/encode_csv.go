package query

import (
	"bufio"
	"encoding/csv"
	"io"
	"slices"
	"strconv"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// csvEncoder writes a header and rows for each run of series with the same columns, a blank line between such runs.
type csvEncoder struct {
	out       *bufio.Writer
	w         *csv.Writer
	unit      int64
	o         EncodeOptions
	began     bool     // a header was written
	statement bool     // the open statement has written a header
	columns   []string // of the open run
	record    []string
}

// NewCSVEncoder returns an encoder of the CSV that InfluxDB answers at /query: columns name, tags and the result's own.
// Times are integers. A statement that fails is written as a run with the one column error.
func NewCSVEncoder(w io.Writer, o EncodeOptions) Encoder {
	out := bufio.NewWriterSize(w, 32<<10)
	return &csvEncoder{out: out, w: csv.NewWriter(out), unit: epochUnit(o.Epoch), o: o}
}

func (e *csvEncoder) Begin(int) error {
	e.statement = false
	return nil
}

// header begins a run.
func (e *csvEncoder) header(columns []string) error {
	if e.began {
		e.w.Flush()
		if err := e.out.WriteByte('\n'); err != nil {
			return err
		}
	}
	e.began, e.statement = true, true
	return e.w.Write(columns)
}

func (e *csvEncoder) Series(s *Series) error {
	if !e.statement || !slices.Equal(e.columns, s.Columns) {
		e.columns = slices.Clone(s.Columns)
		if err := e.header(append([]string{"name", "tags"}, s.Columns...)); err != nil {
			return err
		}
	}
	tags := string(appendTags(nil, s))
	for i := range s.Rows {
		e.record = append(e.record[:0], s.Name, tags)
		if s.Times != nil {
			e.record = append(e.record, strconv.FormatInt(s.Times[i]/e.unit, 10))
		}
		for c := range s.Values {
			e.record = append(e.record, csvCell(&s.Values[c], i))
		}
		if err := e.w.Write(e.record); err != nil {
			return err
		}
	}
	return nil
}

func (e *csvEncoder) End(_ []Message, err error) error {
	if err == nil {
		return nil
	}
	if werr := e.header([]string{"error"}); werr != nil {
		return werr
	}
	return e.w.Write([]string{err.Error()})
}

func (e *csvEncoder) Close() error {
	e.w.Flush()
	if err := e.w.Error(); err != nil {
		return err
	}
	return e.out.Flush()
}

// appendTags writes the tags as a series key has them, without the measurement: k=v,k2=v2. Tags without a value are left out.
func appendTags(b []byte, s *Series) []byte {
	for _, t := range s.Tags {
		if t.Value == "" {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = appendEscaped(b, t.Key)
		b = append(b, '=')
		b = appendEscaped(b, t.Value)
	}
	return b
}

func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case ',', '=', ' ':
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

func csvCell(c *Column, i int) string {
	if c.Any == nil && c.Has(i) && c.Type == line.String {
		return c.Strings[i]
	}
	switch v := c.Value(i).(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return v
	}
	return ""
}
