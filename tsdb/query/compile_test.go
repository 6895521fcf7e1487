package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/query"
)

// hours is from the first to the n-th hour by a step.
func hours(n int, step time.Duration) tsdb.TimeRange {
	return tsdb.TimeRange{Start: minute(60), End: minute(60 * n), Step: step}
}

func TestCompile(t *testing.T) {
	filters := []tsdb.MetricFilter{{Label: "host", Operator: "=", Value: `a"} or up{x="`}, {Label: "vm", Operator: "!~", Value: "t.*"}}
	for want, q := range map[string]tsdb.MetricsQuery{
		`{__name__="cpu"}`:                                               {MetricNames: []string{"cpu"}},
		`{__name__="cpu.load/1 min"}`:                                    {MetricNames: []string{"cpu.load/1 min"}},
		`{__name__=~"cpu|mem\\.free"}`:                                   {MetricNames: []string{"cpu", "mem.free"}},
		`sum({__name__="cpu"})`:                                          {MetricNames: []string{"cpu"}, Aggregation: "sum"},
		`sum by (__name__) ({__name__=~"a|b"})`:                          {MetricNames: []string{"a", "b"}, Aggregation: "sum"},
		`avg by (host, "a b") (rate({__name__="cpu"}[5m]))`:              {MetricNames: []string{"cpu"}, Aggregation: "avg(rate)", GroupBy: []string{"host", "a b"}},
		`max_over_time({__name__="cpu"}[1h])`:                            {MetricNames: []string{"cpu"}, Aggregation: "max_over_time", TimeRange: hours(5, time.Hour)},
		`quantile(0.95, {__name__="cpu"})`:                               {MetricNames: []string{"cpu"}, Aggregation: "p95"},
		`limitk(3, quantile by (x) (1, increase({__name__="cpu"}[5m])))`: {MetricNames: []string{"cpu"}, Aggregation: "p100(increase)", GroupBy: []string{"x"}, Limit: 3},
		`{__name__="cpu",host="a\"} or up{x=\"",vm!~"t.*"}`:              {MetricNames: []string{"cpu"}, Filters: filters},
	} {
		if q.TimeRange.End.IsZero() {
			q.TimeRange.End = minute(100)
		}
		c, err := query.Compile(q)
		require.NoError(t, err, want)
		assert.Equal(t, want, c.Expr)
		assert.Equal(t, q.TimeRange.Step == 0, c.Instant)
		_, err = parser.NewParser(query.ParserOptions()).ParseExpr(c.Expr)
		require.NoError(t, err, want)
	}
}

