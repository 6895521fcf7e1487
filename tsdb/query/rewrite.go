package query

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb/engine"
)

// Tiers says since when each tier has what the shard was told, in milliseconds since 1970, by engine.Tier.
type Tiers struct{ Since [3]int64 }

// Plan is when a query is evaluated: at Start, and by Step until End. All are milliseconds.
type Plan struct {
	Start, End, Step int64
	// Lookback is how old the value of an instant selector may be.
	Lookback int64
	Tiers    Tiers
}

// Rewrite has the selectors of an expression read windows in place of raw samples. The label TierLabel in the selector
// carries the choice to the Queryable. It takes the longest windows with which the answer stays the same, namely where
//   - every time of the plan, less the selector's offset, is an end of a window, so the step is a multiple of it too,
//   - the range of the selector, or the lookback of an instant one, is a multiple of the window, and
//   - the tier goes back far enough;
//
// so that the windows are open and closed where the range is. Then
//   - min_over_time and max_over_time read the columns min and max, count_over_time sums the column count,
//     last_over_time, present_over_time and instant selectors read the column last: with the same answer bit for bit;
//   - sum_over_time sums the column sum and avg_over_time divides that by the count: equal but for rounding;
//   - rate and increase read the column counter, which has the first and the last sample of each window. The increase
//     between samples is the same, and so is what is added for the ends of the range where samples come regularly up
//     to both ends. Where a series begins or ends inside of a range, its windows extrapolate further than its samples.
//
// An instant selector goes on to show a series for the rest of the window in which it went stale.
//
// Everything else stays raw: other functions (irate, delta, changes, quantile_over_time …), selectors below a subquery,
// absent, timestamp and info, with @, anchored or smoothed, with computed durations. Where raw samples do not go back
// far enough, the finest tier that does is taken although times are not those of its windows: the answer is then of the
// windows that end in the range. A query that names TierLabel itself is left as it is.
//
// Native histograms have only the column last: an evaluation that meets them in another one must be done again raw, for
// which the Queryable fails with ErrHistogramWindows.
func Rewrite(expr string, p Plan) (rewritten string, changed bool, err error) {
	parse := parser.NewParser(ParserOptions()).ParseExpr
	tree, err := parse(expr)
	if err != nil || Mentions(tree, TierLabel) {
		return expr, false, err
	}
	r := rewriter{Plan: p, names: Mentions(tree, nameLabel)}
	tree = r.expr(tree)
	if !r.changed {
		return expr, false, nil
	}
	text := tree.String()
	if _, err := parse(text); err != nil {
		return expr, false, nil // printed in a way that is not read again: the query as it was is as good
	}
	return text, true, nil
}

// Mentions tells whether a label's name stands anywhere but as the name in front of a selector.
func Mentions(tree parser.Expr, label string) (found bool) {
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			found = found || slices.ContainsFunc(n.LabelMatchers, func(m *labels.Matcher) bool {
				return m.Name == label && (m.Type != labels.MatchEqual || m.Value != n.Name)
			})
		case *parser.AggregateExpr:
			found = found || slices.Contains(n.Grouping, label)
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil {
				found = found || slices.Contains(m.MatchingLabels, label) || slices.Contains(m.Include, label)
			}
		case *parser.StringLiteral:
			found = found || n.Val == label
		}
		return nil
	})
	return found
}

type rewriter struct {
	Plan
	names   bool // the expression looks at names of metrics
	changed bool
}

// readBy are the functions over time that a column serves, and the function that then reads it.
var readBy = map[string]struct {
	column engine.Column
	by     string
}{
	"min_over_time": {engine.ColumnMin, "min_over_time"}, "max_over_time": {engine.ColumnMax, "max_over_time"},
	"count_over_time": {engine.ColumnCount, "sum_over_time"}, "sum_over_time": {engine.ColumnSum, "sum_over_time"},
	"last_over_time": {engine.ColumnLast, "last_over_time"}, "present_over_time": {engine.ColumnLast, "present_over_time"},
	"rate": {engine.ColumnCounter, "rate"}, "increase": {engine.ColumnCounter, "increase"},
}

