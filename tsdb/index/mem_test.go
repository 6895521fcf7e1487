package index

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

func make1(t *testing.T, m *Mem, pairs ...string) uint32 {
	t.Helper()
	id, created, err := m.GetOrCreate(labels.FromStrings(pairs...))
	require.NoError(t, err)
	require.True(t, created)
	return id
}

func TestLimits(t *testing.T) {
	limits := Limits{Series: 6, SeriesPerMetric: 2, SeriesPerJob: 3, Labels: 3, NameBytes: 10, ValueBytes: 20}
	m := New(limits, time.Now)
	make1(t, m, "__name__", "up", "job", "a", "i", "1")
	make1(t, m, "__name__", "up", "job", "a", "i", "2")
	make1(t, m, "__name__", "down", "job", "a")
	for _, bad := range []struct {
		reason engine.Reason
		detail string
		pairs  []string
	}{
		{engine.ReasonMetricLimit, `__name__="up", the limit is 2`, []string{"__name__", "up", "job", "b"}},
		{engine.ReasonJobLimit, `job="a", the limit is 3`, []string{"__name__", "other", "job", "a"}},
		{engine.ReasonBadLabels, "has 4 labels, at most 3", []string{"a", "1", "b", "1", "c", "1", "d", "1"}},
		{engine.ReasonBadLabels, "without labels", nil},
		{engine.ReasonBadLabels, "without labels", []string{"a", ""}},
		{engine.ReasonBadLabels, "a label without a name", []string{"", "x"}},
		{engine.ReasonBadLabels, `label "a" is there twice`, []string{"a", "x", "a", "y"}},
		{engine.ReasonBadLabels, "not valid UTF-8", []string{"a\xff", "x"}},
		{engine.ReasonBadLabels, "not valid UTF-8", []string{"a", "x\xff"}},
		{engine.ReasonBadLabels, "has 11 bytes, at most 10", []string{strings.Repeat("n", 11), "x"}},
		{engine.ReasonBadLabels, "has 21 bytes, at most 20", []string{"a", strings.Repeat("v", 21)}},
	} {
		_, _, err := m.GetOrCreate(labels.FromStrings(bad.pairs...))
		var refusal *engine.Refusal
		if assert.ErrorAs(t, err, &refusal, "%q", bad.pairs) {
			assert.Equal(t, bad.reason, refusal.Reason)
			assert.Contains(t, refusal.Detail, bad.detail)
			assert.Equal(t, -1, refusal.Index)
		}
	}
	unsorted := labels.NewScratchBuilder(2)
	unsorted.Add("b", "1")
	unsorted.Add("a", "1")
	_, _, err := m.GetOrCreate(unsorted.Labels())
	require.ErrorContains(t, err, `"a" comes after "b"`)
	for _, i := range []string{"1", "2", "3"} {
		make1(t, m, "i", i)
	}
	_, _, err = m.GetOrCreate(labels.FromStrings("i", "4"))
	require.ErrorContains(t, err, "the shard has 6 series, the limit is 6")
	_, created, err := m.GetOrCreate(labels.FromStrings("__name__", "up", "job", "a", "i", "2", "none", ""))
	require.NoError(t, err, "a series that is there is not new")
	require.False(t, created)
	m.Remove(roaring.BitmapOf(0))
	make1(t, m, "i", "4")
}

func TestGenerations(t *testing.T) {
	m := New(Limits{}, time.Now)
	require.Zero(t, m.Generation(0))
	first := make1(t, m, "a", "1")
	require.Equal(t, uint32(1), m.Generation(first))
	m.Remove(roaring.BitmapOf(first, 77))
	require.Equal(t, uint32(2), m.Generation(first))
	_, ok := m.Labels(first)
	require.False(t, ok)
	require.Equal(t, first, make1(t, m, "a", "2"), "ids stay dense")
	require.Equal(t, uint32(2), m.Generation(first))
	m.Remove(roaring.BitmapOf(first))
	require.Equal(t, uint32(3), m.Generation(first))
	require.Zero(t, m.Len())
	_, ok = m.Lookup(labels.FromStrings("a", "2"))
	require.False(t, ok)
}

