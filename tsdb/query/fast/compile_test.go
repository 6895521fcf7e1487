package fast

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// statement prepares an expression as upstream does.
func statement(t *testing.T, expr string, start, end time.Time, step time.Duration) *parser.EvalStmt {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableExtendedRangeSelectors: true}).ParseExpr(expr)
	require.NoError(t, err)
	tree, err = promql.PreprocessExpr(tree, start, end, step)
	require.NoError(t, err)
	return &parser.EvalStmt{Expr: tree, Start: start, End: end, Interval: step, LookbackDelta: 5 * time.Minute}
}

func TestShapes(t *testing.T) {
	start := time.UnixMilli(3600_000)
	for expr, want := range map[string]string{
		`up`: "",
		`sum by (host) (rate(c_total{zone="a"}[5m]))`:         "",
		`topk(5, -max without (i) (g offset 5m) * 2 > 1)`:     "",
		`(quantile_over_time((0.9), g[1h] @ 1200)) == bool 1`: "",
		`max(sum by (x) (rate(c_total[5m])))`:                 "",
		`rate(c_total[5m]) / rate(d_total[5m])`:               "an operator between two vectors",
		`rate(c_total[5m:1m])`:                                "rate of other than one selector",
		`sum(abs(g))`:                                         "the function abs",
		`absent_over_time(g[5m])`:                             "the function absent_over_time",
		`limitk(2, g)`:                                        "the aggregation limitk",
		`topk(0, g)`:                                          "topk of an odd number",
		`topk(scalar(g), g)`:                                  "no constant",
		`quantile(1.5, g)`:                                    "a quantile that is none",
		`g </ 2`:                                              "the operator </",
		`rate(c_total[5m] anchored)`:                          "anchored or smoothed",
		`predict_linear(g[5m] @ 1200, 60)`:                    "a fixed time in what depends on the step",
		`1 + 1`:                                               "an operator between two vectors, or without one",
		`time()`:                                              "the function time",
		`"text"`:                                              "a string that is no selector",
		`sum(rate(c_total[5m]) * on () group_left () g) by (x)`: "an operator between two vectors",
	} {
		end := start.Add(time.Hour)
		if expr == `"text"` {
			end = start
		}
		p, why := Compile(statement(t, expr, start, end, time.Minute))
		if want == "" {
			assert.Empty(t, why, expr)
			assert.NotNil(t, p, expr)
			continue
		}
		assert.Contains(t, why, want, expr)
		assert.Nil(t, p, expr)
	}
}

func TestTimes(t *testing.T) {
	start := time.UnixMilli(3600_000)
	p, why := Compile(statement(t, `sum(rate(c_total[5m] offset 1m))`, start, start.Add(time.Hour), time.Minute))
	require.Empty(t, why)
	assert.Equal(t, 61, p.steps)
	minT, maxT := p.Bounds()
	assert.Equal(t, []int64{3600_000 - 360_000 + 1, 7200_000 - 60_000}, []int64{minT, maxT})
	assert.Equal(t, "rate", p.hints.Func)

	p, why = Compile(statement(t, `sum by (b, a) (up @ 1200)`, start, start.Add(time.Hour), time.Minute))
	require.Empty(t, why)
	assert.Equal(t, []int{1, 61}, []int{p.steps, p.answers}, "one evaluation for all steps")
	assert.Equal(t, int64(1200_000), p.at(0))
	assert.Equal(t, []string{"b", "a"}, p.hints.Grouping)

	_, why = Compile(statement(t, `up`, start, start.Add(-time.Hour), time.Minute))
	assert.Equal(t, "a range without steps", why)
	_, why = Compile(statement(t, `up`, start, start.Add(time.Hour), time.Microsecond))
	assert.Equal(t, "a range without steps", why)
}
