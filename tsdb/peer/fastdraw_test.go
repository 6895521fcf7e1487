package peer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

const (
	fastScrape = 15_000 // milliseconds
	fastLength = 300    // scrapes at most
	fastSealed = 2 * 3600_000
)

// fillFast makes samples of some series from a time on. Metrics share their other labels.
func fillFast(t *testing.T, rng *rand.Rand, store engine.Engine, base int64, names ...string) {
	var b engine.Batch
	for _, name := range names {
		for i := range 1 + rng.IntN(8) {
			lset := labels.FromStrings("__name__", name, "i", fmt.Sprint(i), "job", fmt.Sprint("j", i%2), "zone", []string{"", "z1", "z2"}[rng.IntN(3)], "__type__", []string{"", "counter"}[i%2])
			ref, err := store.Ref(lset)
			require.NoError(t, err)
			fillSeries(rng, &b, ref, name, base)
		}
	}
	done, err := store.Append(t.Context(), b)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

var oddValues = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1e308, -1e308, 1e-320, 9007199254740993, -1}

// fillSeries makes the samples of one series by the name of its metric.
func fillSeries(rng *rand.Rand, b *engine.Batch, ref engine.Ref, name string, base int64) {
	total, from, until, scrape := 0.0, rng.IntN(40), fastLength-rng.IntN(80), int64(fastScrape)
	switch name {
	case "lone":
		from = rng.IntN(fastLength)
		until = from + 1
	case "dense_total":
		until, scrape = 15*fastLength, 1000
	}
	scale := []float64{1, 0.1, 1e6, 1e-9, 1e17}[rng.IntN(5)]
	starts, begun := rng.IntN(4) == 0, base+int64(from-rng.IntN(10))*scrape
	jitter := int64(1 + rng.IntN(2)*3000)
	before := int64(0)
	for k := from; k < until; k++ {
		at := base + int64(k)*scrape + rng.Int64N(jitter)%scrape
		switch rng.IntN(60) {
		case 0:
			k += rng.IntN(60) // a gap
			continue
		case 1:
			b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: at, V: math.Float64frombits(value.StaleNaN)})
			continue
		case 2:
			total, begun = 0, at-rng.Int64N(20_000)
		}
		total += math.Floor(rng.Float64()*10) * scale
		v := total
		switch {
		case name == "g":
			v = rng.NormFloat64() * scale
		case name == "odd" && rng.IntN(3) == 0:
			v = oddValues[rng.IntN(len(oddValues))]
		case name == "mixed" && rng.IntN(20) == 0:
			h := &histogram.FloatHistogram{Schema: 1, Count: total, Sum: total, PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{total}}
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: ref, T: at, Float: h})
			continue
		}
		if starts {
			b.Starts = append(b.Starts, engine.Start{Index: len(b.Samples), ST: startOf(rng, begun, before, at)})
		}
		b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: at, V: v})
		before = at
	}
}

// startOf is since when a counter counts, and now and then nonsense.
func startOf(rng *rand.Rand, begun, before, at int64) int64 {
	switch rng.IntN(20) {
	case 0:
		return 0
	case 1:
		return at
	case 2:
		return at - rng.Int64N(100_000)
	case 3:
		return at + 5
	case 4:
		return before
	}
	return begun
}

// fastQuestion draws a question.
func fastQuestion(rng *rand.Rand) fastAsked {
	q := fastAsked{start: rng.Int64N(fastLength*fastScrape) - 60_000, perStep: rng.IntN(3) == 0}
	if rng.IntN(3) == 0 {
		q.start += fastSealed
	}
	if rng.IntN(4) == 0 {
		q.start -= q.start%fastScrape + rng.Int64N(3) - 1
	}
	q.end = q.start
	if rng.IntN(3) > 0 {
		q.step = []time.Duration{15 * time.Second, time.Minute, 7 * time.Second, 10 * time.Minute, 1500 * time.Millisecond}[rng.IntN(5)]
		q.end += rng.Int64N(80) * q.step.Milliseconds()
	}
	if rng.IntN(5) == 0 {
		q.lookback = []time.Duration{time.Second, 30 * time.Second, time.Hour}[rng.IntN(3)]
	}
	x := fastExpr{rng: rng, inRange: q.start != q.end}
	q.expr = x.draw(rng.IntN(4))
	q.unordered = x.unordered
	return q
}

