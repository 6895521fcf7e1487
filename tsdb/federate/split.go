package federate

import (
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb/federate/normal"
	"github.com/novacron/novacron/tsdb/query"
)

// PartLabel is the label by which a selector of a split expression names its part, as in {__part__="0"}. No series has it.
const PartLabel = "__part__"

// Merge says how the rows of the shards become those of the part.
type Merge uint8

// The ways to merge. Union keeps all rows and insists that no two have the same labels; the others put rows with the
// same labels together, value by value.
const (
	Union Merge = iota
	Sum
	Min
	Max
	Group
	Average
	// Quantile takes the values of all rows by group, and looks for one of them by its rank.
	Quantile
)

// Part is a piece of an expression that each shard computes over its own series.
type Part struct {
	// Exprs is the piece; for an Average the sum and the count.
	Exprs []string
	Merge Merge
	// Rank is what a Quantile looks for.
	Rank Rank
	// First is what a Union has rows of, where that are the first values of its groups; else nil.
	First *First
	// Selectors are the matchers of all selectors in the piece: a shard without series for any of them has no part in it.
	Selectors [][]*labels.Matcher
}

// Split takes out of an expression what shards can compute. What is left has in its place selectors by PartLabel, and is
// evaluated at the same times. Where there is nothing to take out, or the expression cannot be put together again, parts
// is empty.
//
// An expression is local where each of its series is computed of one series, so that the shard that has it can do so: a
// selector; a function of one range or vector, with constants; one of these with an operator and a constant. Then
//   - sum, min, max, count, group, avg and count_values over something local are computed by the shards for their part
//     of it and merged,
//   - quantile is computed of values without their labels, of those alone that may be it where they are many,
//   - topk and bottomk are computed by the shards, of the values alone that may be among the first where they are many, and
//     again over what these have left,
//   - anything else local is computed by the shards and put together: values at the steps take the place of samples.
//
// Everything else is computed of those, or of raw series: below a subquery whose inside is not local, in absent, info and
// timestamp, and where PromQL looks at more than the values of an expression: at the names that functions drop only in
// the end, if anything groups or matches by them, and at counter resets inside histogram_count and the like.
func Split(expr string) (rest string, parts []Part, err error) {
	parse := parser.NewParser(query.ParserOptions()).ParseExpr
	tree, err := parse(expr)
	if err != nil {
		return "", nil, err
	}
	normal.Tree(tree)
	s := splitter{named: query.Mentions(tree, model.MetricNameLabel)}
	tree = s.expr(tree)
	if len(s.parts) == 0 {
		return expr, nil, nil
	}
	rest = tree.String()
	for _, text := range s.texts() {
		if _, err := parse(text); err != nil {
			return expr, nil, nil // printed in a way that is not read again
		}
	}
	if _, err := parse(rest); err != nil {
		return expr, nil, nil
	}
	return rest, s.parts, nil
}

type splitter struct {
	parts []Part
	// named says that something looks at names of metrics.
	named bool
	// united says that what is being split goes into an «or» as it is. PromQL drops names at the end of a query alone, so that
	// «or» still sees those that a function drops, and makes one series of what either side has under the same name.
	united bool
}

func (s *splitter) texts() (all []string) {
	for _, p := range s.parts {
		if all = append(all, p.Exprs...); p.First != nil {
			all = append(all, p.First.Of)
		}
	}
	return all
}

// merges are the aggregations that shards compute for their part.
var merges = map[parser.ItemType]Merge{
	parser.SUM: Sum, parser.COUNT: Sum, parser.COUNT_VALUES: Sum, parser.MIN: Min, parser.MAX: Max, parser.GROUP: Group, parser.AVG: Average,
}

// closed are the functions whose arguments stay as they are: they look at the selector itself, or beyond its samples.
var closed = []string{"absent", "absent_over_time", "info", "timestamp", "start_timestamp"}

