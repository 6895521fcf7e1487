package normal

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Reach says which samples the value of an expression at a time hangs on: those from Back before it until Ahead after
// it, and those that @ names.
type Reach struct {
	// Back and Ahead are in milliseconds, at least 0.
	Back, Ahead int64
	// Fixed says that @ names times; they are between FixedFrom and FixedUntil, in milliseconds since 1970.
	Fixed                 bool
	FixedFrom, FixedUntil int64
	// Whole says why the value hangs on the range that is asked for, too; empty where it does not.
	Whole string
	// Selectors are the matchers of all selectors.
	Selectors [][]*labels.Matcher
	// Reads are all selectors with what each of them reads.
	Reads []Read
}

// Read is what one selector reads.
type Read struct {
	Matchers []*labels.Matcher
	// Unknown says that a duration is computed, so that nobody can tell which samples are read.
	Unknown bool
	at      span
}

// Bounds are the times between which samples are read where the expression is evaluated from start to end, all in
// milliseconds.
func (r Read) Bounds(start, end int64) (minT, maxT int64) {
	switch {
	case r.at.fixed:
		start, end = 0, 0
	case r.at.edge == parser.START:
		end = start
	case r.at.edge == parser.END:
		start = end
	}
	return start + r.at.from, end + r.at.until
}

// Of finds how far an expression reads with a lookback.
func Of(tree parser.Expr, lookback time.Duration) Reach {
	f := finder{lookback: lookback.Milliseconds()}
	f.FixedFrom, f.FixedUntil = math.MaxInt64, math.MinInt64
	f.expr(tree, span{})
	f.Selectors = parser.ExtractSelectors(tree)
	return f.Reach
}

// span is a stretch of time: from and until are relative to the time of evaluation, to the first or last one where edge
// is parser.START or parser.END, or absolute where fixed is set.
type span struct {
	from, until int64
	fixed       bool
	edge        parser.ItemType
	unknown     bool // a duration is computed
}

// back moves a span into the past and makes it longer.
func (s span) back(offset, length time.Duration) span {
	s.from -= (offset + length).Milliseconds()
	s.until -= offset.Milliseconds()
	return s
}

type finder struct {
	Reach
	lookback int64
}

func (f *finder) whole(format string, args ...any) {
	if f.Whole == "" {
		f.Whole = fmt.Sprintf(format, args...)
	}
}

// ranged are the functions whose value is that of the range that is asked for, or that look for series over all of it.
var ranged = []string{"start", "end", "range", "info"}

func (f *finder) expr(e parser.Expr, at span) {
	switch n := e.(type) {
	case *parser.VectorSelector:
		f.selector(n, at, f.lookback, 0)
		return
	case *parser.MatrixSelector:
		at.unknown = f.computed(n.RangeExpr) || at.unknown
		if selector, is := n.VectorSelector.(*parser.VectorSelector); is {
			f.selector(selector, at, 0, n.Range)
		}
		return
	case *parser.SubqueryExpr:
		at.unknown = f.computed(n.RangeExpr, n.OriginalOffsetExpr, n.StepExpr) || at.unknown
		f.expr(n.Expr, f.pin(at, n.Timestamp, n.StartOrEnd).back(n.OriginalOffset, n.Range))
		return
	case *parser.Call:
		if slices.Contains(ranged, n.Func.Name) {
			f.whole("%s() hangs on the range", n.Func.Name)
		}
	}
	for node := range parser.ChildrenIter(e) {
		if child, is := node.(parser.Expr); is {
			f.expr(child, at)
		}
	}
}

// computed notes durations that are expressions.
func (f *finder) computed(all ...*parser.DurationExpr) bool {
	found := slices.ContainsFunc(all, func(d *parser.DurationExpr) bool { return d != nil })
	if found {
		f.whole("it computes durations")
	}
	return found
}

// pin goes to the time that @ names.
func (f *finder) pin(at span, timestamp *int64, startOrEnd parser.ItemType) span {
	if startOrEnd != 0 {
		f.whole("@ start() and @ end() hang on the range")
		return span{edge: startOrEnd, unknown: at.unknown}
	}
	if timestamp != nil {
		return span{from: *timestamp, until: *timestamp, fixed: true, unknown: at.unknown}
	}
	return at
}

// selector notes what a selector reads: lookback milliseconds back, or a range.
func (f *finder) selector(n *parser.VectorSelector, at span, lookback int64, length time.Duration) {
	at.unknown = f.computed(n.OriginalOffsetExpr) || at.unknown
	at = f.pin(at, n.Timestamp, n.StartOrEnd).back(n.OriginalOffset, length)
	at.from -= lookback
	if n.Anchored || n.Smoothed {
		at.from -= f.lookback
	}
	if n.Smoothed {
		at.until += f.lookback
	}
	f.Reads = append(f.Reads, Read{Matchers: n.LabelMatchers, Unknown: at.unknown, at: at})
	if at.fixed {
		f.Fixed, f.FixedFrom, f.FixedUntil = true, min(f.FixedFrom, at.from), max(f.FixedUntil, at.until)
		return
	}
	f.Back, f.Ahead = max(f.Back, -at.from), max(f.Ahead, at.until)
}