// fastExpr draws expressions.
type fastExpr struct {
	rng *rand.Rand
	// inRange tells that there are several steps. Upstream then takes what an operator or topk comes to from a map.
	inRange, shuffled, unordered bool
}

func (x *fastExpr) one(of ...string) string { return of[x.rng.IntN(len(of))] }

func (x *fastExpr) draw(depth int) string {
	if depth == 0 {
		return x.source()
	}
	switch x.rng.IntN(8) {
	case 0:
		return "(" + x.draw(depth-1) + ")"
	case 1:
		return "-" + x.draw(depth-1)
	case 2, 3:
		return x.operator(x.draw(depth - 1))
	}
	return x.aggregation(x.draw(depth - 1))
}

func (x *fastExpr) operator(inner string) string {
	x.shuffled = true
	op := x.one("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "<= bool")
	by := x.one("2", "0", "-3", "1e300", "NaN", "Inf", "(7)", "0.1")
	if x.rng.IntN(2) == 0 {
		return fmt.Sprintf("(%s %s %s)", by, op, inner)
	}
	return fmt.Sprintf("(%s %s %s)", inner, op, by)
}

func (x *fastExpr) aggregation(inner string) string {
	x.unordered = x.unordered || x.shuffled && x.inRange
	op := x.one("sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "limitk", "quantile")
	if x.unordered { // the last bits of sums, and which one of equals is taken, depend on the order
		op = x.one("min", "max", "count", "group", "quantile")
	}
	by := x.one("", "", " by (job)", " by (zone, job)", " without (i)", " without (zone, i)", " by (__name__)", " by (i)", " without ()", " by (__type__)", " without (Z, a)")
	switch op {
	case "topk", "bottomk", "limitk":
		x.shuffled = true
		return fmt.Sprintf("%s%s (%s, %s)", op, by, x.one("1", "2", "3", "5", "1.7", "0", "-1", "100"), inner)
	case "quantile":
		return fmt.Sprintf("%s%s (%s, %s)", op, by, x.one("0", "0.5", "1", "0.9", "(0.25)", "-1", "2", "NaN"), inner)
	}
	return fmt.Sprintf("%s%s (%s)", op, by, inner)
}

// source is a selector, or a function of one.
func (x *fastExpr) source() string {
	if x.rng.IntN(20) == 0 {
		return x.one("rate", "resets") + "(dense_total" + x.one("[1m]", "[5m]", "[20s]") + ")"
	}
	selector := x.one("c_total", "d_total", "dense_total", "g", "odd", "odd", "lone", `{job="j1",__name__!~"mixed|odd"}`, `{__name__=~"[cd]_total"}`, `{__name__=~"c_total|g"}`, `g{zone=~"z.*"}`, "nothing", "g")
	if x.rng.IntN(15) == 0 {
		selector = "mixed"
	}
	modifiers := x.one("", "", "", " offset 1m", " offset -40s", " offset 13s", " @ 1200", " @ start()", " @ end() offset 5m")
	if x.rng.IntN(4) == 0 {
		return selector + modifiers
	}
	window := selector + x.one("[1m]", "[5m]", "[5m]", "[20s]", "[1s]", "[30m]", "[2h]", "[15s]", "[7s500ms]") + modifiers
	switch x.rng.IntN(12) {
	case 0:
		return fmt.Sprintf("quantile_over_time(%s, %s)", x.one("0", "0.3", "1", "-1", "NaN"), window)
	case 1:
		return fmt.Sprintf("predict_linear(%s, %s)", window, x.one("60", "-10"))
	case 2, 3, 4:
		return x.one("rate", "increase") + "(" + window + ")"
	}
	f := x.one("delta", "irate", "idelta", "avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time",
		"present_over_time", "last_over_time", "first_over_time", "changes", "resets", "deriv", "mad_over_time", "stddev_over_time",
		"stdvar_over_time", "ts_of_max_over_time", "ts_of_last_over_time", "absent_over_time")
	return f + "(" + window + ")"
}