func TestCompileTellsAllFaults(t *testing.T) {
	_, err := query.Compile(tsdb.MetricsQuery{
		MetricNames: []string{"", "\xff", strings.Repeat("x", 5000)},
		TimeRange:   tsdb.TimeRange{Start: minute(2), End: minute(1), Step: time.Second},
		Filters: []tsdb.MetricFilter{
			{Label: "a", Operator: "==", Value: "x"}, {Operator: "="}, {Label: "a", Operator: "=~", Value: "("}, {Label: query.TierLabel, Operator: "=", Value: "raw"},
		},
		Aggregation: "sum(rte)", GroupBy: []string{"a", "", "a"}, Limit: -1,
	})
	require.Error(t, err)
	for _, want := range []string{
		"metrics query: ", `metric_names[0]: it is empty`, `metric_names[1]: "\xff" is not UTF-8`, "metric_names[2]: it has 5000 bytes, allowed are 4096",
		"time_range: it ends", `filters[0].operator: "==" is none`, "filters[1].label: it is empty", `filters[2].value: "(" is no pattern`,
		"filters[3].label: __tier__ is no label", `aggregation: "sum(rte)" is none`, "group_by[1]: it is empty", `group_by[2]: "a" is there twice`, "limit: -1",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestCompileRefuses(t *testing.T) {
	fine := tsdb.MetricsQuery{MetricNames: []string{"a"}, TimeRange: hours(2, time.Hour)}
	_, err := query.Compile(fine)
	require.NoError(t, err)
	for want, spoil := range map[string]func(*tsdb.MetricsQuery){
		"metric_names: there are 0":       func(q *tsdb.MetricsQuery) { q.MetricNames = nil },
		"metric_names: there are 101":     func(q *tsdb.MetricsQuery) { q.MetricNames = make([]string, 101) },
		"time_range.end: it is missing":   func(q *tsdb.MetricsQuery) { q.TimeRange = tsdb.TimeRange{} },
		"time_range.step: -1s":            func(q *tsdb.MetricsQuery) { q.TimeRange.Step = -time.Second },
		"time_range.step: 1ns":            func(q *tsdb.MetricsQuery) { q.TimeRange.Step = 1 },
		"query limit steps":               func(q *tsdb.MetricsQuery) { q.TimeRange.Step = time.Millisecond },
		"nothing is aggregated":           func(q *tsdb.MetricsQuery) { q.Aggregation, q.GroupBy = "rate", []string{"a"} },
		`aggregation: "p101" is none`:     func(q *tsdb.MetricsQuery) { q.Aggregation = "p101" },
		`aggregation: "p05" is none`:      func(q *tsdb.MetricsQuery) { q.Aggregation = "p05" },
		`aggregation: "rate(sum)" is`:     func(q *tsdb.MetricsQuery) { q.Aggregation = "rate(sum)" },
		`aggregation: "sum(rate" is none`: func(q *tsdb.MetricsQuery) { q.Aggregation = "sum(rate" },
		`aggregation: "sum()" is none`:    func(q *tsdb.MetricsQuery) { q.Aggregation = "sum()" },
		"limit: 1000001":                  func(q *tsdb.MetricsQuery) { q.Limit = 1_000_001 },
	} {
		q := fine
		spoil(&q)
		_, err := query.Compile(q)
		require.ErrorContains(t, err, want)
	}
}

func TestCompiledRuns(t *testing.T) {
	e, store := open(t, query.Options{}), minutes(t, 4)
	c, err := query.Compile(tsdb.MetricsQuery{
		MetricNames: []string{"up"}, TimeRange: hours(3, time.Hour), Aggregation: "sum(increase)",
		Filters: []tsdb.MetricFilter{{Label: "host", Operator: "!=", Value: "0"}},
	})
	require.NoError(t, err)
	a, err := e.Range(t.Context(), store, c.Expr, c.Range)
	require.NoError(t, err)
	var values []string
	for _, p := range a.Value.(promql.Matrix)[0].Floats {
		values = append(values, fmt.Sprint(p.F))
	}
	assert.Equal(t, "180 180 180", strings.Join(values, " "))
}

// FuzzCompile holds that what compiles parses, and that every text of the query is a value in it.
func FuzzCompile(f *testing.F) {
	f.Add("cpu", "mem", "host", "=~", "a|b", "sum(rate)", "host", 3, int64(3600))
	f.Add(`a"} or b{`, "", "x\"", "=", "\x00\\\"", "p95", `g") (up`, 0, int64(0))
	f.Fuzz(func(t *testing.T, name, second, label, operator, value, aggregation, group string, limit int, step int64) {
		q := tsdb.MetricsQuery{
			MetricNames: []string{name}, Aggregation: tsdb.AggregationFunction(aggregation), Limit: limit,
			Filters:   []tsdb.MetricFilter{{Label: label, Operator: tsdb.FilterOperator(operator), Value: value}},
			TimeRange: tsdb.TimeRange{Start: minute(0), End: minute(60), Step: time.Duration(step) * time.Second},
		}
		if second != "" {
			q.MetricNames = append(q.MetricNames, second)
		}
		if group != "" {
			q.GroupBy = []string{group}
		}
		c, err := query.Compile(q)
		if err != nil {
			return
		}
		expr, err := parser.NewParser(query.ParserOptions()).ParseExpr(c.Expr)
		if err != nil {
			t.Fatalf("%s does not parse: %v", c.Expr, err)
		}
		selectors := 0
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			switch n := node.(type) {
			case *parser.VectorSelector:
				selectors++
				m := n.LabelMatchers[len(n.LabelMatchers)-1]
				for _, other := range n.LabelMatchers { // they are printed in another order
					if other.Name == label && other.Value == value {
						m = other
					}
				}
				if len(n.LabelMatchers) != 2 || m.Name != label || m.Value != value || m.Type.String() != operator {
					t.Errorf("%s has not the filter %q %s %q", c.Expr, label, operator, value)
				}
			case *parser.AggregateExpr:
				if n.Op != parser.LIMITK && group != "" && n.Grouping[0] != group {
					t.Errorf("%s is not grouped by %q", c.Expr, group)
				}
			case *parser.BinaryExpr, *parser.SubqueryExpr, *parser.UnaryExpr:
				t.Errorf("%s has a %T", c.Expr, n)
			}
			return nil
		})
		if selectors != 1 {
			t.Errorf("%s has %d selectors", c.Expr, selectors)
		}
	})
}
