package query

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// compiler checks one SELECT, without looking at data, and rewrites it in place for planning. The rules and the texts of
// its errors are InfluxDB 1.8's.
type compiler struct {
	now       time.Time
	condition influxql.Expr // without time
	time      influxql.TimeRange
	every     time.Duration // of GROUP BY time(), or inherited
	inherited bool
	fill      influxql.FillOption
	limit     int
	ascending bool
	timeAlias string

	fields        int
	calls         int
	onlySelectors bool
	distinct      bool
	hasRefs       bool // fields or tags are selected beside functions
	topBottom     string
	extraWindows  int // how many intervals before the range functions look at
}

// compile checks s and all its subqueries.
func compile(s *influxql.SelectStatement, now time.Time) (*compiler, error) {
	c := &compiler{now: now, onlySelectors: true, timeAlias: "time"}
	if err := c.preprocess(s); err != nil {
		return nil, err
	}
	if err := c.compile(s); err != nil {
		return nil, err
	}
	s.TimeAlias = c.timeAlias
	s.Condition = c.condition
	s.RewriteDistinct()
	s.RewriteTimeFields()
	s.TimeAlias = c.timeAlias
	s.RewriteRegexConditions()
	return c, nil
}

// preprocess reads what holds for the statement as a whole.
func (c *compiler) preprocess(s *influxql.SelectStatement) error {
	if s.Target != nil {
		return errors.New("not implemented: SELECT INTO")
	}
	c.ascending = s.TimeAscending()
	c.limit = s.Limit
	c.fill = s.Fill
	cond, tr, err := influxql.ConditionExpr(s.Condition, &influxql.NowValuer{Now: c.now, Location: s.Location})
	if err != nil {
		return err
	}
	if err := checkCondition(cond); err != nil {
		return err
	}
	c.condition, c.time = cond, tr
	if err := c.dimensions(s); err != nil {
		return err
	}
	if c.time.Min.IsZero() {
		c.time.Min = time.Unix(0, influxql.MinTime).UTC()
	}
	if c.time.Max.IsZero() {
		c.time.Max = time.Unix(0, influxql.MaxTime).UTC()
		if c.every != 0 {
			c.time.Max = c.now // windows must end somewhere
		}
	}
	return nil
}

