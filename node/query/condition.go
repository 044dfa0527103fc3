package query

import (
	"regexp"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// isTagRef reports whether a condition's reference can only be a tag: what is no field anywhere is looked for among the tags.
func isTagRef(ref *influxql.VarRef) bool {
	return ref.Type == influxql.Tag || ref.Type == influxql.Unknown
}

// tagComparison returns the matcher that e is, when it compares a tag with text or a regular expression. As in InfluxDB,
// any comparison with text but = is !=.
func tagComparison(e *influxql.BinaryExpr) (store.TagMatcher, bool) {
	ref, ok := e.LHS.(*influxql.VarRef)
	value := e.RHS
	if !ok {
		if ref, ok = e.RHS.(*influxql.VarRef); !ok {
			return store.TagMatcher{}, false
		}
		value = e.LHS
	}
	if !isTagRef(ref) {
		return store.TagMatcher{}, false
	}
	m := store.TagMatcher{Key: ref.Val}
	switch v := value.(type) {
	case *influxql.StringLiteral:
		m.Value = v.Val
		if e.Op != influxql.EQ {
			m.Op = store.MatchNotEqual
		}
		return m, true
	case *influxql.RegexLiteral:
		m.Regexp, m.Op = v.Val, store.MatchRegex
		if e.Op == influxql.NEQREGEX {
			m.Op = store.MatchNotRegex
		}
		return m, true
	}
	return m, false
}

// matches reports whether a tag value satisfies m.
func matches(m *store.TagMatcher, value string) bool {
	switch m.Op {
	case store.MatchEqual:
		return value == m.Value
	case store.MatchNotEqual:
		return value != m.Value
	case store.MatchRegex:
		return m.Regexp.MatchString(value)
	}
	return !m.Regexp.MatchString(value)
}

// splitCondition takes off e what the index can answer: tag comparisons that are joined by AND at the top. rest is nil when
// nothing is left.
func splitCondition(e influxql.Expr) (match []store.TagMatcher, rest influxql.Expr) {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return splitCondition(e.Expr)
	case *influxql.BinaryExpr:
		if e.Op == influxql.AND {
			lm, lrest := splitCondition(e.LHS)
			rm, rrest := splitCondition(e.RHS)
			return append(lm, rm...), and(lrest, rrest)
		}
		if m, ok := tagComparison(e); ok {
			return []store.TagMatcher{m}, nil
		}
	}
	return nil, e
}

func and(a, b influxql.Expr) influxql.Expr {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &influxql.BinaryExpr{Op: influxql.AND, LHS: a, RHS: b}
}

// reducer decides the tag comparisons of a condition for one series after the other.
type reducer struct {
	expr influxql.Expr
	// byTags has what expr came to for each combination of the values of the tags in it.
	keys   *tagsets
	byTags map[*tagset]influxql.Expr
}

// never is the condition of a series that can have no rows.
var never influxql.Expr = &influxql.BooleanLiteral{Val: false}

func newReducer(e influxql.Expr) *reducer {
	if e == nil {
		return nil
	}
	seen := map[string]bool{}
	var keys []string
	influxql.WalkFunc(e, func(n influxql.Node) {
		if ref, ok := n.(*influxql.VarRef); ok && isTagRef(ref) && !seen[ref.Val] {
			seen[ref.Val] = true
			keys = append(keys, ref.Val)
		}
	})
	return &reducer{expr: e, keys: newTagsets(keys), byTags: map[*tagset]influxql.Expr{}}
}

// of returns what remains to be asked of each row of s: nil when all rows satisfy the condition, never when none does.
func (r *reducer) of(s *store.Series) influxql.Expr {
	if r == nil {
		return nil
	}
	t := r.keys.of(s.Tag)
	e, ok := r.byTags[t]
	if !ok {
		e = reduceTags(r.expr, s)
		if b, ok := e.(*influxql.BooleanLiteral); ok {
			if e = never; b.Val {
				e = nil
			}
		}
		r.byTags[t] = e
	}
	return e
}

// reduceTags replaces what the tags of s decide by true and false.
func reduceTags(e influxql.Expr, s *store.Series) influxql.Expr {
	switch e := e.(type) {
	case *influxql.ParenExpr:
		return reduceTags(e.Expr, s)
	case *influxql.BinaryExpr:
		if e.Op == influxql.AND || e.Op == influxql.OR {
			return reduceLogic(e.Op, reduceTags(e.LHS, s), reduceTags(e.RHS, s))
		}
		if m, ok := tagComparison(e); ok {
			return &influxql.BooleanLiteral{Val: matches(&m, s.Tag(m.Key))}
		}
		return tagsAsText(e, s)
	}
	return e
}

func reduceLogic(op influxql.Token, l, r influxql.Expr) influxql.Expr {
	for _, side := range [2][2]influxql.Expr{{l, r}, {r, l}} {
		if b, ok := side[0].(*influxql.BooleanLiteral); ok {
			if b.Val == (op == influxql.OR) {
				return b
			}
			return side[1]
		}
	}
	return &influxql.BinaryExpr{Op: op, LHS: l, RHS: r}
}

// tagsAsText puts the values of tags in the place of their names, where a condition compares them with something else.
func tagsAsText(e *influxql.BinaryExpr, s *store.Series) influxql.Expr {
	return influxql.RewriteExpr(influxql.CloneExpr(e), func(e influxql.Expr) influxql.Expr {
		if ref, ok := e.(*influxql.VarRef); ok && isTagRef(ref) {
			return &influxql.StringLiteral{Val: s.Tag(ref.Val)}
		}
		return e
	})
}

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
