package durable_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/merge"
)

// hand is a clock that a test sets.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) set(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

// live is a store that takes samples by a clock.
type live struct {
	*durable.Store
	t     *testing.T
	dir   string
	clock *hand
	opts  durable.Options
}

func newLive(t *testing.T, change func(*durable.Options)) *live {
	l := &live{t: t, dir: t.TempDir(), clock: &hand{now: start}, opts: options()}
	l.opts.AnyAge, l.opts.Ahead, l.opts.Clock = false, 0, l.clock.Now
	if change != nil {
		change(&l.opts)
	}
	l.open()
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *live) open() {
	s, err := durable.Open(l.dir, l.opts)
	require.NoError(l.t, err)
	l.Store = s
}

func (l *live) reopen() {
	require.NoError(l.t, l.Close())
	l.open()
}

const step = 10 * time.Minute

// run stores a sample of each series every ten minutes for a while, with upkeep every hour.
func (l *live) run(length time.Duration, names ...string) {
	end := l.clock.Now().Add(length)
	for now := l.clock.Now(); now.Before(end); now = now.Add(step) {
		l.clock.set(now)
		for _, name := range names {
			l.write(name, now, valueAt(now))
		}
		if now.Minute() == 0 {
			require.NoError(l.t, l.Maintain(l.t.Context()))
		}
	}
	l.clock.set(end)
	require.NoError(l.t, l.Maintain(l.t.Context()))
}

func valueAt(at time.Time) float64 { return float64(at.Sub(start) / step) }

func (l *live) write(name string, at time.Time, v float64) {
	ref, err := l.Ref(labels.FromStrings("__name__", name))
	require.NoError(l.t, err)
	done, err := l.Append(l.t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: at.UnixMilli(), V: v}}})
	require.NoError(l.t, err)
	require.Empty(l.t, done.Refused)
}

// read is the samples of a series by their times.
func read(t *testing.T, s *durable.Store, name string, tier engine.Tier, column engine.Column) map[int64]float64 {
	set, err := s.Select(t.Context(), engine.Selection{
		Min: merge.All.Min / 4, Max: merge.All.Max / 4, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", name)}, Tier: tier, Column: column,
	})
	require.NoError(t, err)
	got := map[int64]float64{}
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			at, v := it.At()
			got[at] = v
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	require.NoError(t, set.Close())
	return got
}

func oldest(samples map[int64]float64) time.Time {
	least := merge.All.Max
	for at := range samples {
		least = min(least, at)
	}
	return time.UnixMilli(least)
}

func only(name string) []*labels.Matcher {
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", name)}
}

// TestRules keeps some series shorter and some longer than the others.
func TestRules(t *testing.T) {
	const hour = time.Hour
	l := newLive(t, func(o *durable.Options) {
		o.Retention = durable.Retention{
			Keep: durable.Keep{Raw: 48 * hour, FiveMinutes: 72 * hour, Hour: 0},
			Rules: []durable.Rule{
				{Matchers: only("short"), Keep: durable.Keep{Raw: 12 * hour, FiveMinutes: 24 * hour, Hour: 48 * hour}},
				{Matchers: only("short|long"), Keep: durable.Keep{Raw: 96 * hour, FiveMinutes: 0, Hour: 0}}, // «short» is decided
			},
		}
	})
	names := []string{"short", "usual", "long"}
	l.run(7*24*hour, names...)
	check := func(t *testing.T) {
		now := l.clock.Now()
		// Samples end with the six-hour step behind their age, and never before it.
		for i, keep := range []time.Duration{12 * hour, 48 * hour, 96 * hour} {
			got := read(t, l.Store, names[i], engine.TierRaw, 0)
			age := now.Sub(oldest(got))
			assert.GreaterOrEqual(t, age, keep-step, names[i])
			assert.LessOrEqual(t, age, keep+6*hour, names[i])
			for at := now.Add(-keep); at.Before(now); at = at.Add(step) {
				require.Contains(t, got, at.UnixMilli(), names[i])
			}
		}
		for i, keep := range []time.Duration{48 * hour, 0, 0} {
			got := read(t, l.Store, names[i], engine.TierHour, engine.ColumnCount)
			if keep == 0 {
				assert.Equal(t, start.Truncate(hour), oldest(got).UTC(), names[i])
				continue
			}
			assert.LessOrEqual(t, now.Sub(oldest(got)), keep+24*hour)
			assert.GreaterOrEqual(t, now.Sub(oldest(got)), keep-hour)
		}
		assert.Equal(t, start, oldest(read(t, l.Store, "long", engine.TierFiveMinutes, engine.ColumnLast)).UTC())
	}
	check(t)
	t.Run("reopened", func(t *testing.T) { l.reopen(); check(t) })
	t.Run("idempotent", func(t *testing.T) {
		before := l.Stats().Blocks
		require.NoError(t, l.Maintain(t.Context()))
		require.NoError(t, l.Maintain(t.Context()))
		assert.Equal(t, before, l.Stats().Blocks)
		check(t)
	})
}

