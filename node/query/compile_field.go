package query

import (
	"errors"
	"fmt"

	"github.com/influxdata/influxql"
)

// fieldCompiler checks the expression of one selected field.
type fieldCompiler struct {
	*compiler
	wildcard bool // a wildcard may stand here
}

func (c *fieldCompiler) expr(e influxql.Expr) error {
	switch e := e.(type) {
	case *influxql.VarRef:
		c.hasRefs = true
		return nil
	case *influxql.Wildcard:
		c.hasRefs = true
		if !c.wildcard {
			return errors.New("unable to use wildcard in a binary expression")
		}
		return nil
	case *influxql.RegexLiteral:
		if !c.wildcard {
			return errors.New("unable to use regex in a binary expression")
		}
		c.hasRefs = true
		return nil
	case *influxql.Call:
		return c.call(e)
	case *influxql.Distinct:
		c.calls++
		return c.distinctCall(e.NewCall().Args, false)
	case *influxql.BinaryExpr:
		return c.binary(e)
	case *influxql.ParenExpr:
		return c.expr(e.Expr)
	case influxql.Literal:
		return errors.New("field must contain at least one variable")
	}
	return errors.New("unimplemented")
}

func (c *fieldCompiler) binary(e *influxql.BinaryExpr) error {
	c.wildcard = false
	_, left := e.LHS.(influxql.Literal)
	_, right := e.RHS.(influxql.Literal)
	switch {
	case left && right:
		return errors.New("cannot perform a binary expression on two literals")
	case left:
		return c.expr(e.RHS)
	case right:
		return c.expr(e.LHS)
	}
	if err := c.expr(e.LHS); err != nil {
		return err
	}
	return c.expr(e.RHS)
}

// nested checks the function that another works on.
func (c *fieldCompiler) nested(e *influxql.Call) error {
	if e.Name == "distinct" {
		return c.distinctCall(e.Args, true)
	}
	return c.expr(e)
}

// symbol checks that what a function works on is a field.
func (c *fieldCompiler) symbol(name string, e influxql.Expr) error {
	switch e.(type) {
	case *influxql.VarRef:
		return nil
	case *influxql.Wildcard:
		if !c.wildcard {
			return fmt.Errorf("unsupported expression with wildcard: %s()", name)
		}
		c.onlySelectors = false
		return nil
	case *influxql.RegexLiteral:
		if !c.wildcard {
			return fmt.Errorf("unsupported expression with regex field: %s()", name)
		}
		c.onlySelectors = false
		return nil
	}
	return fmt.Errorf("expected field argument in %s()", name)
}

func (c *fieldCompiler) call(e *influxql.Call) error {
	if n, ok := mathFunctions[e.Name]; ok {
		return c.math(e, n)
	}
	c.calls++
	switch e.Name {
	case "percentile":
		return c.percentile(e.Args)
	case "distinct":
		return c.distinctCall(e.Args, false)
	case "top", "bottom":
		return c.topBottomCall(e)
	case "derivative", "non_negative_derivative", "elapsed":
		if err := checkUnit(e); err != nil {
			return err
		}
		return c.transform(e, 1)
	case "difference", "non_negative_difference", "cumulative_sum":
		if n := len(e.Args); n != 1 {
			return fmt.Errorf("invalid number of arguments for %s, expected 1, got %d", e.Name, n)
		}
		return c.transform(e, 1)
	case "moving_average":
		return c.movingAverage(e)
	case "integral":
		return c.integral(e)
	}
	return c.aggregate(e)
}

