package query

import (
	"strconv"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/influxdata/influxql"
)

// operand is a column of n floats or integers, or a literal that stands for such a column.
type operand struct {
	column
	literal bool
}

// vector evaluates an expression over whole columns. It returns false for what is not arithmetic on floats and integers.
func vector(e influxql.Expr, symbols []Column, n int) (column, bool) {
	v, ok := vectorOperand(e, symbols, n)
	return v.column, ok && !v.literal
}

func vectorOperand(e influxql.Expr, symbols []Column, n int) (operand, bool) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return vectorOperand(e.Expr, symbols, n)
	case *influxql.NumberLiteral:
		return operand{column{Type: line.Float, Floats: repeat(e.Val, n)}, true}, true
	case *influxql.IntegerLiteral:
		return operand{column{Type: line.Integer, Integers: repeat(e.Val, n)}, true}, true
	case *influxql.VarRef:
		at, err := strconv.Atoi(e.Val)
		if err != nil || symbols[at].Any != nil {
			return operand{}, false
		}
		c := symbols[at].Column
		return operand{c, false}, c.Type == line.Float || c.Type == line.Integer
	case *influxql.BinaryExpr:
		l, ok := vectorOperand(e.LHS, symbols, n)
		if !ok {
			return operand{}, false
		}
		r, ok := vectorOperand(e.RHS, symbols, n)
		if !ok || (l.literal && r.literal) {
			return operand{}, false
		}
		return arithmetic(e.Op, &l.column, &r.column, n)
	}
	return operand{}, false
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// arithmetic applies an operator row by row. Two integers make an integer, but for their quotient.
func arithmetic(op influxql.Token, l, r *column, n int) (operand, bool) {
	out := operand{column: column{Type: line.Float, Valid: bothValid(l.Valid, r.Valid, n)}}
	if l.Type == line.Integer && r.Type == line.Integer && op != influxql.DIV {
		out.Type = line.Integer
		out.Integers = operate(op, l.Integers, r.Integers, n)
		return out, out.Integers != nil
	}
	var scratchL, scratchR column
	l, r = castColumn(l, line.Float, &scratchL), castColumn(r, line.Float, &scratchR)
	out.Floats = operate(op, l.Floats, r.Floats, n)
	return out, out.Floats != nil
}

// operate returns nil for operators that it does not know. Division by zero is zero.
func operate[T float64 | int64](op influxql.Token, a, b []T, n int) []T {
	out := make([]T, n)
	a, b = a[:n], b[:n]
	switch op {
	case influxql.ADD:
		for i := range out {
			out[i] = a[i] + b[i]
		}
	case influxql.SUB:
		for i := range out {
			out[i] = a[i] - b[i]
		}
	case influxql.MUL:
		for i := range out {
			out[i] = a[i] * b[i]
		}
	case influxql.DIV:
		for i := range out {
			if b[i] != 0 {
				out[i] = a[i] / b[i]
			}
		}
	default:
		return nil
	}
	return out
}

func bothValid(a, b []bool, n int) []bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := make([]bool, n)
	for i := range out {
		out[i] = a[i] && b[i]
	}
	return out
}
