package enginetest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
)

// model is an engine made of maps: points as text by time and series.
type model map[int]map[int64]string

func (m model) set(series int, t int64, text string) {
	if m[series] == nil {
		m[series] = map[int64]string{}
	}
	m[series][t] = text
}

// answer is what a selection of some series has to return.
func (m model) answer(minT, maxT int64, of func(int) bool) map[string][]string {
	want := map[string][]string{}
	for series, points := range m {
		var times []int64
		for t := range points {
			if minT <= t && t <= maxT && of(series) {
				times = append(times, t)
			}
		}
		slices.Sort(times)
		for _, t := range times {
			want[name(series)] = append(want[name(series)], points[t])
		}
	}
	return want
}

func name(series int) string {
	return lset("__name__", "m", "odd", fmt.Sprint(series%2), "s", fmt.Sprint(series)).String()
}

// testModel does random things to an engine and to a model, and compares.
func testModel(t *testing.T, target Target) {
	rapid.Check(t, func(r *rapid.T) {
		e, m := target.Open(t), model{}
		defer func() { _ = e.Close() }()
		series := rapid.IntRange(0, 5)
		// Few different times near each other and some hours apart: equal ones are frequent, and windows many.
		at := rapid.Custom(func(r *rapid.T) int64 {
			return target.Start + rapid.Int64Range(0, 20).Draw(r, "hours")*3_600_000 + rapid.Int64Range(0, 30).Draw(r, "ms")
		})
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) { appendRandom(t, r, e, m, series, at) },
			"delete": func(r *rapid.T) {
				s, minT, maxT := series.Draw(r, "series"), at.Draw(r, "min"), at.Draw(r, "max")
				require.NoError(r, e.Delete(t.Context(), minT, maxT, match("s", fmt.Sprint(s))...))
				for at := range m[s] {
					if minT <= at && at <= maxT {
						delete(m[s], at)
					}
				}
			},
			"reopen": func(r *rapid.T) {
				if target.Reopen == nil {
					r.Skip("nothing outlives a Close")
				}
				e = target.Reopen(t, e)
			},
			"select one": func(r *rapid.T) {
				s, minT, maxT := series.Draw(r, "series"), at.Draw(r, "min"), at.Draw(r, "max")
				want := m.answer(minT, maxT, func(other int) bool { return other == s })
				require.Equal(r, want, sel(t, e, engine.Selection{Min: minT, Max: maxT, Matchers: match("s", fmt.Sprint(s))}))
			},
			"": func(r *rapid.T) {
				want := m.answer(math.MinInt64, math.MaxInt64, func(s int) bool { return s%2 == 1 })
				require.Equal(r, want, sel(t, e, every(match("odd", "1")...)))
			},
		})
	})
}

// appendRandom appends a batch with floats and histograms, some of them twice.
func appendRandom(t testing.TB, r *rapid.T, e engine.Engine, m model, series *rapid.Generator[int], at *rapid.Generator[int64]) {
	var b engine.Batch
	refs := func(s int) engine.Ref {
		return ref(t, e, "__name__", "m", "s", fmt.Sprint(s), "odd", fmt.Sprint(s%2))
	}
	for range rapid.IntRange(1, 40).Draw(r, "floats") {
		s, at := series.Draw(r, "series"), at.Draw(r, "t")
		v := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{1, 2, math.NaN(), math.Float64frombits(value.StaleNaN)})).Draw(r, "v")
		st := startOf(r, at)
		if st != 0 {
			b.Starts = append(b.Starts, engine.Start{Index: len(b.Samples), ST: st})
		}
		b.Samples = append(b.Samples, engine.Sample{Ref: refs(s), T: at, V: v})
		m.set(s, at, since(point(at, v), st))
	}
	for range rapid.IntRange(0, 3).Draw(r, "histograms") {
		s, at, h := series.Draw(r, "series"), at.Draw(r, "t"), smallHistogram(rapid.Uint64Range(0, 9).Draw(r, "n"))
		if rapid.Bool().Draw(r, "whole") {
			st := startOf(r, at)
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: refs(s), T: at, ST: st, Int: h})
			m.set(s, at, since(histogramPoint(at, h), st))
		} else {
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: refs(s), T: at, Float: h.ToFloat(nil)})
			m.set(s, at, floatHistogramPoint(at, h.ToFloat(nil)))
		}
	}
	store(t, e, b)
}

// startOf is the start of a sample, often that of others near it, and often none.
func startOf(r *rapid.T, at int64) int64 {
	return rapid.SampledFrom([]int64{0, 0, at - 5, at - at%3_600_000}).Draw(r, "st")
}