func (c *fieldCompiler) math(e *influxql.Call, n int) error {
	if len(e.Args) != n {
		return fmt.Errorf("invalid number of arguments for %s, expected %d, got %d", e.Name, n, len(e.Args))
	}
	for _, a := range e.Args {
		if _, ok := a.(influxql.Literal); ok {
			continue
		}
		if err := c.expr(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *fieldCompiler) aggregate(e *influxql.Call) error {
	switch e.Name {
	case "max", "min", "first", "last":
	case "count", "sum", "mean", "median", "mode", "stddev", "spread":
		c.onlySelectors = false
	case "sample", "holt_winters", "holt_winters_with_fit", "exponential_moving_average", "double_exponential_moving_average",
		"triple_exponential_moving_average", "relative_strength_index", "triple_exponential_derivative",
		"kaufmans_efficiency_ratio", "kaufmans_adaptive_moving_average", "chande_momentum_oscillator":
		return fmt.Errorf("not implemented: function %s()", e.Name)
	default:
		return fmt.Errorf("undefined function %s()", e.Name)
	}
	if n := len(e.Args); n != 1 {
		return fmt.Errorf("invalid number of arguments for %s, expected 1, got %d", e.Name, n)
	}
	if e.Name == "count" {
		switch a := e.Args[0].(type) {
		case *influxql.Call:
			if a.Name == "distinct" {
				return c.distinctCall(a.Args, true)
			}
		case *influxql.Distinct:
			return c.distinctCall(a.NewCall().Args, true)
		}
	}
	return c.symbol(e.Name, e.Args[0])
}

func (c *fieldCompiler) percentile(args []influxql.Expr) error {
	if n := len(args); n != 2 {
		return fmt.Errorf("invalid number of arguments for percentile, expected 2, got %d", n)
	}
	switch args[1].(type) {
	case *influxql.IntegerLiteral, *influxql.NumberLiteral:
		return c.symbol("percentile", args[0])
	}
	return errors.New("expected float argument in percentile()")
}

// checkUnit checks the optional second argument, a duration.
func checkUnit(e *influxql.Call) error {
	n := len(e.Args)
	if n < 1 || n > 2 {
		return fmt.Errorf("invalid number of arguments for %s, expected at least 1 but no more than 2, got %d", e.Name, n)
	}
	if n == 1 {
		return nil
	}
	d, ok := e.Args[1].(*influxql.DurationLiteral)
	if !ok {
		return fmt.Errorf("second argument to %s must be a duration, got %T", e.Name, e.Args[1])
	}
	if d.Val <= 0 {
		return fmt.Errorf("duration argument must be positive, got %s", influxql.FormatDuration(d.Val))
	}
	return nil
}

// transform checks a function over consecutive values: of a field, or of another function's results.
func (c *fieldCompiler) transform(e *influxql.Call, extraWindows int) error {
	c.onlySelectors = false
	c.extraWindows = max(c.extraWindows, extraWindows)
	if inner, ok := e.Args[0].(*influxql.Call); ok {
		if c.every == 0 {
			return fmt.Errorf("%s aggregate requires a GROUP BY interval", e.Name)
		}
		return c.nested(inner)
	}
	if c.every != 0 && !c.inherited {
		return fmt.Errorf("aggregate function required inside the call to %s", e.Name)
	}
	return c.symbol(e.Name, e.Args[0])
}

// maxMovingAverage bounds the memory that one series of a moving average takes.
const maxMovingAverage = 1_000_000

func (c *fieldCompiler) movingAverage(e *influxql.Call) error {
	if n := len(e.Args); n != 2 {
		return fmt.Errorf("invalid number of arguments for moving_average, expected 2, got %d", n)
	}
	n, ok := e.Args[1].(*influxql.IntegerLiteral)
	if !ok {
		return fmt.Errorf("second argument for moving_average must be an integer, got %T", e.Args[1])
	}
	if n.Val <= 1 {
		return fmt.Errorf("moving_average window must be greater than 1, got %d", n.Val)
	}
	if n.Val > maxMovingAverage {
		return fmt.Errorf("moving_average window must not be greater than %d, got %d", maxMovingAverage, n.Val)
	}
	return c.transform(e, int(n.Val))
}

func (c *fieldCompiler) integral(e *influxql.Call) error {
	n := len(e.Args)
	if n < 1 || n > 2 {
		return fmt.Errorf("invalid number of arguments for integral, expected at least 1 but no more than 2, got %d", n)
	}
	if n == 2 {
		d, ok := e.Args[1].(*influxql.DurationLiteral)
		if !ok {
			return errors.New("second argument must be a duration")
		}
		if d.Val <= 0 {
			return fmt.Errorf("duration argument must be positive, got %s", influxql.FormatDuration(d.Val))
		}
	}
	c.onlySelectors = false
	return c.symbol("integral", e.Args[0])
}

func (c *fieldCompiler) distinctCall(args []influxql.Expr, nested bool) error {
	if len(args) == 0 {
		return errors.New("distinct function requires at least one argument")
	} else if len(args) != 1 {
		return errors.New("distinct function can only have one argument")
	}
	if _, ok := args[0].(*influxql.VarRef); !ok {
		return errors.New("expected field argument in distinct()")
	}
	if !nested {
		c.distinct = true
	}
	c.onlySelectors = false
	return nil
}

func (c *fieldCompiler) topBottomCall(e *influxql.Call) error {
	if c.topBottom != "" {
		return fmt.Errorf("selector function %s() cannot be combined with other functions", c.topBottom)
	}
	if n := len(e.Args); n < 2 {
		return fmt.Errorf("invalid number of arguments for %s, expected at least 2, got %d", e.Name, n)
	}
	last := e.Args[len(e.Args)-1]
	n, ok := last.(*influxql.IntegerLiteral)
	if !ok {
		return fmt.Errorf("expected integer as last argument in %s(), found %s", e.Name, last)
	} else if n.Val <= 0 {
		return fmt.Errorf("limit (%d) in %s function must be at least 1", n.Val, e.Name)
	} else if c.limit > 0 && n.Val > int64(c.limit) {
		return fmt.Errorf("limit (%d) in %s function can not be larger than the LIMIT (%d) in the select statement", n.Val, e.Name, c.limit)
	}
	if _, ok := e.Args[0].(*influxql.VarRef); !ok {
		return fmt.Errorf("expected first argument to be a field in %s(), found %s", e.Name, e.Args[0])
	}
	for _, a := range e.Args[1 : len(e.Args)-1] {
		if _, ok := a.(*influxql.VarRef); !ok {
			return fmt.Errorf("only fields or tags are allowed in %s(), found %s", e.Name, a)
		}
		c.fields++
		c.hasRefs = true
	}
	c.topBottom = e.Name
	return nil
}
