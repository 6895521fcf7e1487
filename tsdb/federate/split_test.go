package federate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		expr, rest string
		parts      []string // each with its way to merge
	}{
		{`up`, `{__part__="0"}`, []string{"union up"}},
		{`sum by (job) (rate(x[5m]))`, `{__part__="0"}`, []string{"sum sum by (job) (rate(x[5m]))"}},
		{`sum without (job) (x offset 1h)`, `{__part__="0"}`, []string{"sum sum without (job) (x offset 1h)"}},
		{`count(x > 3)`, `{__part__="0"}`, []string{"sum count(x > 3)"}},
		{`min(-x) + max(2 * x)`, `{__part__="0"} + {__part__="1"}`, []string{"min min(-x)", "max max(2 * x)"}},
		{`group(x @ 100)`, `{__part__="0"} @ start()`, []string{"group group(x @ 100.000)"}},
		{`avg(x)`, `{__part__="0"}`, []string{"average sum(x) and count(x)"}},
		{`count_values("v", x)`, `{__part__="0"}`, []string{`sum count_values("v", x)`}},
		{`topk by (a) (3, x)`, `topk by (a) (3, {__part__="0"})`, []string{"union topk by (a) (3, x)"}},
		{`quantile(0.9, rate(x[5m]))`, `{__part__="0"}`, []string{"quantile rate(x[5m])"}},
		{`quantile by (a) (0.9, x) - quantile by (a) (0.1, x)`, `{__part__="0"} - {__part__="1"}`, []string{"quantile x", "quantile x"}},
		{`quantile(2, x)`, `quantile(2, {__part__="0"})`, []string{"union x"}},
		{`quantile(scalar(y), x)`, `quantile(scalar({__part__="1"}), {__part__="0"})`, []string{"union x", "union y"}},
		{`histogram_quantile(0.9, sum by (le) (rate(x[5m])))`, `histogram_quantile(0.9, {__part__="0"})`, []string{"sum sum by (le) (rate(x[5m]))"}},
		{`sum(sum by (a) (x))`, `sum({__part__="0"})`, []string{"sum sum by (a) (x)"}},
		{`max_over_time(rate(x[5m])[1h:1m])`, `{__part__="0"}`, []string{"union max_over_time(rate(x[5m])[1h:1m])"}},
		{`label_replace(x, "a", "$1", "b", "(.*)")`, `label_replace({__part__="0"}, "a", "$1", "b", "(.*)")`, []string{"union x"}},
		{`x / on (a) group_left () y`, `{__part__="0"} / on (a) group_left () {__part__="1"}`, []string{"union x", "union y"}},
		{`timestamp(x)`, `{__part__="0"}`, []string{"union timestamp(x)"}},
		{`clamp_max(x, scalar(y))`, `clamp_max({__part__="0"}, scalar({__part__="1"}))`, []string{"union x", "union y"}},
		{`rate(x[5m]) or y`, `rate(x[5m]) or {__part__="0"}`, []string{"union y"}},
		{`topk(1, -x) or abs(x) * 2`, `topk(1, -{__part__="0"}) or abs({__part__="0"}) * 2`, []string{"union x"}},
		{`sum(rate(x[5m])) or topk(1, sum by (a) (y)) or vector(0)`, `{__part__="0"} or topk(1, {__part__="1"}) or vector(0)`,
			[]string{"sum sum(rate(x[5m]))", "sum sum by (a) (y)"}},
		{`x > time() - 3`, `{__part__="0"}`, []string{"union x > time() - 3"}},

		{`max_over_time(sum(x)[1h:1m])`, "", nil},
		{`absent(x{a="b"})`, "", nil},
		{`timestamp(sum(x))`, "", nil},
		{`info(x)`, "", nil},
		{`vector(1) + time()`, "", nil},
		{`3`, "", nil},
	} {
		t.Run(test.expr, func(t *testing.T) {
			rest, parts, err := Split(test.expr)
			require.NoError(t, err)
			if test.parts == nil {
				assert.Equal(t, test.expr, rest)
			} else {
				assert.Equal(t, test.rest, rest)
			}
			var got []string
			for _, p := range parts {
				text := p.Merge.String() + " " + p.Exprs[0]
				if len(p.Exprs) > 1 {
					text += " and " + p.Exprs[1]
				}
				got = append(got, text)
				assert.NotEmpty(t, p.Selectors)
			}
			assert.Equal(t, test.parts, got)
		})
	}
	_, _, err := Split("sum(")
	require.Error(t, err)
}
