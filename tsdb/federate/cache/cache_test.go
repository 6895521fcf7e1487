package cache

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
)

const step = 15

// truth is a made-up answer: what each series has at each time.
func truth(series int, t int64) (v float64, h *histogram.FloatHistogram) {
	switch {
	case (t/step+int64(series))%4 == 0:
		return absent, nil
	case series == 2 && (t/step)%3 == 0:
		return absent, &histogram.FloatHistogram{Count: float64(t)}
	}
	return float64(t) * float64(series+1), nil
}

// extent is the truth between two times; series 3 lives for a while only.
func extent(from, to int64) Extent {
	x := Extent{From: from, To: to}
	for series := range 4 {
		row := Row{Labels: labels.FromStrings("i", fmt.Sprint(series))}
		for t := from; t <= to; t += step {
			v, h := truth(series, t)
			if series == 3 && t > 600 {
				v = absent
			}
			row.Values = append(row.Values, v)
			if h != nil && row.Histograms == nil {
				row.Histograms = make([]*histogram.FloatHistogram, (to-from)/step+1)
			}
			if h != nil {
				row.Histograms[len(row.Values)-1] = h
			}
		}
		if !row.empty() {
			x.Rows = append(x.Rows, row)
		}
	}
	return x
}

// flat is what an extent has, by series and time.
func flat(all ...Extent) map[string]string {
	found := map[string]string{}
	for _, x := range all {
		for _, row := range x.Rows {
			for i, v := range row.Values {
				at := fmt.Sprint(row.Labels, x.From+int64(i)*step)
				switch {
				case row.Histograms != nil && row.Histograms[i] != nil:
					found[at] = fmt.Sprint(row.Histograms[i].Count)
				case !value.IsStaleNaN(v):
					found[at] = fmt.Sprint(v)
				}
			}
		}
	}
	return found
}

var (
	key   = Key{Expr: "x", Step: step}
	state = StateOf([]Member{{"h1", engine.Revision{Epoch: 1}}})
)

func drawSpan(r *rapid.T) (from, to int64) {
	from = rapid.Int64Range(0, 60).Draw(r, "from") * step
	return from, from + rapid.Int64Range(0, 30).Draw(r, "length")*step
}

// TestWhatIsKeptAndWhatIsMissingAreTheWhole puts random extents and asks for random times.
func TestWhatIsKeptAndWhatIsMissingAreTheWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := New(0)
		kept := map[int64]bool{}
		for range rapid.IntRange(0, 12).Draw(r, "puts") {
			from, to := drawSpan(r)
			c.Put(key, state, extent(from, to))
			for at := from; at <= to; at += step {
				kept[at] = true
			}
		}
		from, to := drawSpan(r)
		known := 0
		for at := from; at <= to; at += step {
			if kept[at] {
				known++
			}
		}
		require.Equal(r, known, c.Peek(key, state, from, to))
		found := c.Get(key, state, from, to)
		require.EqualValues(r, known, c.Stats().Hits)
		all, last := found, int64(-1)
		for _, gap := range Gaps(found, from, to, step) {
			require.LessOrEqual(r, gap.From, gap.To)
			require.Greater(r, gap.From, last)
			last = gap.To
			all = append(all, extent(gap.From, gap.To))
		}
		whole := Stitch(all, from, to, step)
		require.Equal(r, flat(extent(from, to)), flat(whole))
		for _, row := range whole.Rows {
			require.Len(r, row.Values, int((to-from)/step)+1)
		}
	})
}

func TestGapsAreFew(t *testing.T) {
	x := func(from, to int64) Extent { return Extent{From: from, To: to} }
	assert.Equal(t, []Span{{0, 100}}, Gaps(nil, 0, 100, 10))
	assert.Empty(t, Gaps([]Extent{x(0, 100)}, 0, 100, 10))
	assert.Equal(t, []Span{{0, 10}, {40, 50}, {80, 100}}, Gaps([]Extent{x(20, 30), x(60, 70)}, 0, 100, 10))
	assert.Equal(t, []Span{{0, 100}}, Gaps([]Extent{x(10, 10), x(30, 30), x(50, 50), x(70, 70)}, 0, 100, 10))
}

