package query

import (
	"math"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// column is the values of one input or result over the rows of a batch, in the store's own form.
type column = store.Column

// lineType returns the store's type for an InfluxQL type, 0 when values of that type are never stored.
func lineType(t influxql.DataType) line.Type {
	switch t {
	case influxql.Float:
		return line.Float
	case influxql.Integer:
		return line.Integer
	case influxql.Unsigned:
		return line.Unsigned
	case influxql.Boolean:
		return line.Boolean
	case influxql.String, influxql.Tag:
		return line.String
	}
	return 0
}

// dataType returns the InfluxQL type of a stored type.
func dataType(t line.Type) influxql.DataType {
	switch t {
	case line.Float:
		return influxql.Float
	case line.Integer:
		return influxql.Integer
	case line.Unsigned:
		return influxql.Unsigned
	case line.Boolean:
		return influxql.Boolean
	case line.String:
		return influxql.String
	}
	return influxql.Unknown
}

// cell returns the value of row i, nil when it has none.
func cell(c *column, i int) any {
	if !c.Has(i) {
		return nil
	}
	switch c.Type {
	case line.Float:
		return c.Floats[i]
	case line.Integer:
		return c.Integers[i]
	case line.Unsigned:
		return c.Unsigned[i]
	case line.Boolean:
		return c.Booleans[i]
	case line.String:
		return c.Strings[i]
	}
	return nil
}

// resetColumn empties c and gives it a type, keeping the memory.
func resetColumn(c *column, t line.Type) {
	c.Type = t
	c.Valid = c.Valid[:0]
	c.Floats, c.Integers, c.Unsigned = c.Floats[:0], c.Integers[:0], c.Unsigned[:0]
	c.Booleans, c.Strings = c.Booleans[:0], c.Strings[:0]
}

// appendNull adds a row without a value. Columns that are built row by row always carry Valid.
func appendNull(c *column) {
	c.Valid = append(c.Valid, false)
	switch c.Type {
	case line.Float:
		c.Floats = append(c.Floats, 0)
	case line.Integer:
		c.Integers = append(c.Integers, 0)
	case line.Unsigned:
		c.Unsigned = append(c.Unsigned, 0)
	case line.Boolean:
		c.Booleans = append(c.Booleans, false)
	case line.String:
		c.Strings = append(c.Strings, "")
	}
}

// appendRow adds row i of src, which must have c's type or no value.
func appendRow(c, src *column, i int) {
	if src.Type != c.Type || !src.Has(i) {
		appendNull(c)
		return
	}
	c.Valid = append(c.Valid, true)
	switch c.Type {
	case line.Float:
		c.Floats = append(c.Floats, src.Floats[i])
	case line.Integer:
		c.Integers = append(c.Integers, src.Integers[i])
	case line.Unsigned:
		c.Unsigned = append(c.Unsigned, src.Unsigned[i])
	case line.Boolean:
		c.Booleans = append(c.Booleans, src.Booleans[i])
	case line.String:
		c.Strings = append(c.Strings, src.Strings[i])
	}
}

// appendValue adds v, which must be of c's type; anything else is no value.
func appendValue(c *column, v any) {
	switch v := v.(type) {
	case float64:
		if c.Type == line.Float {
			c.Floats, c.Valid = append(c.Floats, v), append(c.Valid, true)
			return
		}
	case int64:
		if c.Type == line.Integer {
			c.Integers, c.Valid = append(c.Integers, v), append(c.Valid, true)
			return
		}
	case uint64:
		if c.Type == line.Unsigned {
			c.Unsigned, c.Valid = append(c.Unsigned, v), append(c.Valid, true)
			return
		}
	case bool:
		if c.Type == line.Boolean {
			c.Booleans, c.Valid = append(c.Booleans, v), append(c.Valid, true)
			return
		}
	case string:
		if c.Type == line.String {
			c.Strings, c.Valid = append(c.Strings, v), append(c.Valid, true)
			return
		}
	}
	appendNull(c)
}

// gather writes the chosen rows of src into dst, which keeps its memory.
func gather(dst, src *column, rows []int) {
	resetColumn(dst, src.Type)
	if src.Type == 0 {
		return
	}
	if src.Valid == nil {
		dst.Valid = nil
	} else {
		for _, i := range rows {
			dst.Valid = append(dst.Valid, src.Valid[i])
		}
	}
	switch src.Type {
	case line.Float:
		dst.Floats = gatherRows(dst.Floats, src.Floats, rows)
	case line.Integer:
		dst.Integers = gatherRows(dst.Integers, src.Integers, rows)
	case line.Unsigned:
		dst.Unsigned = gatherRows(dst.Unsigned, src.Unsigned, rows)
	case line.Boolean:
		dst.Booleans = gatherRows(dst.Booleans, src.Booleans, rows)
	case line.String:
		dst.Strings = gatherRows(dst.Strings, src.Strings, rows)
	}
}

func gatherRows[T any](dst, src []T, rows []int) []T {
	for _, i := range rows {
		dst = append(dst, src[i])
	}
	return dst
}

// castColumn returns src as a column of type t, converting between the number types as InfluxQL does: floats are cut
// towards zero, and a column that cannot be converted has no values. scratch holds the result when there is work to do.
func castColumn(src *column, t line.Type, scratch *column) *column {
	if src.Type == t || src.Type == 0 {
		return src
	}
	resetColumn(scratch, t)
	scratch.Valid = src.Valid
	switch {
	case t == line.Float && src.Type == line.Integer:
		scratch.Floats = convert(scratch.Floats, src.Integers)
	case t == line.Float && src.Type == line.Unsigned:
		scratch.Floats = convert(scratch.Floats, src.Unsigned)
	case t == line.Integer && src.Type == line.Float:
		scratch.Integers = convert(scratch.Integers, src.Floats)
	case t == line.Integer && src.Type == line.Unsigned:
		scratch.Integers = convert(scratch.Integers, src.Unsigned)
	case t == line.Unsigned && src.Type == line.Float:
		scratch.Unsigned = convert(scratch.Unsigned, src.Floats)
	case t == line.Unsigned && src.Type == line.Integer:
		scratch.Unsigned = convert(scratch.Unsigned, src.Integers)
	default:
		scratch.Type, scratch.Valid = 0, nil
	}
	return scratch
}

// number is the types that arithmetic works on.
type number interface{ float64 | int64 | uint64 }

func convert[D, S number](dst []D, src []S) []D {
	for _, v := range src {
		dst = append(dst, D(v))
	}
	return dst
}

// castValue converts v to an InfluxQL type where that is possible and leaves it as it is otherwise.
func castValue(v any, t influxql.DataType) any {
	switch t {
	case influxql.Float:
		if f, ok := asFloat(v); ok {
			return f
		}
	case influxql.Integer:
		switch v := v.(type) {
		case float64:
			return int64(v)
		case uint64:
			return int64(v)
		}
	case influxql.Unsigned:
		switch v := v.(type) {
		case float64:
			return uint64(v)
		case int64:
			return uint64(v)
		}
	}
	return v
}

// asFloat returns a number of any type as a float.
func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// Column is the values of one result column. Any, when it is not nil, holds the values instead of the typed slices: a
// column is of mixed types when fill() puts numbers among strings or an expression has no single type.
type Column struct {
	store.Column
	Any []any
}

// Value returns row i as nil, float64, int64, uint64, bool or string.
func (c *Column) Value(i int) any {
	var v any
	if c.Any != nil {
		v = c.Any[i]
	} else {
		v = cell(&c.Column, i)
	}
	if f, ok := v.(float64); ok && math.IsNaN(f) {
		return nil
	}
	return v
}
