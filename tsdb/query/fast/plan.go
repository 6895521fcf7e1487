// Package fast evaluates the PromQL that dashboards and alerts are made of in one pass over the series, with the answer
// of upstream's evaluator bit for bit: aggregations, and operators with a constant, over one function of one range, or
// over one selector. Everything else it declines, and upstream evaluates it.
package fast

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Absent stands in rows where a series has no value. No value of an answer has its bits: it is what marks a series stale,
// and evaluation leaves such samples out.
var Absent = math.Float64frombits(value.StaleNaN)

func isAbsent(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// Plan is an expression that this package evaluates, and when. It is made by Compile and may be run once at a time.
type Plan struct {
	stmt *parser.EvalStmt
	// start and step are the times of the evaluation in milliseconds. steps are how many there are, answers how many
	// the answer has: more where one evaluation is repeated for all of them, as @ asks for.
	start, step    int64
	steps, answers int
	instant        bool

	selector *parser.VectorSelector
	// back is the range of the function, or the lookback of a selector alone, and offset what is taken from the time of
	// a step; both in milliseconds.
	back, offset int64
	function     *function // nil: the selector alone
	hints        storage.SelectHints

	// stages are what is done with the rows of the series, the first stage first.
	stages []stage
	// held is how many samples upstream holds before it reads the selector: the constants.
	held int
	// drop tells that names of metrics are no part of the answer.
	drop bool
}

// Compile makes a plan for an evaluation whose expression promql.PreprocessExpr has seen, as that of a prepared query
// has. Where the expression is none of ours it says why, and the plan is nil. The statement is kept, but nothing of it is
// changed that upstream would not set.
func Compile(stmt *parser.EvalStmt) (p *Plan, why string) {
	p = &Plan{stmt: stmt, start: stmt.Start.UnixMilli(), step: stmt.Interval.Milliseconds(), answers: 1}
	p.instant = stmt.Start.Equal(stmt.End) && stmt.Interval == 0
	switch {
	case p.instant:
		p.step = 1
	case p.step <= 0 || stmt.End.Before(stmt.Start):
		return nil, "a range without steps"
	default:
		p.answers = int((stmt.End.UnixMilli()-p.start)/p.step) + 1
	}
	p.steps = p.answers
	tree := stmt.Expr
	if fixed, is := tree.(*parser.StepInvariantExpr); is {
		tree, p.steps = fixed.Expr, 1
	}
	c := compiler{plan: p}
	if why = c.expr(tree); why == "" {
		why = c.times()
	}
	if why != "" {
		return nil, why
	}
	return p, ""
}

// wholeMilliseconds tells whether upstream, which cuts lengths of time to milliseconds one by one, cuts nothing here.
func wholeMilliseconds(all ...time.Duration) bool {
	for _, d := range all {
		if d%time.Millisecond != 0 {
			return false
		}
	}
	return true
}

// times sets what depends on when the evaluation is.
func (c *compiler) times() string {
	p, sel := c.plan, c.plan.selector
	switch {
	case sel.Anchored || sel.Smoothed:
		return "an anchored or smoothed selector"
	case sel.SkipHistogramBuckets:
		return "a function of histograms"
	case !wholeMilliseconds(sel.OriginalOffset, p.stmt.LookbackDelta, c.window):
		return "parts of a millisecond"
	case p.function != nil && c.window <= 0:
		return "an empty range"
	case sel.Timestamp != nil && p.steps < p.answers, sel.Timestamp != nil && p.answers == 1:
		sel.Offset = sel.OriginalOffset + time.Duration(p.start-*sel.Timestamp)*time.Millisecond
	case sel.Timestamp != nil:
		return "a fixed time in what depends on the step"
	default:
		sel.Offset = sel.OriginalOffset
	}
	p.offset = sel.Offset.Milliseconds()
	p.back = p.stmt.LookbackDelta.Milliseconds()
	if p.function != nil {
		p.back = c.window.Milliseconds()
	}
	p.hints.Start, p.hints.End = promql.FindMinMaxTime(p.stmt)
	p.hints.Step, p.hints.Range = p.stmt.Interval.Milliseconds(), c.window.Milliseconds()
	return ""
}

// at is the time of a step, in milliseconds, less the offset.
func (p *Plan) at(step int) int64 { return p.start + int64(step)*p.step - p.offset }
