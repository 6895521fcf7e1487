package federate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// TestFirstsAreThoseOfSorting by group and step, within any bounds: never more than so many, equal ones in the order of rows.
func TestFirstsAreThoseOfSorting(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.IntRange(1, 4).Draw(r, "steps")
		wanted := &Ranks{Labels: []string{"zone"}, First: rapid.IntRange(1, 4).Draw(r, "first"), Lowest: rapid.Bool().Draw(r, "lowest")}
		for zone := range 2 {
			if rapid.Bool().Draw(r, "bounded") {
				wanted.Bounds = append(wanted.Bounds, RankBounds{labels.FromStrings("zone", fmt.Sprint(zone)),
					rapid.SliceOfN(anyValue(), steps, steps).Draw(r, "low"), rapid.SliceOfN(anyValue(), steps, steps).Draw(r, "high")})
			}
		}
		bounds := wanted.byLabels()
		var rows []Row
		for i := range rapid.IntRange(0, 15).Draw(r, "rows") {
			lset := labels.FromStrings("i", fmt.Sprint(i), "zone", fmt.Sprint(rapid.IntRange(0, 2).Draw(r, "zone")))
			rows = append(rows, Row{Labels: lset, Values: rapid.SliceOfN(rapid.OneOf(anyValue(), rapid.Just(absent)), steps, steps).Draw(r, "row")})
		}
		want := map[string]string{}
		for zone := range 3 {
			lset := labels.FromStrings("zone", fmt.Sprint(zone))
			for step := range steps {
				var in []Row
				for _, row := range rows {
					b := bounds[string(lset.Bytes(nil))]
					if v := row.Values[step]; row.Labels.Get("zone") == lset.Get("zone") && there(v) && (b == nil || !b.out(step, v)) {
						in = append(in, row)
					}
				}
				slices.SortStableFunc(in, func(a, b Row) int {
					v, w := a.Values[step], b.Values[step]
					switch {
					case math.IsNaN(v) || math.IsNaN(w): // the last, whichever way
						return cmp.Compare(w, v)
					case wanted.Lowest:
						return cmp.Compare(v, w)
					}
					return cmp.Compare(w, v)
				})
				for _, row := range in[:min(len(in), wanted.First)] {
					want[fmt.Sprint(row.Labels, step)] = fmt.Sprint(row.Values[step])
				}
			}
		}
		got := map[string]string{}
		for _, row := range wanted.firsts(rows, steps) {
			found := false
			for step, v := range row.Values {
				if there(v) {
					got[fmt.Sprint(row.Labels, step)], found = fmt.Sprint(v), true
				}
			}
			assert.True(t, found, "a row without values is left")
		}
		assert.Equal(t, want, got)
	})
}

// TestFirstOfAreNumbers that are the same at all times.
func TestFirstOfAreNumbers(t *testing.T) {
	for expr, want := range map[string]*First{
		`topk(3, x)`:                            {Few: 3, Of: "x"},
		`bottomk by (a) ((2.9), (rate(x[5m])))`: {Few: 2, Lowest: true, Labels: []string{"a"}, Of: "rate(x[5m])"},
		`topk without (a) (1, -x)`:              {Few: 1, Labels: []string{"a"}, Without: true, Of: "-x"},
		`topk(0.9, x)`:                          nil,
		`topk(-1, x)`:                           nil,
		`topk(NaN, x)`:                          nil,
		`topk(Inf, x)`:                          nil,
		`topk(time() / 1000, x)`:                nil,
	} {
		tree, err := parser.NewParser(query.ParserOptions()).ParseExpr(expr)
		require.NoError(t, err)
		assert.Equal(t, want, firstOf(tree.(*parser.AggregateExpr)), expr)
	}
}

// leads tells whether a question looks for bounds of first values.
func leads(e Evaluation) bool {
	return len(e.Ranks) > 0 && e.Ranks[0] != nil && e.Ranks[0].First > 0 && e.Ranks[0].Bounds == nil
}

// knowing is a directory whose shards all tell the same number of series.
type knowing struct {
	Directory
	series int64
}

func (k knowing) Known(_ context.Context, members []Member) map[string]Known {
	all := map[string]Known{}
	for _, m := range members {
		all[m.Name] = Known{Series: k.series}
	}
	return all
}

// crowded is how many shards there are in tests of bounds.
const crowded = 30

// foremostWorld is a world of many shards of which the first values are looked for by bounds, and what counts how they are.
func foremostWorld(t *testing.T) (*world, *ranking) {
	w := crowd(t, crowded, 20*crowded, 20)
	asked := &ranking{members: w.fleet.directory.Members()}
	w.fleet.opts.leadFrom, w.fleet.opts.firstsFrom = crowded, 1
	w.fleet.directory = knowing{asked, 20}
	return w, asked
}

