package fast

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// compiler walks from the outside of an expression to its selector.
type compiler struct {
	plan   *Plan
	window time.Duration // the range of the function
}

// stage makes of rows other rows, which it gives to the next sink.
type stage func(next sink, e *evaluation) sink

// expr takes apart an expression, and says why where it is none of ours.
func (c *compiler) expr(e parser.Expr) string {
	switch n := e.(type) {
	case *parser.ParenExpr:
		return c.expr(n.Expr)
	case *parser.UnaryExpr:
		if n.Op == parser.SUB {
			c.add(func(next sink, _ *evaluation) sink { return &negation{next} })
		}
		return c.inside(n.Expr, n.Op == parser.SUB)
	case *parser.BinaryExpr:
		return c.binary(n)
	case *parser.AggregateExpr:
		return c.aggregate(n)
	case *parser.Call:
		return c.call(n)
	case *parser.VectorSelector:
		c.plan.selector = n
		return ""
	}
	return "a " + parser.DocumentedType(e.Type()) + " that is no selector, function of a range, aggregation or operator with a constant"
}

// inside goes on within an operator that drops names of metrics, or does not.
func (c *compiler) inside(e parser.Expr, drops bool) string {
	why := c.expr(e)
	c.plan.drop = c.plan.drop || drops
	return why
}

// add puts a stage in front of those that were met further out.
func (c *compiler) add(s stage) { c.plan.stages = append([]stage{s}, c.plan.stages...) }

// hint notes the function that upstream tells the storage, which is the innermost one.
func (c *compiler) hint(name string, by bool, grouping []string) {
	c.plan.hints.Func, c.plan.hints.By, c.plan.hints.Grouping = name, by, grouping
}

// number is the value of a constant.
func number(e parser.Expr) (float64, bool) {
	for {
		paren, is := e.(*parser.ParenExpr)
		if !is {
			break
		}
		e = paren.Expr
	}
	n, is := e.(*parser.NumberLiteral)
	if !is {
		return 0, false
	}
	return n.Val, true
}

func (c *compiler) binary(n *parser.BinaryExpr) string {
	left, onLeft := number(n.LHS)
	right, onRight := number(n.RHS)
	if onLeft == onRight {
		return "an operator between two vectors, or without one"
	}
	o := operation{op: n.Op, by: right, asBool: n.ReturnBool}
	inner := n.LHS
	before := c.plan.held
	if onLeft {
		o.by, o.swapped, inner = left, true, n.RHS
		c.plan.held += c.plan.steps // upstream evaluates what is on the left first
	}
	change, known := o.change()
	if !known {
		return "the operator " + n.Op.String()
	}
	c.add(func(next sink, e *evaluation) sink {
		return newMapping(next, e, change, before, !onLeft)
	})
	c.hint("", false, nil)
	return c.inside(inner, !n.Op.IsComparisonOperator() || n.ReturnBool)
}

func (c *compiler) aggregate(n *parser.AggregateExpr) string {
	before, param := c.plan.held, 0.0
	if n.Param != nil {
		var is bool
		if param, is = number(n.Param); !is {
			return "an aggregation whose parameter is no constant"
		}
		c.plan.held += c.plan.steps
	}
	if why := checkAggregation(n.Op, param); why != "" {
		return why
	}
	g := newGrouping(n.Grouping, n.Without)
	c.add(func(next sink, e *evaluation) sink { return newAggregation(next, e, n.Op, param, g, before) })
	c.hint(n.Op.String(), false, nil)
	if _, bare := n.Expr.(*parser.VectorSelector); bare {
		c.hint(n.Op.String(), !n.Without, n.Grouping)
	}
	return c.expr(n.Expr)
}

// call takes a function of one range and, maybe, of constants.
func (c *compiler) call(n *parser.Call) string {
	f, known := functions[n.Func.Name]
	if !known {
		return "the function " + n.Func.Name
	}
	var window *parser.MatrixSelector
	f.call = n
	for _, arg := range n.Args {
		if v, is := number(arg); is {
			f.constants = append(f.constants, v)
			c.plan.held += c.plan.steps
			continue
		}
		selector, is := arg.(*parser.MatrixSelector)
		if !is || window != nil {
			return n.Func.Name + " of other than one selector and constants"
		}
		window = selector
	}
	if window == nil {
		return n.Func.Name + " of no selector"
	}
	c.plan.selector, c.window = window.VectorSelector.(*parser.VectorSelector), window.Range
	f.perSecond = window.Range.Seconds()
	f.position = n.Args[0].PositionRange()
	c.plan.function, c.plan.drop = &f, !f.keepsName
	c.hint(n.Func.Name, false, nil)
	return ""
}
