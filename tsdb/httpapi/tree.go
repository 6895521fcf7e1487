package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

func (a *api) formatQuery(out *answer, r *http.Request) error {
	tree, err := a.parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return badParam("query", err)
	}
	return out.data(tree.Pretty(0))
}

func (a *api) parseQuery(out *answer, r *http.Request) error {
	tree, err := a.parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return badParam("query", err)
	}
	node, err := treeOf(tree)
	if err != nil {
		return err
	}
	return out.data(node)
}

// fields are those of a node of a parsed expression, as query builders read them.
type fields map[string]any

// leaf is a node with a value alone.
func leaf(kind string, value any) fields { return fields{"type": kind, "val": value} }

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// treeOf gives an expression the form of JSON.
func treeOf(e parser.Expr) (node any, err error) {
	sub := func(e parser.Expr) any {
		if e == nil || err != nil {
			return nil
		}
		var n any
		n, err = treeOf(e)
		return n
	}
	switch n := e.(type) {
	case *parser.NumberLiteral:
		node = leaf("numberLiteral", number(n.Val))
	case *parser.StringLiteral:
		node = leaf("stringLiteral", n.Val)
	case *parser.ParenExpr:
		node = fields{"type": "parenExpr", "expr": sub(n.Expr)}
	case *parser.UnaryExpr:
		node = fields{"type": "unaryExpr", "op": n.Op.String(), "expr": sub(n.Expr)}
	case *parser.BinaryExpr:
		node = fields{"type": "binaryExpr", "op": n.Op.String(), "lhs": sub(n.LHS), "rhs": sub(n.RHS), "bool": n.ReturnBool, "matching": matchingOf(n.VectorMatching)}
	case *parser.AggregateExpr:
		node = fields{"type": "aggregation", "op": n.Op.String(), "expr": sub(n.Expr), "param": sub(n.Param), "grouping": listOf(n.Grouping), "without": n.Without}
	case *parser.Call:
		args := make([]any, 0, len(n.Args))
		for _, arg := range n.Args {
			args = append(args, sub(arg))
		}
		node = fields{"type": "call", "args": args, "func": fields{
			"name": n.Func.Name, "argTypes": n.Func.ArgTypes, "variadic": n.Func.Variadic, "returnType": n.Func.ReturnType,
		}}
	case *parser.VectorSelector:
		node = selectorOf(n)
	case *parser.MatrixSelector:
		selector, is := n.VectorSelector.(*parser.VectorSelector)
		if !is {
			return nil, fmt.Errorf("the range of a %T has no form in JSON", n.VectorSelector)
		}
		f := selectorOf(selector)
		f["type"], f["range"], f["rangeExpr"] = "matrixSelector", n.Range.Milliseconds(), durationOf(n.RangeExpr)
		node = f
	case *parser.SubqueryExpr:
		node = fields{
			"type": "subquery", "expr": sub(n.Expr), "timestamp": n.Timestamp, "startOrEnd": endOf(n.StartOrEnd),
			"range": n.Range.Milliseconds(), "offset": n.OriginalOffset.Milliseconds(), "step": n.Step.Milliseconds(),
			"rangeExpr": durationOf(n.RangeExpr), "offsetExpr": durationOf(n.OriginalOffsetExpr), "stepExpr": durationOf(n.StepExpr),
		}
	case *parser.DurationExpr:
		node = durationOf(n)
	default:
		return nil, fmt.Errorf("an expression of type %T has no form in JSON", e)
	}
	return node, err
}

func selectorOf(n *parser.VectorSelector) fields {
	return fields{
		"type": "vectorSelector", "name": n.Name, "matchers": matchersOf(n.LabelMatchers), "timestamp": n.Timestamp, "startOrEnd": endOf(n.StartOrEnd),
		"offset": n.OriginalOffset.Milliseconds(), "offsetExpr": durationOf(n.OriginalOffsetExpr), "anchored": n.Anchored, "smoothed": n.Smoothed,
	}
}

func matchersOf(matchers []*labels.Matcher) []map[string]string {
	list := make([]map[string]string, 0, len(matchers))
	for _, m := range matchers {
		list = append(list, map[string]string{"name": m.Name, "type": m.Type.String(), "value": m.Value})
	}
	return list
}

func matchingOf(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return fields{
		"card": m.Card.String(), "labels": listOf(m.MatchingLabels), "on": m.On, "include": listOf(m.Include),
		"fillValues": fields{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS},
	}
}

// durationOf gives a computed length of time its form; nil where it is a plain one.
func durationOf(e parser.Expr) any {
	switch n := e.(type) {
	case *parser.DurationExpr:
		if n != nil {
			return fields{"type": "durationExpr", "op": n.Op.String(), "lhs": durationOf(n.LHS), "rhs": durationOf(n.RHS), "wrapped": n.Wrapped}
		}
	case *parser.NumberLiteral:
		if n != nil {
			f := leaf("numberLiteral", number(n.Val))
			f["duration"] = n.Duration
			return f
		}
	}
	return nil
}

// endOf is the function after @, nil without one.
func endOf(item parser.ItemType) any {
	if item == 0 {
		return nil
	}
	return item.String()
}

// listOf is never null in JSON.
func listOf(names []string) []string { return append([]string{}, names...) }
