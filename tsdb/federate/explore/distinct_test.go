package explore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// TestSetsHoldEachOnce compares with a map, the hash 0 included.
func TestSetsHoldEachOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		set, want := hashSet{}, map[uint64]bool{}
		for _, hash := range rapid.SliceOf(rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64())).Draw(r, "hashes") {
			require.Equal(r, !want[hash], set.add(hash))
			want[hash] = true
		}
		require.Equal(r, len(want), set.len())
		got := map[uint64]bool{}
		set.each(func(hash uint64) { got[hash] = true })
		require.Equal(r, want, got)
	})
}

// TestCountsBeyondTheBudgetAreEstimates counts many, here and on several shards that share half of them.
func TestCountsBeyondTheBudgetAreEstimates(t *testing.T) {
	const n = 200_000
	random := rand.New(rand.NewPCG(1, 2))
	shared := make([]uint64, n/2)
	for i := range shared {
		shared[i] = random.Uint64()
	}
	for name, limits := range map[string]struct{ held, sent, merged int }{
		"on its way": {n * 2, 1000, n * 4}, "on the shard": {5000, n, n * 4}, "where it is united": {n * 2, n * 2, 5000},
	} {
		united := &tally{budget: &budget{limits.merged}}
		own := uint64(0)
		for range 3 {
			part := &tally{budget: &budget{limits.held}}
			for _, hash := range shared {
				part.add(hash, false)
			}
			for range n / 2 {
				part.add(random.Uint64(), true)
			}
			d := part.distinct(&budget{limits.sent})
			if part.sketch == nil && d.Sketch == nil {
				require.True(t, slices.IsSorted(d.Hashes))
				require.LessOrEqual(t, len(d.Hashes), maxSent)
			}
			own += d.Own
			united.merge(d)
		}
		got, estimated := united.count()
		assert.True(t, estimated, name)
		assert.InEpsilon(t, 2*n, got+own, 0.05, name)
	}
}

// TestCountsWithinTheBudgetAreExact is the same of fewer.
func TestCountsWithinTheBudgetAreExact(t *testing.T) {
	united, own := &tally{budget: &budget{maxHashes}}, uint64(0)
	for shard := range uint64(3) {
		part := &tally{budget: &budget{maxHashes}}
		for i := range uint64(1000) {
			part.add(mix(i), false)
			part.add(mix(1_000_000*(shard+1)+i), true)
		}
		d := part.distinct(&budget{maxAllSent})
		own += d.Own
		united.merge(d)
	}
	got, estimated := united.count()
	assert.False(t, estimated)
	assert.Equal(t, uint64(4000), got+own)
}

// TestSmallCountsAreNoSketches exhausts budgets with many small counts: none of them becomes a sketch of 8 KiB.
func TestSmallCountsAreNoSketches(t *testing.T) {
	held, sent := &budget{100}, &budget{100}
	for n := range uint64(1000) {
		one := &tally{budget: held}
		for i := range uint64(3) {
			one.add(mix(n*3+i), false)
		}
		d := one.distinct(sent)
		require.Nil(t, one.sketch)
		require.Nil(t, d.Sketch)
		require.Len(t, d.Hashes, 3)
	}
	assert.Equal(t, 100-3000, held.left)
	assert.Equal(t, 100-3000, sent.left)
	large := &tally{budget: held}
	for i := range uint64(sketched + 1) {
		large.add(mix(1_000_000+i), false)
	}
	require.NotNil(t, large.sketch)
	assert.Equal(t, 100-3000-heldSketch, held.left, "the hashes are given back, the sketch is counted")
	require.NotNil(t, large.distinct(sent).Sketch)
	assert.Equal(t, 100-3000-sketched, sent.left)
}

