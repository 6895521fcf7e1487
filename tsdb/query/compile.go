package query

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb"
)

// Bounds of a MetricsQuery.
const (
	maxNames     = 100
	maxFilters   = 40
	maxGroups    = 40
	maxLimit     = 1_000_000
	maxTextBytes = 4096 // of a name, label or value
	leastWindow  = 5 * time.Minute
)

// Compiled is a MetricsQuery in PromQL.
type Compiled struct {
	Expr string
	// Instant tells that the query is for Range.End alone.
	Instant bool
	Range   Range
}

// Compile translates a query to PromQL:
//
//	limitk(Limit, ACROSS by (GroupBy) (OVER({__name__=~"MetricNames", Filters}[window])))
//
// where parts that are not asked for are left out. The window is the step, at least five minutes. Several names are
// kept apart by grouping by them too. The text is printed from a tree, so that no value can become syntax. It returns
// all faults at once.
func Compile(q tsdb.MetricsQuery) (Compiled, error) {
	across, over, err := splitAggregation(q.Aggregation)
	selector, serr := compileSelector(q)
	c := Compiled{Range: Range(q.TimeRange), Instant: q.TimeRange.Step == 0 || q.TimeRange.Start.IsZero() || q.TimeRange.Start.Equal(q.TimeRange.End)}
	if err := errors.Join(err, serr, checkTimes(q.TimeRange, c.Instant), checkGrouping(q, across), checkLimit(q.Limit)); err != nil {
		return Compiled{}, fmt.Errorf("metrics query: %w", err)
	}
	var expr parser.Expr = selector
	if over != "" {
		window := &parser.MatrixSelector{VectorSelector: expr, Range: max(q.TimeRange.Step, leastWindow)}
		expr = &parser.Call{Func: parser.Functions[over], Args: parser.Expressions{window}}
	}
	if across != "" {
		expr = aggregate(across, expr, grouping(q))
	}
	if q.Limit > 0 {
		expr = &parser.AggregateExpr{Op: parser.LIMITK, Param: &parser.NumberLiteral{Val: float64(q.Limit)}, Expr: expr}
	}
	c.Expr = expr.String()
	return c, nil
}

// across are the functions across series, but percentiles.
var across = map[string]parser.ItemType{
	"sum": parser.SUM, "avg": parser.AVG, "min": parser.MIN, "max": parser.MAX, "count": parser.COUNT,
	"stddev": parser.STDDEV, "stdvar": parser.STDVAR, "group": parser.GROUP,
}

// over are the functions over time.
var over = []string{
	"rate", "increase", "irate", "delta", "changes", "resets", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time",
	"count_over_time", "last_over_time", "stddev_over_time",
}

// splitAggregation tells the function across series from the one over time; either may be empty.
func splitAggregation(f tsdb.AggregationFunction) (outer, inner string, err error) {
	text := string(f)
	if text == "" {
		return "", "", nil
	}
	if slices.Contains(over, text) {
		return "", text, nil
	}
	outer, inner, both := strings.Cut(text, "(")
	if both {
		var closed bool
		inner, closed = strings.CutSuffix(inner, ")")
		both = !closed || !slices.Contains(over, inner)
	}
	if _, known := across[outer]; both || !known && percentile(outer) < 0 {
		return "", "", fmt.Errorf("aggregation: %.60q is none: write a function across series, one over time, or both as in sum(rate)", text)
	}
	return outer, inner, nil
}

// percentile is the part of 1 that a name like p95 means, -1 for another name.
func percentile(name string) float64 {
	digits, is := strings.CutPrefix(name, "p")
	n, err := strconv.ParseUint(digits, 10, 8)
	if !is || err != nil || n > 100 || digits != strconv.FormatUint(n, 10) {
		return -1
	}
	return float64(n) / 100
}

func aggregate(name string, expr parser.Expr, by []string) parser.Expr {
	if part := percentile(name); part >= 0 {
		return &parser.AggregateExpr{Op: parser.QUANTILE, Param: &parser.NumberLiteral{Val: part}, Expr: expr, Grouping: by}
	}
	return &parser.AggregateExpr{Op: across[name], Expr: expr, Grouping: by}
}

// grouping is GroupBy, and the metric's name where there are several.
func grouping(q tsdb.MetricsQuery) []string {
	if len(q.MetricNames) > 1 && !slices.Contains(q.GroupBy, nameLabel) {
		return slices.Concat(q.GroupBy, []string{nameLabel})
	}
	return q.GroupBy
}