// expr splits a tree and returns what takes its place.
func (s *splitter) expr(e parser.Expr) parser.Expr {
	if e.Type() == parser.ValueTypeVector && s.local(e) {
		return s.part(Part{Exprs: []string{normal.Bare(e).String()}, Merge: Union}, e)
	}
	switch n := e.(type) {
	case *parser.ParenExpr:
		n.Expr = s.expr(n.Expr)
	case *parser.UnaryExpr:
		n.Expr = s.expr(n.Expr)
	case *parser.BinaryExpr:
		s.into(s.united || n.Op == parser.LOR, func() { n.LHS, n.RHS = s.expr(n.LHS), s.expr(n.RHS) })
	case *parser.AggregateExpr:
		var aggregated parser.Expr
		s.into(s.united && (n.Op == parser.TOPK || n.Op == parser.BOTTOMK || n.Op == parser.LIMITK || n.Op == parser.LIMIT_RATIO),
			func() { aggregated = s.aggregate(n) })
		return aggregated
	case *parser.Call:
		if !slices.Contains(closed, n.Func.Name) && !readsResets(n) {
			for i, arg := range n.Args {
				n.Args[i] = s.expr(arg)
			}
		}
	}
	return e
}

// into splits with another answer to whether it is united.
func (s *splitter) into(united bool, split func()) {
	before := s.united
	s.united = united
	split()
	s.united = before
}

func (s *splitter) aggregate(n *parser.AggregateExpr) parser.Expr {
	merge, mergeable := merges[n.Op]
	switch {
	case mergeable && s.local(n.Expr) && (n.Param == nil || constant(n.Param)):
		return s.part(Part{Exprs: pieces(n, merge), Merge: merge}, n)
	case (n.Op == parser.TOPK || n.Op == parser.BOTTOMK) && s.local(n.Expr) && constant(n.Param):
		n.Expr = s.part(Part{Exprs: []string{n.String()}, Merge: Union, First: firstOf(n)}, n)
		return n
	case n.Op == parser.QUANTILE && s.local(n.Expr):
		if q, is := number(n.Param); is && q >= 0 && q <= 1 { // PromQL warns of others
			rank := Rank{Quantile: q, Labels: n.Grouping, Without: n.Without}
			return s.part(Part{Exprs: []string{normal.Bare(n.Expr).String()}, Merge: Quantile, Rank: rank}, n)
		}
	}
	n.Expr = s.expr(n.Expr)
	if n.Param != nil {
		n.Param = s.expr(n.Param)
	}
	return n
}

// firstOf is what topk or bottomk looks for; nil where that is not the same at all times.
func firstOf(n *parser.AggregateExpr) *First {
	k, is := number(n.Param)
	if !is || !(k >= 1 && k <= maxFew) {
		return nil
	}
	return &First{Few: int(k), Lowest: n.Op == parser.BOTTOMK, Labels: n.Grouping, Without: n.Without, Of: normal.Bare(n.Expr).String()}
}

// maxFew bounds how many first values are looked for by bounds.
const maxFew = 1 << 20

// number is that of an expression which is one.
func number(e parser.Expr) (v float64, is bool) {
	switch n := e.(type) {
	case *parser.NumberLiteral:
		return n.Val, true
	case *parser.ParenExpr:
		return number(n.Expr)
	}
	return 0, false
}

// pieces are what a shard computes for an aggregation.
func pieces(n *parser.AggregateExpr, merge Merge) []string {
	if merge != Average {
		return []string{n.String()}
	}
	sum, count := *n, *n
	sum.Op, count.Op = parser.SUM, parser.COUNT
	return []string{sum.String(), count.String()}
}

// part puts a selector in the place of a piece. Equal pieces are one part.
func (s *splitter) part(p Part, piece parser.Expr) parser.Expr {
	at := slices.IndexFunc(s.parts, func(other Part) bool {
		return other.Merge == p.Merge && slices.Equal(other.Exprs, p.Exprs) && other.Rank.same(p.Rank)
	})
	if at < 0 {
		p.Selectors = parser.ExtractSelectors(piece)
		at = len(s.parts)
		s.parts = append(s.parts, p)
	}
	m := labels.MustNewMatcher(labels.MatchEqual, PartLabel, strconv.Itoa(at))
	selector := &parser.VectorSelector{LabelMatchers: []*labels.Matcher{m}}
	if fixed(piece) {
		selector.StartOrEnd = parser.START // so that PromQL goes on to compute what is around it once
	}
	return selector
}