func TestAnotherStateForgets(t *testing.T) {
	c := New(0)
	c.Put(key, state, extent(0, 150))
	for name, other := range map[string]State{
		"a change":      StateOf([]Member{{"h1", engine.Revision{Epoch: 1, Changes: 1}}}),
		"a restart":     StateOf([]Member{{"h1", engine.Revision{Epoch: 2}}}),
		"a retention":   StateOf([]Member{{"h1", engine.Revision{Epoch: 1, Since: [3]int64{5}}}}),
		"another host":  StateOf([]Member{{"h2", engine.Revision{Epoch: 1}}}),
		"one host more": StateOf([]Member{{"h1", engine.Revision{Epoch: 1}}, {"h2", engine.Revision{Epoch: 1}}}),
		"none":          StateOf(nil),
	} {
		c.Put(key, state, extent(0, 150))
		assert.Zero(t, c.Peek(key, other, 0, 150), name)
		assert.Empty(t, c.Get(key, other, 0, 150), name)
		assert.Empty(t, c.Get(key, state, 0, 150), "%s: it is gone for good", name)
	}
	assert.EqualValues(t, 6, c.Stats().Outdated)
	assert.Zero(t, c.Stats().Bytes)
	assert.Equal(t, StateOf([]Member{{"a", engine.Revision{Epoch: 1}}, {"b", engine.Revision{Epoch: 2}}}), StateOf([]Member{{"b", engine.Revision{Epoch: 2}}, {"a", engine.Revision{Epoch: 1}}}))
	assert.NotEqual(t, StateOf([]Member{{"a", engine.Revision{Epoch: 1}}, {"b", engine.Revision{Epoch: 2}}}), StateOf([]Member{{"a", engine.Revision{Epoch: 2}}, {"b", engine.Revision{Epoch: 1}}}))
}

func TestMemoryIsBounded(t *testing.T) {
	c := New(256 << 10)
	for i := range 200 {
		c.Put(Key{Expr: fmt.Sprint(i), Step: step}, state, extent(0, 1500))
		require.LessOrEqual(t, c.Stats().Bytes, int64(256<<10))
	}
	stats := c.Stats()
	assert.Positive(t, stats.Evicted)
	assert.Positive(t, stats.Entries)
	assert.EqualValues(t, 200, uint64(stats.Entries)+stats.Evicted)
	assert.Positive(t, c.Peek(Key{Expr: "199", Step: step}, state, 0, 1500), "the newest stays")
	assert.Zero(t, c.Peek(Key{Expr: "0", Step: step}, state, 0, 1500))

	c = New(1 << 10)
	c.Put(key, state, extent(0, 15_000))
	assert.Zero(t, c.Stats().Entries, "one is too large")

	c = New(0)
	for from := int64(0); from < 30_000*step; from += 1000 * step {
		c.Put(key, state, extent(from, from+999*step))
	}
	assert.Equal(t, maxSteps, c.Peek(key, state, 0, 30_000*step), "what is oldest goes")
	assert.Equal(t, 1000, c.Peek(key, state, 29_000*step, 30_000*step))
}

// dense is an extent with a value for each of some series at each step.
func dense(rows int, from, to int64) Extent {
	x := Extent{From: from, To: to}
	for i := range rows {
		x.Rows = append(x.Rows, Row{Labels: labels.FromStrings("i", fmt.Sprint(i)), Values: make([]float64, steps(from, to, step))})
	}
	return x
}