func (c *compiler) compile(s *influxql.SelectStatement) error {
	for _, f := range s.Fields {
		if ref, ok := f.Expr.(*influxql.VarRef); ok && ref.Val == "time" {
			if f.Alias != "" {
				c.timeAlias = f.Alias
			}
			continue
		}
		f.Expr = influxql.Reduce(f.Expr, mathValuer{})
		c.fields++
		fc := fieldCompiler{c, true}
		if err := fc.expr(f.Expr); err != nil {
			return err
		}
	}
	if err := c.checkFields(); err != nil {
		return err
	}
	for _, source := range s.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			sub.Statement.OmitTime = true
			if err := c.subquery(sub.Statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// subquery checks a statement whose result c's statement reads.
func (c *compiler) subquery(s *influxql.SelectStatement) error {
	sub := &compiler{now: c.now, onlySelectors: true, timeAlias: "time"}
	if err := sub.preprocess(s); err != nil {
		return err
	}
	s.Condition = influxql.Reduce(s.Condition, influxql.MultiValuer(
		&influxql.NowValuer{Now: c.now, Location: s.Location}, mathValuer{}))
	if len(s.SortFields) != 0 && sub.ascending != c.ascending {
		return errors.New("subqueries must be ordered in the same direction as the query itself")
	}
	sub.ascending = c.ascending
	sub.time = sub.time.Intersect(c.time)
	if sub.every != 0 && sub.fill == influxql.NullFill {
		sub.fill = influxql.NoFill
	}
	if c.every != 0 && sub.every == 0 {
		sub.every, sub.inherited = c.every, true
	}
	if err := sub.compile(s); err != nil {
		return err
	}
	s.RewriteDistinct()
	s.RewriteTimeFields()
	return nil
}

// dimensions reads GROUP BY.
func (c *compiler) dimensions(s *influxql.SelectStatement) error {
	for _, d := range s.Dimensions {
		expr := influxql.Reduce(d.Expr, nil)
		switch e := expr.(type) {
		case *influxql.VarRef:
			if strings.EqualFold(e.Val, "time") {
				return errors.New("time() is a function and expects at least one argument")
			}
		case *influxql.Call:
			if err := c.timeDimension(s, e); err != nil {
				return err
			}
		case *influxql.Wildcard, *influxql.RegexLiteral:
		default:
			return errors.New("only time and tag dimensions allowed")
		}
		d.Expr = expr
	}
	return nil
}

// timeDimension reads time(interval[, offset]) and writes the offset that it means back as a duration.
func (c *compiler) timeDimension(s *influxql.SelectStatement, e *influxql.Call) error {
	if e.Name != "time" {
		return errors.New("only time() calls allowed in dimensions")
	}
	if n := len(e.Args); n < 1 || n > 2 {
		return errors.New("time dimension expected 1 or 2 arguments")
	}
	lit, ok := e.Args[0].(*influxql.DurationLiteral)
	if !ok {
		return errors.New("time dimension must have duration argument")
	}
	if c.every != 0 {
		return errors.New("multiple time dimensions not allowed")
	}
	c.every = lit.Val
	if len(e.Args) == 1 || c.every <= 0 {
		return nil
	}
	past := func(t time.Time) *influxql.DurationLiteral {
		return &influxql.DurationLiteral{Val: t.Sub(t.Truncate(c.every))}
	}
	switch o := e.Args[1].(type) {
	case *influxql.DurationLiteral:
		return nil
	case *influxql.TimeLiteral:
		e.Args[1] = past(o.Val)
		return nil
	case *influxql.Call:
		if o.Name != "now" {
			return errors.New("time dimension offset function must be now()")
		} else if len(o.Args) != 0 {
			return errors.New("time dimension offset now() function requires no arguments")
		}
		e.Args[1] = past(c.now)
		return nil
	case *influxql.StringLiteral:
		if o.IsTimeLiteral() {
			t, err := o.ToTimeLiteral(s.Location)
			if err != nil {
				return err
			}
			e.Args[1] = past(t.Val)
			return nil
		}
	}
	return errors.New("time dimension offset must be duration or now()")
}

// checkFields checks that what is selected goes together.
func (c *compiler) checkFields() error {
	if c.fields == 0 {
		return errors.New("at least 1 non-time field must be queried")
	}
	switch {
	case c.calls > 1 && c.topBottom != "":
		return fmt.Errorf("selector function %s() cannot be combined with other functions", c.topBottom)
	case c.calls == 0 && c.fill == influxql.NoFill:
		return errors.New("fill(none) must be used with a function")
	case c.calls == 0 && c.fill == influxql.LinearFill:
		return errors.New("fill(linear) must be used with a function")
	case c.calls == 0 && c.every != 0 && !c.inherited:
		return errors.New("GROUP BY requires at least one aggregate function")
	case c.distinct && (c.calls != 1 || c.hasRefs):
		return errors.New("aggregate function distinct() cannot be combined with other functions or fields")
	case c.hasRefs && !c.onlySelectors:
		return errors.New("mixing aggregate and non-aggregate queries is not supported")
	case c.hasRefs && c.calls > 1:
		return errors.New("mixing multiple selector functions with tags or fields is not supported")
	}
	return nil
}

// checkCondition refuses functions that have no meaning for one row.
func checkCondition(e influxql.Expr) error {
	switch e := e.(type) {
	case *influxql.BinaryExpr:
		if err := checkCondition(e.LHS); err != nil {
			return err
		}
		return checkCondition(e.RHS)
	case *influxql.Call:
		n, ok := mathFunctions[e.Name]
		if !ok {
			return fmt.Errorf("invalid function call in condition: %s", e)
		}
		if len(e.Args) != n {
			return fmt.Errorf("invalid number of arguments for %s, expected %d, got %d", e.Name, n, len(e.Args))
		}
		for _, a := range e.Args {
			if err := checkCondition(a); err != nil {
				return err
			}
		}
	}
	return nil
}