const nameLabel = "__name__"

// operators are PromQL's match types.
var operators = map[tsdb.FilterOperator]labels.MatchType{
	tsdb.FilterEqual: labels.MatchEqual, tsdb.FilterNotEqual: labels.MatchNotEqual,
	tsdb.FilterMatches: labels.MatchRegexp, tsdb.FilterNotMatches: labels.MatchNotRegexp,
}

// compileSelector makes the selector of names and filters.
func compileSelector(q tsdb.MetricsQuery) (*parser.VectorSelector, error) {
	faults := []error{checkCount("metric_names", len(q.MetricNames), 1, maxNames), checkCount("filters", len(q.Filters), 0, maxFilters)}
	quoted := make([]string, len(q.MetricNames))
	for i, name := range q.MetricNames {
		faults = append(faults, checkText(fmt.Sprintf("metric_names[%d]", i), name, false))
		quoted[i] = regexp.QuoteMeta(name)
	}
	names := labels.MustNewMatcher(labels.MatchEqual, nameLabel, strings.Join(q.MetricNames, ""))
	var err error
	if len(q.MetricNames) > 1 {
		names, err = labels.NewMatcher(labels.MatchRegexp, nameLabel, strings.Join(quoted, "|"))
		faults = append(faults, err)
	}
	matchers := []*labels.Matcher{names}
	for i, f := range q.Filters {
		m, err := compileFilter(fmt.Sprintf("filters[%d]", i), f)
		matchers, faults = append(matchers, m), append(faults, err)
	}
	return &parser.VectorSelector{LabelMatchers: matchers}, errors.Join(faults...)
}

func compileFilter(field string, f tsdb.MetricFilter) (*labels.Matcher, error) {
	operator, known := operators[f.Operator]
	if !known {
		return nil, fmt.Errorf("%s.operator: %.20q is none: write =, !=, =~ or !~", field, f.Operator)
	}
	if err := errors.Join(checkLabel(field+".label", f.Label), checkText(field+".value", f.Value, true)); err != nil {
		return nil, err
	}
	m, err := labels.NewMatcher(operator, f.Label, f.Value)
	if err != nil {
		return nil, fmt.Errorf("%s.value: %.60q is no pattern: %w", field, f.Value, err)
	}
	return m, nil
}

func checkGrouping(q tsdb.MetricsQuery, across string) error {
	faults := []error{checkCount("group_by", len(q.GroupBy), 0, maxGroups)}
	if across == "" && len(q.GroupBy) > 0 {
		faults = append(faults, errors.New("group_by: nothing is aggregated across series: name such a function in aggregation, or leave group_by out"))
	}
	for i, label := range q.GroupBy {
		field := fmt.Sprintf("group_by[%d]", i)
		faults = append(faults, checkLabel(field, label))
		if slices.Index(q.GroupBy, label) < i {
			faults = append(faults, fmt.Errorf("%s: %.60q is there twice: name it once", field, label))
		}
	}
	return errors.Join(faults...)
}

func checkTimes(r tsdb.TimeRange, instant bool) error {
	if r.End.IsZero() {
		return errors.New("time_range.end: it is missing: say until when")
	}
	if r.Step < 0 || r.Step%time.Millisecond != 0 {
		return fmt.Errorf("time_range.step: %s: give whole milliseconds, 0 for one point", r.Step)
	}
	if r.End.Before(r.Start) {
		return fmt.Errorf("time_range: it ends (%s) before it starts (%s)", r.End.Format(time.RFC3339), r.Start.Format(time.RFC3339))
	}
	if instant {
		return nil
	}
	return Range(r).Check()
}

func checkLimit(limit int) error {
	if limit < 0 || limit > maxLimit {
		return fmt.Errorf("limit: %d: allowed are 0 (all) to %d", limit, maxLimit)
	}
	return nil
}

func checkCount(field string, n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%s: there are %d, allowed are %d to %d", field, n, least, most)
	}
	return nil
}

func checkLabel(field, label string) error {
	if label == TierLabel {
		return fmt.Errorf("%s: %s is no label of series: the tier is chosen by step and function", field, label)
	}
	return checkText(field, label, false)
}

func checkText(field, text string, empty bool) error {
	switch {
	case text == "" && !empty:
		return fmt.Errorf("%s: it is empty: name one", field)
	case len(text) > maxTextBytes:
		return fmt.Errorf("%s: it has %d bytes, allowed are %d", field, len(text), maxTextBytes)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s: %.60q is not UTF-8", field, text)
	}
	return nil
}