// closed are the functions whose arguments stay as they are: they look at selectors or at times of samples.
var closed = []string{"absent", "absent_over_time", "timestamp", "start_timestamp", "info"}

// expr rewrites a tree in place and returns what takes its place.
func (r *rewriter) expr(e parser.Expr) parser.Expr {
	switch n := e.(type) {
	case *parser.ParenExpr:
		n.Expr = r.expr(n.Expr)
	case *parser.UnaryExpr:
		n.Expr = r.expr(n.Expr)
	case *parser.BinaryExpr:
		n.LHS, n.RHS = r.expr(n.LHS), r.expr(n.RHS)
	case *parser.AggregateExpr:
		n.Expr = r.expr(n.Expr)
		if n.Param != nil {
			n.Param = r.expr(n.Param)
		}
	case *parser.Call:
		return r.call(n)
	case *parser.VectorSelector:
		if tier := r.choose(n, r.Lookback); tier != engine.TierRaw {
			r.choice(n, tier, engine.ColumnLast)
		}
	}
	return e
}

func (r *rewriter) call(n *parser.Call) parser.Expr {
	if slices.Contains(closed, n.Func.Name) {
		return n
	}
	if len(n.Args) == 1 {
		if window, is := n.Args[0].(*parser.MatrixSelector); is {
			return r.overTime(n, window)
		}
	}
	for i, arg := range n.Args {
		n.Args[i] = r.expr(arg)
	}
	return n
}

// overTime rewrites a function of a range.
func (r *rewriter) overTime(n *parser.Call, window *parser.MatrixSelector) parser.Expr {
	selector := window.VectorSelector.(*parser.VectorSelector)
	average := n.Func.Name == "avg_over_time" && selector.Name != "" && !r.names
	read, known := readBy[n.Func.Name]
	if !known && !average || window.RangeExpr != nil {
		return n
	}
	tier := r.choose(selector, window.Range.Milliseconds())
	if tier == engine.TierRaw {
		return n
	}
	if average {
		sum, count := r.columnSum(*window, tier, engine.ColumnSum), r.columnSum(*window, tier, engine.ColumnCount)
		matching := &parser.VectorMatching{Card: parser.CardOneToOne}
		return &parser.ParenExpr{Expr: &parser.BinaryExpr{Op: parser.DIV, LHS: sum, RHS: count, VectorMatching: matching}}
	}
	r.choice(selector, tier, read.column)
	n.Func = parser.Functions[read.by]
	return n
}

// columnSum sums a column over a range.
func (r *rewriter) columnSum(window parser.MatrixSelector, tier engine.Tier, column engine.Column) parser.Expr {
	selector := *window.VectorSelector.(*parser.VectorSelector)
	r.choice(&selector, tier, column)
	window.VectorSelector = &selector
	return &parser.Call{Func: parser.Functions["sum_over_time"], Args: parser.Expressions{&window}}
}

func (r *rewriter) choice(n *parser.VectorSelector, tier engine.Tier, column engine.Column) {
	r.changed = true
	m := labels.MustNewMatcher(labels.MatchEqual, TierLabel, Choice{tier, column}.String())
	n.LabelMatchers = append(slices.Clip(n.LabelMatchers), m)
}

// choose finds the tier for a selector that reads back over some milliseconds.
func (r *rewriter) choose(n *parser.VectorSelector, back int64) engine.Tier {
	if n.Timestamp != nil || n.StartOrEnd != 0 || n.Anchored || n.Smoothed || n.OriginalOffsetExpr != nil || n.OriginalOffset%time.Millisecond != 0 {
		return engine.TierRaw
	}
	start := r.Start - n.OriginalOffset.Milliseconds()
	for _, tier := range []engine.Tier{engine.TierHour, engine.TierFiveMinutes} {
		w := tier.Window()
		if start%w == 0 && back > 0 && back%w == 0 && (r.Step%w == 0 || r.Start == r.End) && r.Tiers.Since[tier] <= start-back {
			return tier
		}
	}
	for tier, since := range r.Tiers.Since { // the finest first
		if since <= start-back && back >= engine.Tier(tier).Window() {
			return engine.Tier(tier)
		}
	}
	return engine.TierRaw
}
