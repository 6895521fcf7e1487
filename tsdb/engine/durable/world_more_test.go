package durable_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/rollup"
)

// windows compares the windows of the series that nobody deletes with those of all samples they ever had.
func (w *world) windows() string {
	tier := []engine.Tier{engine.TierFiveMinutes, engine.TierHour}[w.IntN(2)]
	column := []engine.Column{engine.ColumnLast, engine.ColumnCount, engine.ColumnSum, engine.ColumnMin, engine.ColumnMax}[w.IntN(5)]
	minT, maxT := w.now()-w.Int64N(100*3_600_000), w.now()+3_600_000
	if w.IntN(3) == 0 {
		maxT = minT + w.Int64N(10*3_600_000)
	}
	set, err := w.store.Select(w.t.Context(), engine.Selection{Min: minT, Max: maxT, Matchers: []*labels.Matcher{matchStill()}, Tier: tier, Column: column})
	require.NoError(w.t, err)
	found := map[string]map[int64]float64{}
	for set.Next() {
		name := set.At().Labels().Get("__name__")
		require.NotContains(w.t, found, name)
		found[name] = map[int64]float64{}
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			require.True(w.t, minT <= t && t <= maxT)
			found[name][t] = v
		}
		require.NoError(w.t, it.Err())
	}
	require.NoError(w.t, set.Err())
	require.NoError(w.t, set.Close())
	for name, cells := range w.model.full {
		s := w.model.series[name]
		for end, want := range windowsShown(cells, tier.Window(), column) {
			if keep := w.keep(s, tier); end < minT || end > maxT || keep > 0 && end <= w.now()-keep {
				continue
			}
			if w.mayBeGone(end, tier) {
				continue
			}
			got, there := found[name][end]
			require.True(w.t, there, "%s has no window of %s at %s", name, tier, clockOf(end))
			require.InDelta(w.t, want, got, 1e-6, "%s, column %d, window of %s at %s", name, column, tier, clockOf(end))
		}
	}
	return fmt.Sprintf("%s column %d", tier, column)
}

// windowsShown are the values of a column by the ends of their windows.
func windowsShown(cells map[int64]float64, window int64, column engine.Column) map[int64]float64 {
	type group struct {
		last                  int64
		count, sum, low, high float64
		lastV                 float64
	}
	groups := map[int64]*group{}
	for t, v := range cells {
		end := rollup.EndOf(t, window)
		g := groups[end]
		if g == nil {
			g = &group{last: math.MinInt64, low: v, high: v}
			groups[end] = g
		}
		g.count, g.sum, g.low, g.high = g.count+1, g.sum+v, min(g.low, v), max(g.high, v)
		if t > g.last {
			g.last, g.lastV = t, v
		}
	}
	shown := map[int64]float64{}
	for end, g := range groups {
		shown[end] = [...]float64{engine.ColumnLast: g.lastV, engine.ColumnCount: g.count, engine.ColumnSum: g.sum, engine.ColumnMin: g.low, engine.ColumnMax: g.high}[column]
	}
	return shown
}

// mayBeGone tells whether a window may have been dropped under an earlier policy, or for the budget.
func (w *world) mayBeGone(end int64, tier engine.Tier) bool {
	return end <= w.dropped[tier] || slices.ContainsFunc(w.allLost, func(l lostBlock) bool {
		return l.from <= end+3_600_000 && end-3_600_000 <= l.to
	})
}

func (w *world) verify() string {
	folders, err := w.store.BlockFolders()
	require.NoError(w.t, err)
	for _, folder := range folders {
		r, err := block.Verify(w.t.Context(), folder)
		require.NoError(w.t, err)
		require.True(w.t, r.OK(), "%v", r.Damage)
	}
	require.Zero(w.t, w.store.Stats().Damaged)
	return fmt.Sprint(len(folders), " blocks")
}

// reopen closes the store, which needs that nobody reads it.
func (w *world) reopen() string {
	w.finishAll()
	require.NoError(w.t, w.store.Close())
	w.refs = map[string]engine.Ref{}
	w.start()
	return ""
}

// kill goes on with a copy of the folder as it is in the middle of things.
func (w *world) kill() string {
	number, err := strconv.Atoi(filepath.Base(w.dir))
	require.NoError(w.t, err)
	next := filepath.Join(filepath.Dir(w.dir), strconv.Itoa(number+1))
	require.NoError(w.t, os.CopyFS(next, os.DirFS(w.dir)))
	w.finishAll()
	require.NoError(w.t, w.store.Close())
	require.NoError(w.t, os.RemoveAll(w.dir))
	w.dir, w.refs = next, map[string]engine.Ref{}
	w.start()
	return ""
}

// snapshot makes a copy, which has to answer the same.
func (w *world) snapshot() string {
	dir := filepath.Join(filepath.Dir(w.dir), "snapshot")
	require.NoError(w.t, w.store.Snapshot(w.t.Context(), dir))
	opts := w.opts
	opts.ReadOnly = true
	s, err := durable.Open(dir, opts)
	require.NoError(w.t, err)
	everything := engine.Selection{Min: math.MinInt64, Max: math.MaxInt64}
	require.Equal(w.t, withSamples(w.readAll(w.store, everything)), withSamples(w.readAll(s, everything)))
	require.NoError(w.t, s.Close())
	require.NoError(w.t, os.RemoveAll(dir))
	return ""
}

