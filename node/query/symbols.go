package query

import (
	"strconv"

	"github.com/influxdata/influxql"
)

// symbols collects the functions and references of a plan's fields. While it does, symbols are named by their text.
type symbols struct {
	*plan
	byText map[string]int // the place in order
	order  []symbol
}

type symbol struct {
	call *call
	aux  int // an input, when call is nil
}

// add adds a field, and for top and bottom the tags they name as more fields.
func (b *symbols) add(f *influxql.Field) error {
	if err := b.field(f.Name(), f.Expr); err != nil {
		return err
	}
	c, ok := f.Expr.(*influxql.Call)
	if !ok || (c.Name != "top" && c.Name != "bottom") {
		return nil
	}
	for _, a := range c.Args[1 : len(c.Args)-1] {
		if err := b.field(a.(*influxql.VarRef).Val, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *symbols) field(name string, e influxql.Expr) error {
	types := influxql.TypeValuerEval{TypeMapper: typeMapper{}}
	typ, err := types.EvalType(e)
	if err != nil {
		return err
	}
	expr, err := b.rewrite(e)
	if err != nil {
		return err
	}
	b.fields = append(b.fields, field{name: name, expr: expr, symbol: -1, typ: typ})
	return nil
}

// rewrite replaces functions and references by references to symbols.
func (b *symbols) rewrite(e influxql.Expr) (influxql.Expr, error) {
	var err error
	switch e := e.(type) {
	case *influxql.BinaryExpr:
		out := &influxql.BinaryExpr{Op: e.Op}
		if out.LHS, err = b.rewrite(e.LHS); err != nil {
			return nil, err
		}
		out.RHS, err = b.rewrite(e.RHS)
		return out, err
	case *influxql.ParenExpr:
		inner, err := b.rewrite(e.Expr)
		return &influxql.ParenExpr{Expr: inner}, err
	case *influxql.Call:
		if _, ok := mathFunctions[e.Name]; !ok {
			return b.symbol(e)
		}
		out := &influxql.Call{Name: e.Name, Args: make([]influxql.Expr, len(e.Args))}
		for i, a := range e.Args {
			if out.Args[i], err = b.rewrite(a); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *influxql.VarRef:
		return b.symbol(e)
	}
	return e, nil
}

func (b *symbols) symbol(e influxql.Expr) (influxql.Expr, error) {
	text := e.String()
	i, ok := b.byText[text]
	if !ok {
		s := symbol{}
		switch e := e.(type) {
		case *influxql.Call:
			c, err := b.newCall(e, b.win.start, b.win.end)
			if err != nil {
				return nil, err
			}
			s.call = c
		case *influxql.VarRef:
			s.aux = b.input(*e, false)
		}
		i = len(b.order)
		b.byText[text] = i
		b.order = append(b.order, s)
	}
	return &influxql.VarRef{Val: strconv.Itoa(i)}, nil
}

// number gives the symbols their final places: functions first.
func (b *symbols) number() {
	place := make([]int, len(b.order))
	for i, s := range b.order {
		if s.call != nil {
			place[i] = len(b.calls)
			b.calls = append(b.calls, s.call)
		}
	}
	for i, s := range b.order {
		if s.call == nil {
			place[i] = len(b.calls) + len(b.aux)
			b.aux = append(b.aux, s.aux)
		}
	}
	for i := range b.fields {
		influxql.WalkFunc(b.fields[i].expr, func(n influxql.Node) {
			if ref, ok := n.(*influxql.VarRef); ok {
				was, _ := strconv.Atoi(ref.Val)
				ref.Val = strconv.Itoa(place[was])
			}
		})
		if ref, ok := b.fields[i].expr.(*influxql.VarRef); ok {
			b.fields[i].symbol, _ = strconv.Atoi(ref.Val)
		}
	}
}
