package federate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// anyValue draws values that meet, and odd ones.
func anyValue() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1, 1, 2, -3, 1e300, 5e-324}), rapid.Float64())
}

// TestTwoValuesAreFoundByRank beside sorting.
func TestTwoValuesAreFoundByRank(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		values := rapid.SliceOfN(anyValue(), 1, 200).Draw(r, "values")
		first := rapid.IntRange(0, len(values)-1).Draw(r, "first")
		second := min(first+rapid.IntRange(0, 1).Draw(r, "more"), len(values)-1)
		sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
		low, high := nth(values, first, second)
		assert.True(t, low == sorted[first] || math.IsNaN(low) && math.IsNaN(sorted[first]), "%v: %v", low, sorted[first])
		assert.True(t, high == sorted[second] || math.IsNaN(high) && math.IsNaN(sorted[second]), "%v: %v", high, sorted[second])
	})
}

// TestPlacesAreFoundWhenPivotsAreBad gives an order in which the middle of three is always among the smallest.
func TestPlacesAreFoundWhenPivotsAreBad(t *testing.T) {
	values := make([]float64, 1<<12)
	for i := range values {
		values[i] = float64(i ^ i>>1&0x555)
	}
	want := slices.Clone(values)
	sort.Float64s(want)
	for _, k := range []int{0, 1, 2047, 4094, 4095} {
		place(values, k)
		assert.Equal(t, want[k], values[k])
	}
}

// TestRanksCountWhatTheyLeaveOut by group and step, whatever the bounds.
func TestRanksCountWhatTheyLeaveOut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.IntRange(1, 5).Draw(r, "steps")
		wanted := &Ranks{Labels: []string{"zone"}}
		for zone := range 3 {
			if rapid.Bool().Draw(r, "bounded") {
				wanted.Bounds = append(wanted.Bounds, RankBounds{labels.FromStrings("zone", fmt.Sprint(zone)),
					rapid.SliceOfN(anyValue(), steps, steps).Draw(r, "low"), rapid.SliceOfN(anyValue(), steps, steps).Draw(r, "high")})
			}
		}
		var rows []Row
		all := map[string]int{}
		for i := range rapid.IntRange(0, 20).Draw(r, "rows") {
			zone := fmt.Sprint(rapid.IntRange(0, 2).Draw(r, "zone"))
			row := Row{Labels: labels.FromStrings("i", fmt.Sprint(i), "zone", zone), Values: rapid.SliceOfN(rapid.OneOf(anyValue(), rapid.Just(absent)), steps, steps).Draw(r, "row")}
			rows = append(rows, row)
			for _, v := range row.Values {
				if math.Float64bits(v) != math.Float64bits(absent) {
					all[zone]++
				}
			}
		}
		ranked, err := wanted.rank(rows, steps)
		require.NoError(t, err)
		for _, piece := range ranked {
			require.NoError(t, piece.Check(steps))
			n := 0
			for i := range piece.Within {
				n += int(piece.Below[i] + piece.Within[i] + piece.Above[i])
			}
			assert.Equal(t, all[piece.Labels.Get("zone")], n)
		}
	})
}

// crowd is a world of many series on few shards, which differ from each other.
func crowd(t *testing.T, shards, series, steps int) *world {
	w := newWorld(t, shards)
	for n := range series {
		s := manySteps(n, steps)
		w.add(t, n%shards, s)
	}
	return w
}

func manySteps(n, steps int) (s series) {
	s.lset = labels.FromStrings("__name__", "g", "i", fmt.Sprint(n), "zone", fmt.Sprint(n%2))
	for step := range steps {
		s.times = append(s.times, int64(step)*15*second)
		s.values = append(s.values, float64((n*7919+step*104729)%10007)/7)
	}
	return s
}