// TestRewrite frees the space of what rules have ended.
func TestRewrite(t *testing.T) {
	l := newLive(t, func(o *durable.Options) {
		o.Retention.Rules = []durable.Rule{{Matchers: only("short.*"), Keep: durable.Keep{Raw: time.Hour}}}
	})
	l.run(72*time.Hour, "short1", "short2", "short3", "usual")
	want := len(read(t, l.Store, "usual", engine.TierRaw, 0))
	assert.Equal(t, 72*6, want)
	for _, m := range l.Stats().Blocks {
		if m.Tier == engine.TierRaw && time.UnixMilli(m.MaxTime).Before(start.Add(48*time.Hour)) {
			assert.Equal(t, uint64(1), m.Series, "block %s to %s", time.UnixMilli(m.MinTime).UTC(), time.UnixMilli(m.MaxTime).UTC())
		}
	}
}

// TestRulesWaitForWindows holds that no rule takes samples whose windows are not made.
func TestRulesWaitForWindows(t *testing.T) {
	l := newLive(t, func(o *durable.Options) {
		o.Retention.Rules = []durable.Rule{{Matchers: only("a"), Keep: durable.Keep{Raw: time.Hour}}}
		o.Tiers = []durable.TierWindows{{Tier: engine.TierFiveMinutes}, {Tier: engine.TierHour, After: 36 * time.Hour}}
	})
	l.run(48*time.Hour, "a")
	got := read(t, l.Store, "a", engine.TierRaw, 0)
	age := l.clock.Now().Sub(oldest(got))
	assert.Greater(t, age, 35*time.Hour)
	assert.Less(t, age, 36*time.Hour+12*time.Hour)
	hours := read(t, l.Store, "a", engine.TierHour, engine.ColumnCount)
	sum := 0.0
	for _, n := range hours {
		sum += n
	}
	assert.Equal(t, 48.0*6, sum)

	// The policy can be changed while the store is open.
	l.Configure(durable.Retention{Rules: l.opts.Retention.Rules}, []durable.TierWindows{})
	require.NoError(t, l.Maintain(t.Context()))
	assert.Less(t, l.clock.Now().Sub(oldest(read(t, l.Store, "a", engine.TierRaw, 0))), 12*time.Hour)
}

// TestExpiredWindowsStayAway holds that windows whose time is over are not made again of samples that are kept longer.
func TestExpiredWindowsStayAway(t *testing.T) {
	l := newLive(t, func(o *durable.Options) {
		o.Retention.Keep = durable.Keep{FiveMinutes: 24 * time.Hour, Hour: time.Hour}
	})
	l.run(24*time.Hour, "a")
	l.clock.set(start.Add(10 * 24 * time.Hour))
	for range 3 {
		require.NoError(t, l.Maintain(t.Context()))
		for _, m := range l.Stats().Blocks {
			assert.Equal(t, engine.TierRaw, m.Tier)
		}
	}
	assert.Len(t, read(t, l.Store, "a", engine.TierRaw, 0), 24*6)
}

// imported adds samples of one series as a block.
func (l *live) imported(name string, from time.Time, n int, value func(i int) float64) {
	var times []int64
	var values []float64
	for i := range n {
		times, values = append(times, from.Add(time.Duration(i)*step).UnixMilli()), append(values, value(i))
	}
	_, err := l.ImportBlock(l.t.Context(), func(add func(labels.Labels, []merge.Chunk) error) error {
		return add(labels.FromStrings("__name__", name), []merge.Chunk{merge.NewDense(nil, nil, times, values)})
	})
	require.NoError(l.t, err)
}

