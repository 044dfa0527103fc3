package query

import (
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// isTagRef reports whether a condition's reference can only be a tag: what is no field anywhere is looked for among the tags.
func isTagRef(ref *influxql.VarRef) bool {
	return ref.Type == influxql.Tag || ref.Type == influxql.Unknown
}

// tagComparison returns the matcher that e is, when it compares a tag with text or a regular expression.
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
		if e.Op == influxql.NEQ {
			m.Op = store.MatchNotEqual
		}
		return m, e.Op == influxql.EQ || e.Op == influxql.NEQ
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
