package query

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// units are those that the name of a metric ends with, as OpenMetrics asks for.
var units = []string{"bytes", "seconds", "ratio", "percent", "celsius", "hertz", "watts", "volts", "joules", "amperes"}

// UnitOf is the unit of what an expression gives, as its text tells: that of the metric's name, per second ("bytes/s") under rate and
// the like. "timestamp" are seconds since 1970. It is empty where there is none, or where it cannot be told.
func UnitOf(expr string) string {
	tree, err := parser.NewParser(ParserOptions()).ParseExpr(expr)
	if err != nil {
		return ""
	}
	return unitOf(tree)
}

func unitOf(node parser.Expr) string {
	switch e := node.(type) {
	case *parser.ParenExpr:
		return unitOf(e.Expr)
	case *parser.StepInvariantExpr:
		return unitOf(e.Expr)
	case *parser.UnaryExpr:
		return unitOf(e.Expr)
	case *parser.SubqueryExpr:
		return unitOf(e.Expr)
	case *parser.MatrixSelector:
		return unitOf(e.VectorSelector)
	case *parser.VectorSelector:
		return unitOfName(metricOf(e))
	case *parser.AggregateExpr:
		return unitOfAggregate(e)
	case *parser.Call:
		return unitOfCall(e)
	case *parser.BinaryExpr:
		return unitOfBinary(e)
	}
	return ""
}

func metricOf(e *parser.VectorSelector) string {
	for _, m := range e.LabelMatchers {
		if m.Name == nameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// unitOfName reads a name such as vm_disk_read_bytes_total. Buckets and counts of a histogram are numbers of things.
func unitOfName(name string) string {
	if strings.HasSuffix(name, "_bucket") || strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_info") {
		return ""
	}
	for _, end := range []string{"_total", "_sum", "_max", "_min", "_avg"} {
		name = strings.TrimSuffix(name, end)
	}
	if strings.HasSuffix(name, "_timestamp_seconds") || strings.HasSuffix(name, "_time_seconds") && strings.Contains(name, "start") {
		return "timestamp"
	}
	for _, unit := range units {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

// unitOfAggregate keeps the unit, but where things are counted or squared.
func unitOfAggregate(e *parser.AggregateExpr) string {
	switch e.Op {
	case parser.COUNT, parser.GROUP, parser.COUNT_VALUES, parser.STDVAR:
		return ""
	}
	return unitOf(e.Expr)
}

// perSecond are the functions that divide by time; kept are those whose result is of the argument's unit.
var (
	perSecond = map[string]bool{"rate": true, "irate": true, "deriv": true}
	kept      = map[string]int{
		"increase": 0, "delta": 0, "idelta": 0, "abs": 0, "ceil": 0, "floor": 0, "round": 0, "clamp": 0, "clamp_max": 0, "clamp_min": 0, "sort": 0,
		"sort_desc": 0, "sort_by_label": 0, "sort_by_label_desc": 0, "avg_over_time": 0, "min_over_time": 0, "max_over_time": 0, "sum_over_time": 0,
		"last_over_time": 0, "first_over_time": 0, "stddev_over_time": 0, "mad_over_time": 0, "quantile_over_time": 1, "predict_linear": 0,
		"double_exponential_smoothing": 0, "label_replace": 0, "label_join": 0, "histogram_avg": 0, "histogram_sum": 0, "histogram_stddev": 0, "scalar": 0, "vector": 0,
	}
)

func unitOfCall(e *parser.Call) string {
	name := e.Func.Name
	if at, keeps := kept[name]; keeps && at < len(e.Args) {
		return unitOf(e.Args[at])
	}
	switch {
	case perSecond[name]:
		return per(unitOf(e.Args[0]))
	case name == "histogram_quantile":
		return observed(e.Args[1])
	case name == "time" || name == "timestamp":
		return "timestamp"
	}
	return ""
}

// per is a unit by the second. Seconds by the second are a number, such as of cores.
func per(unit string) string {
	switch unit {
	case "", "seconds", "timestamp":
		return ""
	case "joules":
		return "watts"
	}
	return unit + "/s"
}

// observed is the unit of what a histogram counts: the one selector's below, whatever is done with its buckets.
func observed(e parser.Expr) string {
	unit := ""
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if selector, is := node.(*parser.VectorSelector); is {
			unit = unitOfName(strings.TrimSuffix(metricOf(selector), "_bucket"))
		}
		return nil
	})
	return unit
}

// unitOfBinary knows sums, differences and comparisons of one unit, multiples by a plain number, and that of a unit by itself
// nothing is left. A difference of points in time is a length of time.
func unitOfBinary(e *parser.BinaryExpr) string {
	left, right := unitOf(e.LHS), unitOf(e.RHS)
	switch {
	case e.Op.IsComparisonOperator() && e.ReturnBool:
		return ""
	case e.Op.IsComparisonOperator(), e.Op.IsSetOperator():
		return left
	case e.Op == parser.SUB && left == "timestamp" && right == "timestamp":
		return "seconds"
	case e.Op == parser.ADD || e.Op == parser.SUB:
		return sameUnit(left, right, isNumber(e.LHS), isNumber(e.RHS))
	case e.Op == parser.DIV && left != "" && left == right:
		return "ratio"
	}
	return "" // a number that multiplies mostly turns the unit into another, as 100 * …_ratio does
}

func sameUnit(left, right string, leftPlain, rightPlain bool) string {
	if left == right || rightPlain {
		return left
	}
	if leftPlain {
		return right
	}
	return ""
}

func isNumber(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return true
	case *parser.ParenExpr:
		return isNumber(e.Expr)
	case *parser.UnaryExpr:
		return isNumber(e.Expr)
	}
	return false
}
