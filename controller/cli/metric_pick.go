package cli

import (
	"fmt"
	"strings"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/spf13/cobra"
)

// pickFlags ask without PromQL.
type pickFlags struct {
	metrics   []string
	filters   []string
	aggregate string
	by        []string
	limit     int
	promql    bool
}

func (p *pickFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&p.metrics, "metric", nil, "`name` of a metric, in place of EXPR; may be given several times")
	f.StringArrayVar(&p.filters, "filter", nil, "only series with `label=value`, or with != =~ !~; may be given several times")
	f.StringVar(&p.aggregate, "aggregate", "", "`function` across series such as sum or p95, over time such as rate, or both as in \"sum(rate)\"")
	f.StringSliceVar(&p.by, "by", nil, "`labels` to aggregate by")
	f.IntVar(&p.limit, "limit", 0, "the most `series`, 0 for all")
	f.BoolVar(&p.promql, "promql", false, "print the question in PromQL and do not ask it")
}

// expr is the expression that was given, or the other flags in PromQL.
func (p *pickFlags) expr(args []string, asked question) (string, error) {
	given := len(p.metrics)+len(p.filters)+len(p.by) > 0 || p.aggregate != "" || p.limit != 0
	switch {
	case len(args) == 1 && given:
		return "", usagef("EXPR says it all: leave out --metric, --filter, --aggregate, --by and --limit, or EXPR")
	case len(args) == 1:
		return args[0], nil
	case !given:
		return "", usagef("what is asked is missing: give an expression in PromQL, or --metric")
	}
	q := tsdb.MetricsQuery{
		MetricNames: p.metrics, Aggregation: tsdb.AggregationFunction(p.aggregate), GroupBy: p.by, Limit: p.limit,
		TimeRange: tsdb.TimeRange{Start: asked.times.Start, End: asked.times.End, Step: asked.times.Step},
	}
	for _, text := range p.filters {
		filter, err := parseFilter(text)
		if err != nil {
			return "", usageError{err, ""}
		}
		q.Filters = append(q.Filters, filter)
	}
	compiled, err := query.Compile(q)
	if err != nil {
		return "", usageError{err, ""}
	}
	return compiled.Expr, nil
}

// parseFilter reads a label, an operator and a value, such as host=kvm-1 or state!~"run.*" without the quotes.
func parseFilter(text string) (tsdb.MetricFilter, error) {
	at := strings.IndexAny(text, "=!")
	if at > 0 {
		for _, operator := range []tsdb.FilterOperator{tsdb.FilterMatches, tsdb.FilterNotMatches, tsdb.FilterNotEqual, tsdb.FilterEqual} {
			if value, is := strings.CutPrefix(text[at:], string(operator)); is {
				return tsdb.MetricFilter{Label: text[:at], Operator: operator, Value: value}, nil
			}
		}
	}
	return tsdb.MetricFilter{}, fmt.Errorf("--filter %.60q: write a label, one of = != =~ !~, and a value, such as host=kvm-1", text)
}