// TestQuantilesOfManyAreNarrowed asks for far fewer values than there are, and gets the same answer.
func TestQuantilesOfManyAreNarrowed(t *testing.T) {
	w := crowd(t, 5, 3000, 20)
	w.fleet.opts.narrowFrom, w.fleet.opts.sample = 1, 256
	asked := &ranking{members: w.fleet.directory.Members()}
	w.fleet.directory = asked
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	for _, expr := range []string{`quantile(0.95, g)`, `quantile by (zone) (0.5, g)`, `quantile(0, g)`, `quantile(1, g)`, `quantile without (i) (0.999, g * 2)`, `quantile(0.5, g) - quantile(0.1, g)`} {
		asked.values.Store(0)
		w.compare(t, expr, times)
		assert.Less(t, asked.values.Load(), int64(3000*16*2/3*strings.Count(expr, "quantile")), expr)
	}
}

// TestAnswersOfRanksAreOfOneRound though samples arrive between all rounds, which shift what is looked for out of bounds.
func TestAnswersOfRanksAreOfOneRound(t *testing.T) {
	w := crowd(t, 1, 60, 20)
	w.fleet.opts.narrowFrom, w.fleet.opts.deviations = 1, 1
	w.fleet.opts.Timeout, w.fleet.opts.HedgeAfter = 2*time.Minute, time.Minute // a second question would be a round of its own
	asked := &ranking{members: w.fleet.directory.Members()}
	w.fleet.directory = asked
	rounds, added := 0, 0
	asked.before = func(e Evaluation) {
		if e.Sample > 0 {
			return
		}
		rounds++
		for range 100 << rounds {
			s := manySteps(10_000+added, 20)
			for i := range s.values {
				s.values[i] = float64([]int{1e6, -1e6}[rounds%2])
			}
			w.add(t, 0, s)
			added++
		}
	}
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	got := w.ask(t, w.engine, w.fleet, `quantile(0.5, g)`, times)
	require.NoError(t, got.Err)
	assert.GreaterOrEqual(t, rounds, 2, "bounds were missed")
	want := w.ask(t, w.alone, query.NewQueryable(w.whole), `quantile(0.5, g)`, times)
	same(t, "the median", rowsByLabels(want.Value), rowsByLabels(got.Value))
}

// oldShard knows neither ranks nor samples.
type oldShard struct{ Shard }

func (s oldShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	e.Ranks, e.Sample = nil, 0
	p, err := s.Shard.Evaluate(ctx, e)
	return p, err
}

// TestShardsThatDoNotRankGiveRows beside others that do.
func TestShardsThatDoNotRankGiveRows(t *testing.T) {
	w := crowd(t, 3, 600, 20)
	w.fleet.opts.narrowFrom, w.fleet.opts.sample = 1, 256
	all := w.fleet.directory.Members()
	all[1].Shard = oldShard{all[1].Shard}
	w.fleet.directory = members(all)
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	for _, expr := range []string{`quantile(0.95, g)`, `quantile by (zone) (0.5, g)`, `quantile without (i) (0.25, g)`} {
		w.compare(t, expr, times)
	}
	all[0].Shard, all[2].Shard = oldShard{all[0].Shard}, oldShard{all[2].Shard}
	w.compare(t, `quantile(0.95, g)`, times)
}