func TestLists(t *testing.T) {
	m := New(Limits{}, time.Now)
	odd := roaring.New()
	for i := range 3000 {
		set := []string{"__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprintf("%04d", i)}
		if i%2 == 1 {
			odd.Add(make1(t, m, append(set, "odd", "yes")...))
		} else {
			make1(t, m, set...)
		}
	}
	names, err := m.LabelNames(t.Context(), 0, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "i", "odd"}, names)
	names, err = m.LabelNames(t.Context(), 0, roaring.BitmapOf(0, 2))
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "i"}, names)
	names, err = m.LabelNames(t.Context(), 1, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__"}, names)
	for _, q := range []struct {
		name  string
		limit int
		ids   *roaring.Bitmap
		want  []string
	}{
		{"__name__", 0, nil, []string{"m0", "m1", "m2"}},
		{"__name__", 2, odd, []string{"m0", "m1"}},
		{"odd", 0, roaring.BitmapOf(0), []string{}},
		{"none", 0, odd, []string{}},
		{"i", 2, odd, []string{"0001", "0003"}},
		{"i", 0, roaring.BitmapOf(2999, 5, 70), []string{"0005", "0070", "2999"}},
		{"i", 3, nil, []string{"0000", "0001", "0002"}},
	} {
		values, err := m.LabelValues(t.Context(), q.name, q.limit, q.ids)
		require.NoError(t, err)
		require.Equal(t, q.want, values, "%s %d", q.name, q.limit)
	}
	values, err := m.LabelValues(t.Context(), "i", 0, nil)
	require.NoError(t, err)
	require.Len(t, values, 3000)
	require.True(t, slices.IsSorted(values))
	sorted := m.Sort(odd)
	require.Len(t, sorted, 1500)
	require.True(t, slices.IsSortedFunc(sorted, func(a, b uint32) int {
		x, _ := m.Labels(a)
		y, _ := m.Labels(b)
		return labels.Compare(x, y)
	}))
}

func TestCardinality(t *testing.T) {
	clock := time.Unix(1_700_000_000, 0)
	m := New(Limits{}, func() time.Time { return clock })
	for i := range 500 {
		make1(t, m, "__name__", "many", "i", fmt.Sprintf("%03d", i))
	}
	make1(t, m, "__name__", "few")
	found := m.Cardinality(2)
	require.InEpsilon(t, 501, found.Churned, 0.05)
	require.Equal(t, engine.Cardinality{
		Series: 501, Churned: found.Churned, Labels: 2, Values: 502,
		ByMetric:     []engine.Count{{Name: "many", Count: 500}, {Name: "few", Count: 1}},
		ByLabel:      []engine.Count{{Name: "i", Count: 500}, {Name: "__name__", Count: 2}},
		ByPair:       []engine.Count{{Name: "__name__=many", Count: 500}, {Name: "__name__=few", Count: 1}},
		BytesByLabel: []engine.Count{{Name: "i", Count: 1500}, {Name: "__name__", Count: 7}},
	}, found)
	churned := func() int { return int(m.Cardinality(0).Churned) }
	clock = clock.Add(48 * time.Hour)
	require.InEpsilon(t, 501, churned(), 0.05, "live series count however long they live")
	all := roaring.New()
	all.AddRange(0, 400)
	m.Remove(all)
	for i := range 300 {
		make1(t, m, "__name__", "new", "i", fmt.Sprint(i))
	}
	require.InEpsilon(t, 801, churned(), 0.05, "those that left count for a day")
	clock = clock.Add(26 * time.Hour)
	require.InEpsilon(t, 401, churned(), 0.05)
}

func TestSketch(t *testing.T) {
	s := newSketch()
	for i := range uint64(3_000_000) {
		s.add(mixed(i))
		switch n := i + 1; n {
		case 1, 10, 1000, 10_000, 30_000, 100_000, 1_000_000, 3_000_000:
			require.InEpsilon(t, n, s.estimate(), 0.035, "three standard errors")
		}
	}
	require.Zero(t, newSketch().estimate())
}

// TestMemConcurrent has makers, removers and readers at once; what each maker has made and nobody removes must be
// found by every selection.
func TestMemConcurrent(t *testing.T) {
	m := New(Limits{}, time.Now)
	var group sync.WaitGroup
	const rounds = 30
	for worker := range 4 {
		group.Go(func() {
			mine := labels.MustNewMatcher(labels.MatchEqual, "worker", fmt.Sprint(worker))
			old := labels.MustNewMatcher(labels.MatchNotRegexp, "i", "t.*|none")
			for round := range rounds {
				temporary := roaring.New()
				for i := range 40 {
					make1(t, m, "worker", fmt.Sprint(worker), "i", fmt.Sprintf("p%d.%d", round, i), "all", "x")
					temporary.Add(make1(t, m, "worker", fmt.Sprint(worker), "i", fmt.Sprintf("t%d.%d", round, i), "all", "x"))
				}
				found, err := m.Select(t.Context(), mine, old)
				assert.NoError(t, err)
				assert.Equal(t, 40*(round+1), int(found.GetCardinality()))
				m.Remove(temporary)
				for it := found.Iterator(); it.HasNext(); {
					lset, ok := m.Labels(it.Next())
					assert.True(t, ok && lset.Get("worker") == mine.Value)
				}
				_, err = m.LabelValues(t.Context(), "i", 0, nil)
				assert.NoError(t, err)
				m.Cardinality(3)
			}
		})
	}
	group.Wait()
	require.Equal(t, 4*40*rounds, m.Len())
}
