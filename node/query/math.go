package query

import (
	"fmt"
	"math"

	"github.com/influxdata/influxql"
)

// mathFunctions are the functions of one row, by their number of arguments.
var mathFunctions = map[string]int{
	"abs": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1, "acos": 1, "atan": 1, "atan2": 2, "exp": 1, "log": 2, "ln": 1,
	"log2": 1, "log10": 1, "sqrt": 1, "pow": 2, "floor": 1, "ceil": 1, "round": 1,
}

var floatFunctions = map[string]func(float64) float64{
	"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
	"exp": math.Exp, "ln": math.Log, "log2": math.Log2, "log10": math.Log10, "sqrt": math.Sqrt,
}

var floatFunctions2 = map[string]func(x, y float64) float64{
	"atan2": math.Atan2, "pow": math.Pow, "log": func(x, base float64) float64 { return math.Log(x) / math.Log(base) },
}

// mathValuer evaluates mathFunctions for the parser's evaluator.
type mathValuer struct{}

var _ influxql.CallValuer = mathValuer{}

// Value knows no names.
func (mathValuer) Value(string) (any, bool) { return nil, false }

// Call evaluates a function of one row. Of anything but numbers the result is nil.
func (mathValuer) Call(name string, args []any) (any, bool) {
	n, ok := mathFunctions[name]
	if !ok || n != len(args) {
		return nil, false
	}
	if f, ok := floatFunctions[name]; ok {
		if x, ok := asFloat(args[0]); ok {
			return f(x), true
		}
		return nil, true
	}
	if f, ok := floatFunctions2[name]; ok {
		x, okx := asFloat(args[0])
		y, oky := asFloat(args[1])
		if okx && oky {
			return f(x, y), true
		}
		return nil, true
	}
	return keepType(name, args[0]), true
}

// keepType is the functions whose result has the type of their argument.
func keepType(name string, v any) any {
	switch v := v.(type) {
	case float64:
		switch name {
		case "abs":
			return math.Abs(v)
		case "floor":
			return math.Floor(v)
		case "ceil":
			return math.Ceil(v)
		}
		return math.Round(v)
	case int64:
		if name == "abs" && v < 0 {
			return -v
		}
		return v
	case uint64:
		return v
	}
	return nil
}

// typeMapper gives the result types of all functions.
type typeMapper struct{}

var _ influxql.CallTypeMapper = typeMapper{}

// MapType knows no fields.
func (typeMapper) MapType(*influxql.Measurement, string) influxql.DataType { return influxql.Unknown }

// CallType returns the type of a function's result, or an error when it cannot take its arguments.
func (typeMapper) CallType(name string, args []influxql.DataType) (influxql.DataType, error) {
	switch name {
	case "mean", "median", "integral", "stddev", "derivative", "non_negative_derivative", "moving_average":
		return influxql.Float, nil
	case "count", "elapsed":
		return influxql.Integer, nil
	}
	if n, ok := mathFunctions[name]; ok {
		return mathType(name, args[:min(n, len(args))])
	}
	if len(args) == 0 {
		return influxql.Unknown, nil
	}
	return args[0], nil
}

var ordinals = [...]string{"first", "second"}

func mathType(name string, args []influxql.DataType) (influxql.DataType, error) {
	for i, t := range args {
		switch t {
		case influxql.Float, influxql.Unknown:
			continue
		case influxql.Integer, influxql.Unsigned:
			if name != "asin" && name != "acos" {
				continue
			}
		}
		return influxql.Unknown, fmt.Errorf("invalid argument type for the %s argument in %s(): %s", ordinals[i], name, t)
	}
	switch name {
	case "abs", "floor", "ceil", "round":
		return args[0], nil
	}
	return influxql.Float, nil
}