var (
	foremostTimes = query.Range{Start: time.UnixMilli(60 * second), End: time.UnixMilli(285 * second), Step: 15 * time.Second}
	foremostExprs = []string{
		`topk(5, g)`, `bottomk(5, g)`, `topk by (zone) (3, g)`, `bottomk without (i) (2, g * 2)`, `topk(1, max_over_time(g[1m]))`, `topk(2, g) - bottomk(2, g)`,
		`topk by (i) (2, g)`, `topk(2000, g)`, `quantile(0.5, g) - sum(topk(4, g))`, `topk(3, -g)`, `topk(2, g @ 120)`,
	}
)

// TestFirstOfManyAreNarrowed asks for far fewer values than each shard has of them, and gets the same answer.
func TestFirstOfManyAreNarrowed(t *testing.T) {
	w, asked := foremostWorld(t)
	deciding := atomic.Int32{}
	asked.before = func(e Evaluation) {
		if !leads(e) && e.Sample == 0 {
			deciding.Add(1)
		}
	}
	for _, series := range []int64{20, 1 << 20} { // the second are asked for the first of an expression that looks for them itself
		w.fleet.directory = knowing{asked, series}
		for _, expr := range foremostExprs {
			deciding.Store(0)
			w.compare(t, expr, foremostTimes)
			w.compare(t, expr, query.Range{Start: foremostTimes.Start})
			assert.EqualValues(t, 2*crowded, deciding.Load(), "%s: bounds of shards that stay as they are hold", expr)
		}
		for _, expr := range []string{`topk(5, g)`, `bottomk(5, g)`} {
			asked.rows.Store(0)
			w.compare(t, expr, foremostTimes)
			assert.Less(t, asked.rows.Load(), int64(crowded*5*16*3/4), expr)
			assert.GreaterOrEqual(t, asked.rows.Load(), int64((5+1)*5*16), expr)
		}
	}
}

// TestFewShardsAreAskedOnce for their first values.
func TestFewShardsAreAskedOnce(t *testing.T) {
	w := crowd(t, 63, 630, 20)
	asked, led := &ranking{members: w.fleet.directory.Members()}, atomic.Int32{}
	w.fleet.directory, w.fleet.opts.firstsFrom = knowing{asked, 10}, 1
	asked.before = func(e Evaluation) {
		if leads(e) {
			led.Add(1)
		}
	}
	w.compare(t, `topk(5, g)`, foremostTimes)
	assert.Zero(t, led.Load())
	w.fleet.opts.leadFrom = 63
	w.compare(t, `topk(5, g)`, foremostTimes)
	assert.EqualValues(t, 8, led.Load())
}

// lying tells other values while bounds are sought than when the answer is: as a shard does whose samples go or change, or
// a bound that is wrong for whatever reason.
type lying struct {
	Shard
	change func(step int, v float64) float64
	rounds *atomic.Int32
}

func (s lying) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	p, err := s.Shard.Evaluate(ctx, e)
	if !leads(e) {
		s.rounds.Add(1)
		return p, err
	}
	for _, rows := range p.Rows {
		for _, row := range rows {
			for step, v := range row.Values {
				if there(v) {
					row.Values[step] = s.change(step, v)
				}
			}
		}
	}
	return p, err
}

// TestWrongBoundsAreFoundOut by the answer, at each step of its own, whichever way they are wrong.
func TestWrongBoundsAreFoundOut(t *testing.T) {
	w, asked := foremostWorld(t)
	honest := slices.Clone(asked.members)
	for _, test := range []struct {
		what   string
		change func(int, float64) float64
		// rounds are those of the two questions at the end: a second one for each that missed something.
		rounds int
	}{
		{"high", func(_ int, v float64) float64 { return v + 1400 }, 3},
		{"low", func(_ int, v float64) float64 { return v - 1400 }, 3},
		{"high and low", func(step int, v float64) float64 { return v + float64(step%3-1)*700 }, 4},
		{"high at times", func(step int, v float64) float64 { return v + float64(step%2)*1e6 }, 3},
		{"infinite", func(step int, _ float64) float64 { return math.Inf(step%2*2 - 1) }, 4},
		{"no number", func(int, float64) float64 { return math.NaN() }, 2},
	} {
		t.Run(test.what, func(t *testing.T) {
			rounds := &atomic.Int32{}
			for i := range honest {
				asked.members[i].Shard = lying{honest[i].Shard, test.change, rounds}
			}
			for _, expr := range foremostExprs[:6] {
				w.compare(t, expr, foremostTimes)
			}
			rounds.Store(0)
			w.compare(t, `topk(5, g)`, foremostTimes)
			w.compare(t, `bottomk(5, g)`, foremostTimes)
			assert.EqualValues(t, test.rounds*len(honest), rounds.Load())
		})
	}
}