// TestImport adds samples to times whose windows exist, and to such as have nothing yet.
func TestImport(t *testing.T) {
	l := newLive(t, nil)
	l.run(24*time.Hour, "a", "b")
	const more = 1000
	l.imported("a", start.Add(6*time.Hour), 12, func(i int) float64 { return more + float64(i) }) // in place of others
	l.imported("new", start.Add(-48*time.Hour), 6*24, func(i int) float64 { return float64(i) })  // before all
	check := func(t *testing.T) {
		a := read(t, l.Store, "a", engine.TierRaw, 0)
		assert.Len(t, a, 24*6)
		for i := range 12 {
			assert.Equal(t, more+float64(i), a[start.Add(6*time.Hour+time.Duration(i)*step).UnixMilli()], i)
		}
		assert.Equal(t, 5.0, a[start.Add(5*step).UnixMilli()])
		assert.Len(t, read(t, l.Store, "new", engine.TierRaw, 0), 6*24)
	}
	check(t)
	require.Equal(t, 2, l.Stats().Unrolled)
	l.reopen() // what is to be done survives
	require.Equal(t, 2, l.Stats().Unrolled)
	check(t)
	other := read(t, l.Store, "b", engine.TierHour, engine.ColumnSum)
	require.NoError(t, l.Maintain(t.Context()))
	require.Zero(t, l.Stats().Unrolled)
	check(t)
	for _, name := range []string{"a", "b", "new"} {
		raw := read(t, l.Store, name, engine.TierRaw, 0)
		for _, column := range []engine.Column{engine.ColumnSum, engine.ColumnCount} {
			assert.Equal(t, windows(raw, column), read(t, l.Store, name, engine.TierHour, column), "%s %v", name, column)
		}
	}
	assert.Equal(t, other, read(t, l.Store, "b", engine.TierHour, engine.ColumnSum))
	for _, m := range l.Stats().Blocks { // overlaps are gone
		for _, other := range l.Stats().Blocks {
			same := m.Tier == other.Tier && m.ID != other.ID && m.MinTime <= other.MaxTime && other.MinTime <= m.MaxTime
			assert.False(t, same, "%v %v", m, other)
		}
	}
}

// windows are sums or counts of an hour each.
func windows(raw map[int64]float64, column engine.Column) map[int64]float64 {
	const hour = int64(3600_000)
	made := map[int64]float64{}
	for at, v := range raw {
		end := (at + hour - 1) / hour * hour
		if column == engine.ColumnCount {
			v = 1
		}
		made[end] += v
	}
	return made
}

// TestImportKeepsOldWindows holds that samples for one series, imported when the raw samples of all are gone, change
// no window of others and none of other times.
func TestImportKeepsOldWindows(t *testing.T) {
	l := newLive(t, func(o *durable.Options) { o.Retention.Raw = 12 * time.Hour })
	l.run(48*time.Hour, "a", "b")
	a, b := read(t, l.Store, "a", engine.TierHour, engine.ColumnSum), read(t, l.Store, "b", engine.TierHour, engine.ColumnSum)
	l.imported("a", start.Add(6*time.Hour+step), 6, func(int) float64 { return 2 })
	require.NoError(t, l.Maintain(t.Context()))
	assert.Equal(t, b, read(t, l.Store, "b", engine.TierHour, engine.ColumnSum))
	a[start.Add(7*time.Hour).UnixMilli()] = 12
	assert.Equal(t, a, read(t, l.Store, "a", engine.TierHour, engine.ColumnSum))
}

// TestSnapshot opens what was linked while samples came in.
func TestSnapshot(t *testing.T) {
	l := newLive(t, nil)
	l.run(24*time.Hour, "a")
	l.imported("old", start.Add(-24*time.Hour), 10, func(i int) float64 { return float64(i) })
	want := map[string]int{"a": 24 * 6, "old": 10}
	dir := filepath.Join(t.TempDir(), "copy")
	var writer sync.WaitGroup
	acknowledged := make(chan int, 1)
	began := make(chan struct{})
	writer.Go(func() {
		for i := range 500 {
			l.write("live"+strconv.Itoa(i%7), l.clock.Now().Add(time.Duration(i)*time.Millisecond), 1)
			if i == 100 {
				close(began)
			}
		}
	})
	<-began
	acknowledged <- 101
	require.NoError(t, l.Snapshot(t.Context(), dir))
	writer.Wait()
	require.ErrorContains(t, l.Snapshot(t.Context(), dir), "it is there already")
	// What happens to the store does not touch the snapshot.
	require.NoError(t, l.Delete(t.Context(), merge.All.Min, merge.All.Max))
	l.clock.set(l.clock.Now().Add(24 * time.Hour))
	require.NoError(t, l.Maintain(t.Context()))

	opts := l.opts
	opts.ReadOnly = true
	readOnly, err := durable.Open(dir, opts)
	require.NoError(t, err)
	check := func(s *durable.Store) {
		for name, n := range want {
			assert.Len(t, read(t, s, name, engine.TierRaw, 0), n, name)
		}
		n := 0
		for i := range 7 {
			n += len(read(t, s, fmt.Sprint("live", i), engine.TierRaw, 0))
		}
		assert.GreaterOrEqual(t, n, <-acknowledged)
		acknowledged <- n
		assert.Equal(t, 1, s.Stats().Unrolled)
	}
	check(readOnly)
	require.NoError(t, readOnly.Close())
	opts.ReadOnly = false
	writable, err := durable.Open(dir, opts)
	require.NoError(t, err)
	check(writable)
	require.NoError(t, writable.Maintain(t.Context()))
	require.NoError(t, writable.Close())
}
