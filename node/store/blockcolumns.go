package store

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// errMissing tells that a value is missing in a column that is not optional.
var errMissing = errors.New("a value is missing where none may be")

// writePage gives the rows of the page to the Parquet columns.
func (w *blockWriter) writePage() error {
	if w.page.len() == 0 {
		return nil
	}
	value, text := 0, 0
	for i := range w.b.head.columns {
		c := &w.b.head.columns[i]
		var err error
		switch c.role {
		case roleTime:
			err = w.writeTimes(i)
		case roleField, roleValue:
			err = w.writeColumn(i, &w.page.cols[value])
			value++
		default:
			err = w.writeTexts(i, text)
			text++
		}
		if err != nil {
			return fmt.Errorf("write column %q: %w", c.column, err)
		}
	}
	w.clearPage()
	return nil
}

// values returns room for the values of the page.
func (w *blockWriter) values() []parquet.Value {
	if n := w.page.len(); cap(w.scratch) < n {
		w.scratch = make([]parquet.Value, 0, max(n, pageRows))
	}
	return w.scratch[:0]
}

func (w *blockWriter) writeTimes(i int) error {
	out := w.values()
	for _, t := range w.page.times {
		out = append(out, parquet.Int64Value(t).Level(0, 0, w.nums[i]))
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

// writeTexts writes text number t of the page's rows.
func (w *blockWriter) writeTexts(i, t int) error {
	optional, num := w.b.head.columns[i].optional, w.nums[i]
	out := w.values()
	for _, run := range w.texts {
		v := parquet.NullValue().Level(0, 0, num)
		if text := run.texts[t]; text != "" {
			v = textValue(text).Level(0, int(boolBit(optional)), num)
		} else if !optional {
			return errMissing
		}
		for range run.n {
			out = append(out, v)
		}
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

// textValue makes a value that shares the memory of s; the library copies it.
func textValue(s string) parquet.Value {
	return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (w *blockWriter) writeColumn(i int, c *Column) error {
	optional, num := w.b.head.columns[i].optional, w.nums[i]
	level := int(boolBit(optional))
	null := parquet.NullValue().Level(0, 0, num)
	out := w.values()
	count, text := 0, 0
	for j := range w.page.len() {
		if !c.Has(j) {
			if !optional {
				return errMissing
			}
			out = append(out, null)
			continue
		}
		count++
		out = append(out, parquetValue(c, j).Level(0, level, num))
		if c.Type != line.String {
			continue
		}
		if text += len(c.Strings[j]); text >= pageTextBytes/2 { // so that the library can end a page here
			if _, err := w.cols[i].WriteRowValues(out); err != nil {
				return err
			}
			out, text = out[:0], 0
		}
	}
	w.vals[i] += count
	w.b.head.values += int64(count)
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

func parquetValue(c *Column, i int) parquet.Value {
	switch c.Type {
	case line.Float:
		return parquet.DoubleValue(c.Floats[i])
	case line.Integer:
		return parquet.Int64Value(c.Integers[i])
	case line.Unsigned:
		return parquet.Int64Value(int64(c.Unsigned[i]))
	case line.Boolean:
		return parquet.BooleanValue(c.Booleans[i])
	default:
		return textValue(c.Strings[i])
	}
}