// hesitant fails where bounds are sought, or where they are not.
type hesitant struct {
	Shard
	leads bool
}

func (s hesitant) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if leads(e) == s.leads {
		return Partial{}, errors.New("not now")
	}
	return s.Shard.Evaluate(ctx, e)
}

// TestBoundsAreNotNeeded for an answer, and those of a shard that is missing in it take nothing away.
func TestBoundsAreNotNeeded(t *testing.T) {
	w, asked := foremostWorld(t)
	whole := slices.Clone(asked.members)
	for i := range asked.members {
		asked.members[i].Shard = hesitant{whole[i].Shard, true}
	}
	w.compare(t, `topk(5, g)`, foremostTimes)
	for i := range asked.members {
		if asked.members[i] = whole[i]; i%2 == 0 {
			asked.members[i].Shard = hesitant{whole[i].Shard, false}
		}
	}
	got := w.ask(t, w.engine, w.fleet, `topk(5, g)`, foremostTimes)
	require.NoError(t, got.Err)
	assert.Len(t, got.Warnings, 1)
	var left members
	for i := 1; i < len(whole); i += 2 {
		left = append(left, whole[i])
	}
	want := w.ask(t, w.engine, NewFleet(left, Options{}), `topk(5, g)`, foremostTimes)
	require.NoError(t, want.Err)
	same(t, "the first of those that are there", rowsByLabels(want.Value), rowsByLabels(got.Value))
}

// TestShardsThatDoNotKnowFirstsGiveRows beside others that do.
func TestShardsThatDoNotKnowFirstsGiveRows(t *testing.T) {
	w, asked := foremostWorld(t)
	for i := range asked.members {
		if i%3 == 0 {
			asked.members[i].Shard = oldShard{asked.members[i].Shard}
		}
	}
	for _, expr := range foremostExprs {
		w.compare(t, expr, foremostTimes)
	}
}

// TestRowsBesidesTheFirstAreNotHeld, and rows of another length are refused.
func TestRowsBesidesTheFirstAreNotHeld(t *testing.T) {
	rows := func(n, steps int) (all []Row) {
		for i := range n {
			all = append(all, Row{Labels: labels.FromStrings("i", fmt.Sprint(i)), Values: slices.Repeat([]float64{float64(i)}, steps)})
		}
		return all
	}
	f := newForemost(&Ranks{First: 2, Labels: []string{"zone"}}, 3)
	require.NoError(t, f.add([][]Row{rows(100, 3)}, nil))
	left, err := f.finish()
	require.NoError(t, err)
	require.Len(t, left, 2)
	for _, row := range left {
		require.GreaterOrEqual(t, row.Values[0], 98.0)
	}
	require.ErrorContains(t, newForemost(f.ranks, 3).add([][]Row{rows(100, 2)}, nil), "2 values and 0 histograms for 3 steps")
}

// TestEqualValuesAreAsManyAsWithoutBounds though all that are equal to a bound are within: where all are equal it is those of
// the first series, as in one store, and else as many of each value.
func TestEqualValuesAreAsManyAsWithoutBounds(t *testing.T) {
	w := newWorld(t, crowded)
	for n := range 10 * crowded {
		s := manySteps(n, 20)
		for i := range s.values {
			s.values[i] = float64(int(s.values[i]) % 4)
		}
		w.add(t, n%crowded, s)
		s.lset, s.values = labels.FromStrings("__name__", "up", "i", fmt.Sprintf("%03d", n)), slices.Repeat([]float64{1}, 20)
		w.add(t, n%crowded, s)
	}
	asked, deciding := &ranking{members: w.fleet.directory.Members()}, atomic.Int32{}
	w.fleet.directory, w.fleet.opts.firstsFrom = knowing{asked, 20}, 1
	w.fleet.opts.leadFrom = crowded
	asked.before = func(e Evaluation) {
		if !leads(e) {
			deciding.Add(1)
		}
	}
	w.compare(t, `topk(7, up)`, foremostTimes)
	w.compare(t, `bottomk(7, up)`, foremostTimes)
	assert.EqualValues(t, 2*crowded, deciding.Load(), "what is equal to a bound is within")
	assert.LessOrEqual(t, asked.rows.Load(), int64(2*(crowded+5)*7*16), "no shard gives more than are looked for")
	for _, expr := range []string{`topk(7, g)`, `bottomk by (zone) (5, g)`} {
		w.compare(t, `count_values("value", `+expr+`)`, foremostTimes)
	}
}
