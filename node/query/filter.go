package query

import (
	"regexp"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/influxdata/influxql"
)

// rowFilter asks a condition of the rows of a batch.
type rowFilter struct {
	expr influxql.Expr
	// refs are the values it looks at; filter's columns are in their order.
	refs []influxql.VarRef
	// null is how a missing value looks to the evaluator: as a typed nil it equals nothing, as a plain nil it equals false.
	null any

	values influxql.MapValuer
	eval   influxql.ValuerEval
	masks  [][]bool
}

// noValue is a missing value of a stored row: it compares with nothing.
var noValue any = (*float64)(nil)

func newRowFilter(e influxql.Expr, null any) *rowFilter {
	f := &rowFilter{expr: e, null: null, values: influxql.MapValuer{}}
	influxql.WalkFunc(e, func(n influxql.Node) {
		if ref, ok := n.(*influxql.VarRef); ok && f.at(ref) < 0 {
			f.refs = append(f.refs, *ref)
		}
	})
	f.eval = influxql.ValuerEval{Valuer: influxql.MultiValuer(mathValuer{}, f.values)}
	return f
}

// at returns the place of a reference among refs, -1 when it is not there.
func (f *rowFilter) at(ref *influxql.VarRef) int {
	for i := range f.refs {
		if f.refs[i] == *ref {
			return i
		}
	}
	return -1
}

// rows appends the numbers of the rows, of n, that satisfy the condition.
func (f *rowFilter) rows(dst []int, cols []*column, n int) []int {
	mask := f.mask(f.expr, cols, n, 0)
	for i, ok := range mask {
		if ok {
			dst = append(dst, i)
		}
	}
	return dst
}

// mask answers e for each row. depth numbers the masks in use.
func (f *rowFilter) mask(e influxql.Expr, cols []*column, n, depth int) []bool {
	for len(f.masks) <= depth {
		f.masks = append(f.masks, nil)
	}
	out := f.masks[depth]
	if cap(out) < n {
		out = make([]bool, n)
		f.masks[depth] = out
	}
	out = out[:n]
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return f.mask(e.Expr, cols, n, depth)
	case *influxql.BinaryExpr:
		if e.Op == influxql.AND || e.Op == influxql.OR {
			l := f.mask(e.LHS, cols, n, depth)
			r := f.mask(e.RHS, cols, n, depth+1)
			for i := range l {
				if e.Op == influxql.AND {
					l[i] = l[i] && r[i]
				} else {
					l[i] = l[i] || r[i]
				}
			}
			return l
		}
		if f.compare(e, cols, out) {
			return out
		}
	}
	for i := range out {
		for c, ref := range f.refs {
			v := cell(cols[c], i)
			if v == nil {
				v = f.null
			}
			f.values[ref.Val] = v
		}
		out[i] = f.eval.EvalBool(e)
	}
	return out
}

// flipped are the comparisons seen from the other side.
var flipped = map[influxql.Token]influxql.Token{
	influxql.EQ: influxql.EQ, influxql.NEQ: influxql.NEQ, influxql.LT: influxql.GT, influxql.GT: influxql.LT,
	influxql.LTE: influxql.GTE, influxql.GTE: influxql.LTE,
}

// compare answers a comparison of a column with a literal a column at a time. It returns false for what it does not know.
func (f *rowFilter) compare(e *influxql.BinaryExpr, cols []*column, out []bool) bool {
	op, lit := e.Op, e.RHS
	ref, ok := e.LHS.(*influxql.VarRef)
	if !ok {
		if ref, ok = e.RHS.(*influxql.VarRef); !ok {
			return false
		}
		if op, ok = flipped[op]; !ok {
			return false
		}
		lit = e.LHS
	}
	col := cols[f.at(ref)]
	switch v := lit.(type) {
	case *influxql.NumberLiteral:
		if col.Type == line.Float {
			return compareColumn(out, col.Floats, op, v.Val, col.Valid)
		}
	case *influxql.IntegerLiteral:
		switch col.Type {
		case line.Float:
			return compareColumn(out, col.Floats, op, float64(v.Val), col.Valid)
		case line.Integer:
			return compareColumn(out, col.Integers, op, v.Val, col.Valid)
		}
	case *influxql.StringLiteral:
		if col.Type == line.String && (op == influxql.EQ || op == influxql.NEQ) {
			return compareColumn(out, col.Strings, op, v.Val, col.Valid)
		}
	case *influxql.RegexLiteral:
		if col.Type == line.String && (op == influxql.EQREGEX || op == influxql.NEQREGEX) {
			return matchColumn(out, col, v.Val, op == influxql.EQREGEX)
		}
	}
	return false
}

func compareColumn[T float64 | int64 | string](out []bool, values []T, op influxql.Token, lit T, valid []bool) bool {
	switch op {
	case influxql.EQ:
		for i, v := range values {
			out[i] = v == lit
		}
	case influxql.NEQ:
		for i, v := range values {
			out[i] = v != lit
		}
	case influxql.LT:
		for i, v := range values {
			out[i] = v < lit
		}
	case influxql.LTE:
		for i, v := range values {
			out[i] = v <= lit
		}
	case influxql.GT:
		for i, v := range values {
			out[i] = v > lit
		}
	case influxql.GTE:
		for i, v := range values {
			out[i] = v >= lit
		}
	default:
		return false
	}
	for i, ok := range valid {
		out[i] = out[i] && ok
	}
	return true
}

func matchColumn(out []bool, col *column, re *regexp.Regexp, want bool) bool {
	for i, v := range col.Strings {
		out[i] = col.Has(i) && re.MatchString(v) == want
	}
	return true
}