// TestOneQuestionLeavesRoomForOthers puts one piece after the other of a large answer, each of which fits.
func TestOneQuestionLeavesRoomForOthers(t *testing.T) {
	const most = 1 << 20
	c, small := New(most), Key{Expr: "small", Step: step}
	c.Put(small, state, extent(0, 150))
	before := c.Stats().Bytes
	for from := int64(0); from < 5000*step; from += 50 * step {
		c.Put(key, state, dense(100, from, from+49*step))
		require.LessOrEqual(t, c.Stats().Bytes, before+most/share+entryBytes+1)
	}
	assert.Equal(t, 11, c.Peek(small, state, 0, 150), "it is still there")
	assert.Greater(t, c.Peek(key, state, 4850*step, 4999*step), 100, "and so is what is newest, as much as fits")
	for from := int64(0); from < 5000*step; from += 50 * step { // with a hole before each, so that they do not touch
		c.Put(Key{Expr: "holes", Step: step}, state, dense(100, from, from+40*step))
	}
	assert.LessOrEqual(t, c.Stats().Bytes, before+2*(most/share+entryBytes)+6)
	assert.Equal(t, 11, c.Peek(small, state, 0, 150))
}

// TestSeriesThatComeAndGoAreNotStitchedBeyondTheBound joins extents of series that have nothing in common.
func TestSeriesThatComeAndGoAreNotStitchedBeyondTheBound(t *testing.T) {
	const most = 256 << 10
	extents := []Extent{}
	for n := range int64(200) {
		x := dense(20, n*10*step, n*10*step+9*step)
		for i := range x.Rows {
			x.Rows[i].Labels = labels.FromStrings("i", fmt.Sprint(n, i))
		}
		extents = join(extents, x, step, most)
		total := int64(0)
		for _, x := range extents {
			total += x.bytes()
		}
		require.LessOrEqual(t, total, int64(most))
		require.Equal(t, x.To, extents[len(extents)-1].To, "what is newest stays")
	}
	assert.Greater(t, steps(extents[0].From, extents[0].To, step), 10)
	last := dense(1, 20*step, 20*step)
	last.Rows[0].Histograms = []*histogram.FloatHistogram{{PositiveBuckets: make([]float64, 2000)}}
	all := join([]Extent{dense(1, 0, 19*step)}, last, step, 16_400) // on average there is room for all but one step
	require.Len(t, all, 1)
	assert.LessOrEqual(t, all[0].bytes(), int64(16_400))
	assert.Equal(t, 20*step, int(all[0].To))
	assert.Less(t, affordable([]Extent{dense(1000, 0, 0)}, 2880, 8<<20), 1040)
	assert.Zero(t, affordable([]Extent{dense(1000, 0, 0)}, 10, 50_000), "the rows alone are too much")
}

// TestWhatWasPutMeanwhileStays has two put at one time, both of whom have looked before.
func TestWhatWasPutMeanwhileStays(t *testing.T) {
	c := New(0)
	old, version := c.look(key, state)
	require.True(t, c.replace(key, state, version, join(old, extent(0, 150), step, 1<<20)))
	assert.False(t, c.replace(key, state, version, join(old, extent(300, 450), step, 1<<20)))
	c.Put(key, state, extent(300, 450))
	assert.Equal(t, 22, c.Peek(key, state, 0, 450))
	_, version = c.look(key, state)
	c.Get(key, StateOf(nil), 0, 150) // forgets
	assert.False(t, c.replace(key, state, version, nil))
	assert.Zero(t, c.Stats().Bytes)
}

func TestManyUseOneCache(t *testing.T) {
	c := New(32 << 10)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range int64(200) {
				k := Key{Expr: fmt.Sprint(i % 5), Step: step}
				from := (i * int64(worker+1)) % 40 * step
				c.Put(k, state, extent(from, from+10*step))
				for _, x := range c.Get(k, state, from, from+20*step) {
					assert.Equal(t, flat(extent(x.From, x.To)), flat(x))
				}
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, c.Stats().Bytes, int64(32<<10))
}