// TestASpentBudgetEnds has no groups begin when the budget is spent, and is an error when it is spent twice.
func TestASpentBudgetEnds(t *testing.T) {
	c := &count{budget: &budget{0}, groups: map[groupKey]*group{}, cut: map[string]uint64{}}
	require.NotNil(t, c.group(ByMetric, "a", 0))
	c.budget.left = -1
	assert.Nil(t, c.group(ByMetric, "b", 0))
	assert.NotNil(t, c.group(ByMetric, "a", 0))
	assert.Equal(t, map[string]uint64{ByMetric: 1}, c.cut)
	require.NoError(t, c.budget.check())
	m := NewMerger()
	m.budget.left = -maxHashes - 1
	m.Add("h", Question{}, Report{Groups: []Group{{By: ByMetric, Name: "a"}}})
	_, cut := m.Rows(ByMetric)
	assert.Equal(t, uint64(1), cut)
	var limit *query.LimitError
	require.ErrorAs(t, m.Check(), &limit)
	assert.ErrorContains(t, limit, "name a metric in the selector")
}

// TestReportsAreBounded tells of groups each of which has as many hashes as are no sketch yet.
func TestReportsAreBounded(t *testing.T) {
	c := &count{Question: Question{By: []string{ByMetric, ByPair}}, budget: &budget{1 << 40}, groups: map[groupKey]*group{}, cut: map[string]uint64{}}
	for i, by := range c.By {
		for n := range 1500 {
			shared := &tally{budget: c.budget}
			for hash := range uint64(sketched) {
				shared.add(mix(uint64(i*10_000_000+n*sketched)+hash), false)
			}
			c.groups[groupKey{by, fmt.Sprint(n)}] = &group{spans: [2]spanTally{{shared: shared, own: uint64(n)}}}
		}
	}
	r := c.report()
	bytes, of := 0, map[string]int{}
	for _, g := range r.Groups {
		bytes += 8 * len(g.Now.Series.Hashes)
		of[g.By]++
	}
	assert.LessOrEqual(t, bytes, MaxReportBytes)
	for _, by := range c.By {
		assert.Greater(t, of[by], 400, "the kinds share")
		assert.Equal(t, uint64(1500-of[by]), r.Cut[by])
	}
	assert.Equal(t, "1499", r.Groups[0].Name, "the largest come first")
}

// endless is a set of one series without end, which tells of its end to whoever asks too often.
type endless struct {
	Store
	engine.SeriesSet
	cancel context.CancelFunc
	read   int
}

func (e *endless) Select(context.Context, engine.Selection) (engine.SeriesSet, error) { return e, nil }
func (e *endless) Next() bool {
	if e.read++; e.read == 1000 {
		e.cancel()
	}
	return e.read < 100_000
}
func (*endless) At() engine.Series { return endlessSeries{} }
func (*endless) Err() error        { return nil }
func (*endless) Close() error      { return nil }

type endlessSeries struct{ engine.Series }

func (endlessSeries) Labels() labels.Labels { return labels.FromStrings("__name__", "a") }

func TestNobodyCountsForThoseWhoLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	set := &endless{cancel: cancel}
	_, err := Count(ctx, set, "", Question{By: []string{ByMetric}, Now: Span{0, 1}, Before: Span{0, -1}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, set.read, 2000)
}

func TestFindingsInWords(t *testing.T) {
	f := Finding{Metric: "http_requests_total", Label: "request_id", Values: 48_211, Series: 51_004, Left: 212, GrowthShare: 0.979, Since: DefaultSince}
	assert.Equal(t, "label request_id of metric http_requests_total: 48,211 values, 97 % of its growth in 24 h; dropping it leaves 212 of 51,004 series", f.String())
	f = Finding{Metric: "m", Label: "a", Values: 1, Series: 4, Left: 2, Estimated: true}
	assert.Equal(t, "label a of metric m: about 1 value; dropping it leaves about 2 of 4 series", f.String())
	assert.Equal(t, "1,234,567", digits(1_234_567))
	assert.Equal(t, "90 min", short(90*60*1e9))
	assert.Equal(t, "1.5s", short(15e8))
}