// withSamples leaves out the series that an answer names without a sample, as it may of what others still read.
func withSamples(found map[string]map[int64]cell) map[string]map[int64]cell {
	maps.DeleteFunc(found, func(_ string, cells map[int64]cell) bool { return len(cells) == 0 })
	return found
}

// openAnswer is an answer that is read bit by bit while the store goes on.
type openAnswer struct {
	set        engine.SeriesSet
	minT, maxT int64
	slot       int
	// want is what there was when it was asked for, and from the place in the journal behind that.
	want map[string]map[int64]known
	from map[string]int
	seen map[string]bool
	// name, it and got are of the series that is being read; name is empty between two.
	name   string
	it     chunkenc.Iterator
	reader worldReader
	got    map[int64]cell
}

// openOne asks for samples, all of them or those of a slot.
func (w *world) openOne() string {
	if len(w.open) >= 4 {
		return w.readOn()
	}
	o := &openAnswer{minT: math.MinInt64, maxT: math.MaxInt64, slot: w.IntN(2*worldSlots) - worldSlots, want: map[string]map[int64]known{}, from: map[string]int{}, seen: map[string]bool{}}
	if w.IntN(2) == 0 {
		o.minT = w.now() - w.Int64N(40*3_600_000)
		o.maxT = o.minT + w.Int64N(20*3_600_000)
	}
	var matchers []*labels.Matcher
	if o.slot >= 0 {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, "__name__", fmt.Sprintf("m%d_.*", o.slot)))
	}
	var err error
	o.set, err = w.store.Select(w.t.Context(), engine.Selection{Min: o.minT, Max: o.maxT, Matchers: matchers, Sorted: w.IntN(2) == 0})
	require.NoError(w.t, err)
	for name, s := range w.model.series {
		o.from[name] = len(w.model.journal[name])
		cells := map[int64]known{}
		for t, k := range s.cells {
			if o.minT <= t && t <= o.maxT {
				cells[t] = k
			}
		}
		if len(cells) > 0 && (o.slot < 0 || s.slot == o.slot) {
			o.want[name] = cells
		}
	}
	w.open = append(w.open, o)
	return fmt.Sprintf("slot %d, %d series", o.slot, len(o.want))
}

// readOn reads some samples of an answer.
func (w *world) readOn() string {
	if len(w.open) == 0 {
		return "nothing"
	}
	i := w.IntN(len(w.open))
	for range 1 + w.IntN(400) {
		if !w.readOne(w.open[i]) {
			w.open = slices.Delete(w.open, i, i+1)
			return "to the end"
		}
	}
	return ""
}

func (w *world) finishAll() {
	for _, o := range w.open {
		for w.readOne(o) {
		}
	}
	w.open = nil
}

// readOne reads a sample of an answer; false at its end.
func (w *world) readOne(o *openAnswer) bool {
	if o.name == "" {
		if !o.set.Next() {
			require.NoError(w.t, o.set.Err())
			require.NoError(w.t, o.set.Close())
			for name := range o.want {
				if !o.seen[name] {
					require.NoError(w.t, w.matches(o, name, nil))
				}
			}
			return false
		}
		o.name = o.set.At().Labels().Get("__name__")
		require.False(w.t, o.seen[o.name], "%s comes twice", o.name)
		o.seen[o.name] = true
		o.it, o.reader, o.got = o.set.At().Iterator(o.it), newWorldReader(), map[int64]cell{}
	}
	kind := o.it.Next()
	if kind == chunkenc.ValNone {
		require.NoError(w.t, o.it.Err())
		require.NoError(w.t, w.matches(o, o.name, o.got))
		o.name = ""
		return true
	}
	t, c, err := o.reader.read(o.it, kind)
	require.NoError(w.t, err, o.name)
	require.True(w.t, o.minT <= t && t <= o.maxT)
	o.got[t] = c
	return true
}

// matches holds what an answer showed of a series against what was there when it was asked for, and what happened since.
func (w *world) matches(o *openAnswer, name string, got map[int64]cell) error {
	possible := map[int64][]cell{}
	for t, k := range o.want[name] {
		possible[t] = []cell{k.cell}
		if k.maybe {
			possible[t] = append(possible[t], cell{})
		}
	}
	for _, c := range w.model.journal[name][o.from[name]:] {
		if len(possible[c.t]) == 0 {
			possible[c.t] = []cell{{}}
		}
		possible[c.t] = append(possible[c.t], c.to)
	}
	for t, cells := range possible {
		if t < o.minT || t > o.maxT {
			continue
		}
		if !slices.Contains(cells, got[t]) {
			return fmt.Errorf("an open answer shows of %s at %s %v, possible is %v", name, clockOf(t), got[t], cells)
		}
	}
	for t, c := range got {
		if len(possible[t]) == 0 {
			return fmt.Errorf("an open answer shows of %s at %s %v, which was not there", name, clockOf(t), c)
		}
	}
	return nil
}
