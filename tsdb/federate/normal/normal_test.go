package normal

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	tree, err := parser.NewParser(query.ParserOptions()).ParseExpr(expr)
	require.NoError(t, err, expr)
	return tree
}

func text(t *testing.T, expr string) string {
	t.Helper()
	tree := parse(t, expr)
	Tree(tree)
	return Bare(tree).String()
}

func TestEqualQuestionsHaveOneText(t *testing.T) {
	for _, same := range [][]string{
		{`x{a="1",b!="2"}`, `x{b!="2",a="1"}`, `x{ a="1", b!="2", a="1" }`, `((x{a='1',b!='2'}))`},
		{`sum by (a, b) (rate(x[5m]))`, `sum by(b,a)(rate(x[300s]))`, `sum(rate(x[5m])) by (b, a, a)`},
		{`x / on (a, b) group_left (c, d) y`, `x / on(b,a) group_left(d,c) y`},
		{`x > 1e3`, `x > 1000`},
	} {
		for _, other := range same[1:] {
			assert.Equal(t, text(t, same[0]), text(t, other), other)
		}
		again := text(t, same[0])
		assert.Equal(t, again, text(t, again), "it is its own normal form")
	}
	for _, different := range [][2]string{
		{`x{a="1"}`, `x{a!="1"}`}, {`x{a="1"}`, `x{a="2"}`}, {`x`, `x offset 1m`}, {`x @ 1`, `x @ 2`}, {`sum(x)`, `sum by () (x) + 0`}, {`sum by (a) (x)`, `sum without (a) (x)`},
		{`x / on (a) y`, `x / ignoring (a) y`}, {`x + on (a) group_left y`, `x + on (a) group_right y`}, {`x == 1`, `x == bool 1`}, {`x[5m]`, `x[5m:]`}, {`rate(x[5m] smoothed)`, `rate(x[5m])`},
		{`x + fill (0) y`, `x + y`}, {`x + fill_left (1) y`, `x + fill_right (1) y`}, {`limitk(1, x)`, `limitk(2, x)`}, {`x{a="1"} or y`, `x or y{a="1"}`},
	} {
		assert.NotEqual(t, text(t, different[0]), text(t, different[1]))
	}
}

func TestReach(t *testing.T) {
	const minute = int64(60_000)
	for expr, want := range map[string]Reach{
		`x`:                        {Back: 5 * minute},
		`x offset 10m`:             {Back: 15 * minute},
		`x offset -10m`:            {Ahead: 10 * minute},
		`rate(x[1h])`:              {Back: 60 * minute},
		`rate(x[1h] offset 1m)`:    {Back: 61 * minute},
		`x + y offset 1h`:          {Back: 65 * minute},
		`sum_over_time(x[30m:1m])`: {Back: 35 * minute},
		`x[30m:1m] offset -10m`:    {Back: 25 * minute, Ahead: 10 * minute},
		`rate(x[5m])[30m:]`:        {Back: 35 * minute},
		`(x offset -5m)[30m:]`:     {Back: 30 * minute, Ahead: 5 * minute},
		`x smoothed`:               {Back: 10 * minute, Ahead: 5 * minute},
		`rate(x[1h] anchored)`:     {Back: 65 * minute},
		`x @ 600`:                  {Fixed: true, FixedFrom: 5 * minute, FixedUntil: 10 * minute},
		`x @ 600 offset -1m`:       {Fixed: true, FixedFrom: 6 * minute, FixedUntil: 11 * minute},
		`x[10m:1m] @ 1200`:         {Fixed: true, FixedFrom: 5 * minute, FixedUntil: 20 * minute},
		`(x @ 600)[10m:1m]`:        {Fixed: true, FixedFrom: 5 * minute, FixedUntil: 10 * minute},
		`y + x @ 600 + x @ 1200`:   {Back: 5 * minute, Fixed: true, FixedFrom: 5 * minute, FixedUntil: 20 * minute},
		`x @ end()`:                {Back: 5 * minute, Whole: "@ start() and @ end() hang on the range"},
		`x[1h:1m] @ start()`:       {Back: 65 * minute, Whole: "@ start() and @ end() hang on the range"},
		`x + range()`:              {Back: 5 * minute, Whole: "range() hangs on the range"},
		`x offset step()`:          {Back: 5 * minute, Whole: "it computes durations"},
		`info(x)`:                  {Back: 5 * minute, Whole: "info() hangs on the range"},
		`vector(time())`:           {},
	} {
		got := Of(parse(t, expr), 5*time.Minute)
		got.Selectors, got.Reads = nil, nil
		if !got.Fixed {
			got.FixedFrom, got.FixedUntil = 0, 0
		}
		assert.Equal(t, want, got, expr)
	}
	assert.Len(t, Of(parse(t, `x + sum(y) + x`), 0).Selectors, 3)
}

// TestEachSelectorHasItsOwnBounds evaluates from 1,000 min to 1,100 min.
func TestEachSelectorHasItsOwnBounds(t *testing.T) {
	const minute = int64(60_000)
	for expr, want := range map[string][][2]int64{
		`x`:                             {{995, 1100}},
		`x - x offset 10m`:              {{995, 1100}, {985, 1090}},
		`x + y @ 600`:                   {{995, 1100}, {5, 10}},
		`rate(x[1h] @ end())`:           {{1040, 1100}},
		`rate(x[1h] @ start())`:         {{940, 1000}},
		`(x offset 5m)[30m:] @ end()`:   {{1060, 1095}},
		`(x @ 600)[30m:] @ end()`:       {{5, 10}},
		`(x @ end())[30m:1m] @ 600`:     {{1095, 1100}},
		`x + sum_over_time(y[1h:1m])`:   {{995, 1100}, {935, 1100}},
		`topk(3, x) and y{a="b"} or -z`: {{995, 1100}, {995, 1100}, {995, 1100}},
	} {
		var got [][2]int64
		for _, read := range Of(parse(t, expr), 5*time.Minute).Reads {
			assert.False(t, read.Unknown)
			from, until := read.Bounds(1000*minute, 1100*minute)
			got = append(got, [2]int64{from / minute, until / minute})
		}
		assert.Equal(t, want, got, expr)
	}
	reads := Of(parse(t, `x + sum_over_time(x[step()]) + max_over_time(x[5m:step()]) + y offset step()`), 0).Reads
	require.Len(t, reads, 4)
	for i, read := range reads {
		assert.Equal(t, i > 0, read.Unknown)
	}
}