// fixed tells whether an expression has the same value at all times of a query, since @ says so everywhere in it.
func fixed(e parser.Expr) bool {
	same := true
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			same = same && (n.Timestamp != nil || n.StartOrEnd != 0)
		case *parser.SubqueryExpr:
			same = false
		case *parser.Call:
			_, unsafe := promql.AtModifierUnsafeFunctions[n.Func.Name]
			same = same && !unsafe
		}
		return nil
	})
	return same
}

// readsResets tells whether a function is one of those for which PromQL reads less of histograms and finds resets of
// counters itself, and reads selectors.
func readsResets(n *parser.Call) (reads bool) {
	if !slices.Contains([]string{"histogram_count", "histogram_sum", "histogram_avg"}, n.Func.Name) {
		return false
	}
	parser.Inspect(n, func(node parser.Node, path []parser.Node) error {
		if _, selector := node.(*parser.VectorSelector); selector {
			_, inRange := path[len(path)-1].(*parser.MatrixSelector)
			reads = reads || !inRange
		}
		return nil
	})
	return reads
}

// local is whether an expression can be computed by shards on its own; where something looks at names it must keep them.
func (s *splitter) local(e parser.Expr) bool {
	return local(e) && (!s.named && !s.united || keepsNames(e))
}

// keepsNames tells whether the series of a local expression have the names of those that it reads.
func keepsNames(e parser.Expr) bool {
	switch n := e.(type) {
	case *parser.VectorSelector:
		return true
	case *parser.ParenExpr:
		return keepsNames(n.Expr)
	case *parser.BinaryExpr:
		return n.Op.IsComparisonOperator() && !n.ReturnBool && (constant(n.LHS) || keepsNames(n.LHS)) && (constant(n.RHS) || keepsNames(n.RHS))
	}
	return false
}

// locals are the functions of which each series of the result comes of one series of the argument, with its labels.
var locals = []string{
	"abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "avg_over_time", "ceil", "changes", "clamp", "clamp_max", "clamp_min",
	"cos", "cosh", "count_over_time", "days_in_month", "day_of_month", "day_of_week", "day_of_year", "deg", "delta", "deriv",
	"double_exponential_smoothing", "exp", "first_over_time", "floor", "histogram_avg", "histogram_count", "histogram_stddev",
	"histogram_stdvar", "histogram_sum", "hour", "idelta", "increase", "irate", "last_over_time", "ln", "log10", "log2",
	"mad_over_time", "max_over_time", "min_over_time", "minute", "month", "predict_linear", "present_over_time",
	"quantile_over_time", "rad", "rate", "resets", "round", "sgn", "sin", "sinh", "sqrt", "start_timestamp", "stddev_over_time",
	"stdvar_over_time", "sum_over_time", "tan", "tanh", "timestamp", "ts_of_first_over_time", "ts_of_last_over_time",
	"ts_of_max_over_time", "ts_of_min_over_time", "year",
}

// local tells whether an expression reads series, and computes each of its own of one of them.
func local(e parser.Expr) bool {
	switch n := e.(type) {
	case *parser.VectorSelector:
		return true
	case *parser.MatrixSelector:
		return true
	case *parser.SubqueryExpr:
		return local(n.Expr)
	case *parser.ParenExpr:
		return local(n.Expr)
	case *parser.UnaryExpr:
		return local(n.Expr)
	case *parser.BinaryExpr:
		return local(n.LHS) && constant(n.RHS) || constant(n.LHS) && local(n.RHS)
	case *parser.Call:
		return slices.Contains(locals, n.Func.Name) && localArguments(n.Args)
	}
	return false
}

// localArguments tells whether one argument is local and the others are constant.
func localArguments(args parser.Expressions) bool {
	reading := 0
	for _, arg := range args {
		switch {
		case constant(arg):
		case local(arg):
			reading++
		default:
			return false
		}
	}
	return reading == 1
}

// constant tells whether an expression is a number or text that depends on nothing but the time.
func constant(e parser.Expr) bool {
	return (e.Type() == parser.ValueTypeScalar || e.Type() == parser.ValueTypeString) && len(parser.ExtractSelectors(e)) == 0
}