// TestBoundsHoldForRowsToo has shards of which some give rows, and bounds that are wrong: what is found is right, or told to be
// out of them.
func TestBoundsHoldForRowsToo(t *testing.T) {
	value := rapid.Map(rapid.IntRange(0, 20), func(n int) float64 { return float64(n) })
	rapid.Check(t, func(r *rapid.T) {
		rank := Rank{Quantile: rapid.Float64Range(0, 1).Draw(r, "quantile")}
		asked := &Ranks{Bounds: []RankBounds{{Low: []float64{value.Draw(r, "low")}, High: []float64{value.Draw(r, "high")}}}}
		bounded, whole := newQuantiles(rank, asked, 1), newQuantiles(rank, nil, 1)
		for shard := range rapid.IntRange(1, 4).Draw(r, "shards") {
			var rows []Row
			for i, v := range rapid.SliceOfN(value, 1, 8).Draw(r, "values") {
				rows = append(rows, Row{Labels: labels.FromStrings("i", fmt.Sprint(shard, i)), Values: []float64{v}})
			}
			require.NoError(r, whole.add([][]Row{rows}, nil))
			if rapid.Bool().Draw(r, "old") {
				require.NoError(r, bounded.add([][]Row{rows}, nil))
				continue
			}
			ranked, err := asked.rank(rows, 1)
			require.NoError(r, err)
			require.NoError(r, bounded.add(nil, [][]Ranked{ranked}))
		}
		want, err := whole.finish()
		require.NoError(r, err)
		got, err := bounded.finish()
		require.NoError(r, err)
		if len(bounded.missed()) == 0 {
			assert.Equal(r, want, got)
		}
	})
}

// TestBoundsAreMissedBesideOtherParts and beside a shard that gives rows: another round finds what is looked for.
func TestBoundsAreMissedBesideOtherParts(t *testing.T) {
	w := crowd(t, 3, 600, 20)
	w.fleet.opts.narrowFrom, w.fleet.opts.sample, w.fleet.opts.deviations = 1, 16, 0
	w.fleet.opts.Timeout, w.fleet.opts.HedgeAfter = 2*time.Minute, time.Minute // a second question would be a round of its own
	all := w.fleet.directory.Members()
	all[1].Shard = oldShard{all[1].Shard}
	var asked atomic.Int32
	w.fleet.directory = &ranking{members: all, before: func(e Evaluation) {
		if e.Sample == 0 {
			asked.Add(1)
		}
	}}
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	w.compare(t, `quantile(0.5, g) - max(g)`, times)
	assert.Greater(t, asked.Load(), int32(3), "bounds were missed")
}

// forgetful fails where a sample is asked for.
type forgetful struct{ Shard }

func (s forgetful) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if e.Sample > 0 {
		return Partial{}, errors.New("not now")
	}
	return s.Shard.Evaluate(ctx, e)
}

// TestSamplesAreNotNeeded for an answer.
func TestSamplesAreNotNeeded(t *testing.T) {
	w := crowd(t, 3, 600, 20)
	w.fleet.opts.narrowFrom = 1
	all := w.fleet.directory.Members()
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	for i := range all {
		all[i].Shard = forgetful{all[i].Shard}
		w.fleet.directory = members(all)
		w.compare(t, `quantile(0.95, g)`, times)
	}
}

// TestSomeShardsAreSampled where there are many, which differ from each other.
func TestSomeShardsAreSampled(t *testing.T) {
	w := newWorld(t, 80)
	for n := range 800 {
		s := manySteps(n, 20)
		for i := range s.values {
			s.values[i] += float64(n % 80 * 1000)
		}
		w.add(t, n%80, s)
	}
	w.fleet.opts.narrowFrom, w.fleet.opts.sample = 1, 64
	asked, samples := &ranking{members: w.fleet.directory.Members()}, atomic.Int32{}
	w.fleet.directory = asked
	asked.before = func(e Evaluation) {
		if e.Sample > 0 {
			samples.Add(1)
		}
	}
	times := query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	for _, expr := range []string{`quantile(0.95, g)`, `quantile by (zone) (0.5, g)`, `quantile(0.02, g)`} {
		samples.Store(0)
		w.compare(t, expr, times)
		assert.EqualValues(t, pilotMembers, samples.Load(), expr)
	}
}

// TestSpotsAreOfTheirStretches which are all of them together.
func TestSpotsAreOfTheirStretches(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 1000).Draw(r, "n")
		stretches, last := rapid.IntRange(1, n).Draw(r, "stretches"), -1
		for i := range stretches {
			at := spot(i, stretches, n, rapid.Uint64().Draw(r, "by"))
			assert.Greater(r, at, last)
			assert.Less(r, at, n)
			last = at
		}
	})
}
