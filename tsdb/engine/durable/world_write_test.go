package durable_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// seriesOf is the series that a slot has at a time: those of odd slots live for nine hours.
func (w *world) seriesOf(slot int, t int64) (string, labels.Labels) {
	epoch := int64(0)
	if slot%2 == 1 {
		epoch = t / (9 * 3_600_000)
	}
	group := "loose"
	if isStill(slot) {
		group = "still"
	}
	name := fmt.Sprintf("m%d_e%d", slot, epoch)
	return name, labels.FromStrings("__name__", name, "group", group, "keep", []string{"usual", "short", "long"}[slot%3])
}

// accepted are the times that are taken now.
func (w *world) accepted() (minT, maxT int64) {
	now := w.clock.Now()
	before := now.Add(-30 * time.Minute).UnixMilli()
	before -= before % spanMillis
	return max(w.store.Stats().SealedUntil, before), now.Add(10 * time.Minute).UnixMilli()
}

// draw makes a time of a new sample of a slot.
func (w *world) draw(slot int) int64 {
	now := w.now()
	switch w.IntN(12) {
	case 0, 1:
		return now - w.Int64N(4*3_600_000)
	case 2:
		return now + w.Int64N(12*60_000)
	case 3:
		name, _ := w.seriesOf(slot, now)
		if s := w.model.series[name]; s != nil && len(s.cells) > 0 {
			times := slices.Sorted(maps.Keys(s.cells))
			return times[len(times)-1-w.IntN(min(len(times), 20))]
		}
	}
	return now - w.Int64N(60_000)
}

func (w *world) drawFloat(slot int) uint64 {
	w.number++
	switch n := w.IntN(20); {
	case n == 0:
		return value.StaleNaN
	case n == 1 && !isStill(slot):
		return math.Float64bits(math.NaN())
	case n == 2 && !isStill(slot):
		return w.Uint64()
	}
	return math.Float64bits(float64(w.number))
}

func (w *world) drawStart(t int64) int64 {
	return []int64{0, 0, 0, t - t%3_600_000, t - 7}[w.IntN(5)]
}

// append writes a batch, some of which is refused.
func (w *world) append() string {
	var floats, hists []placed
	for range 1 + w.IntN(60) {
		slot := w.IntN(worldSlots)
		t := w.draw(slot)
		name, lset := w.seriesOf(slot, t)
		p := placed{name, slot, lset, t, cell{stored{'f', w.drawFloat(slot)}, 0}}
		if slot >= worldSlots-4 && w.IntN(3) > 0 {
			w.number++
			p.stored = stored{"hgc"[w.IntN(3)], w.number}
			if p.Kind == 'c' && w.IntN(8) == 0 {
				p.Bits = w.Uint64N(w.number)
			}
			p.st = w.drawStart(t)
			hists = append(hists, p)
			continue
		}
		if slot%3 == 0 {
			p.st = w.drawStart(t)
		}
		floats = append(floats, p)
	}
	var batch engine.Batch
	for i, p := range floats {
		batch.Samples = append(batch.Samples, engine.Sample{Ref: w.ref(p), T: p.t, V: math.Float64frombits(p.Bits)})
		if p.st != 0 {
			batch.Starts = append(batch.Starts, engine.Start{Index: i, ST: p.st})
		}
	}
	for _, p := range hists {
		h := engine.HistogramSample{Ref: w.ref(p), T: p.t, ST: p.st}
		switch p.Kind {
		case 'h':
			h.Int = numbered(p.Bits)
		case 'g':
			h.Float = numbered(p.Bits).ToFloat(nil)
		case 'c':
			h.Int = counterNumbered(p.Bits)
		}
		batch.Histograms = append(batch.Histograms, h)
	}
	return w.send(batch, floats, hists)
}

// placed is a sample of a batch.
type placed struct {
	name string
	slot int
	lset labels.Labels
	t    int64
	cell
}

// ref is the reference of a series, which may be an old one.
func (w *world) ref(p placed) engine.Ref {
	if ref, known := w.refs[p.name]; known {
		return ref
	}
	ref, err := w.store.Ref(p.lset)
	require.NoError(w.t, err)
	w.refs[p.name] = ref
	return ref
}

// store_ appends a batch and enters into the model what has to be stored of it.
func (w *world) send(batch engine.Batch, floats, hists []placed) string {
	minT, maxT := w.accepted()
	done, err := w.store.Append(w.t.Context(), batch)
	require.NoError(w.t, err)
	unknown := map[string]bool{}
	refused := map[string]bool{} // by where, which for samples and histograms is told apart by the time
	for _, r := range done.Refused {
		if r.Reason == engine.ReasonUnknownSeries {
			require.Contains(w.t, r.Detail, fmt.Sprintf("sample %d names", r.Index))
		}
		refused[fmt.Sprint(r.Reason, r.Index)] = true
	}
	left := 0
	enter := func(all, others []placed) {
		for i, p := range all {
			tooOld, tooFar := p.t < minT, p.t > maxT
			switch {
			case tooOld || tooFar:
				reason := engine.ReasonTooFarAhead
				if tooOld {
					reason = engine.ReasonTooOld
				}
				require.True(w.t, refused[fmt.Sprint(reason, i)], "%s at %s is out of [%s, %s] and was taken", p.name, clockOf(p.t), clockOf(minT), clockOf(maxT))
				left++
			case refused[fmt.Sprint(engine.ReasonUnknownSeries, i)] && !w.isKnown(p):
				unknown[p.name] = true
				left++
			default:
				w.model.set(p.name, p.slot, p.lset, p.t, known{cell: p.cell})
			}
		}
	}
	enter(floats, hists)
	enter(hists, floats)
	require.Len(w.t, done.Refused, left)
	require.Equal(w.t, len(floats)+len(hists)-left, done.Stored)
	for name := range unknown {
		delete(w.refs, name)
	}
	return fmt.Sprintf("%d floats, %d histograms, %d refused", len(floats), len(hists), left)
}

// isKnown tells whether the store still knows the reference of a sample's series.
func (w *world) isKnown(p placed) bool {
	again, err := w.store.Ref(p.lset)
	require.NoError(w.t, err)
	return again == w.refs[p.name]
}

func (w *world) delete() string {
	minT := w.now() - w.Int64N(60*3_600_000)
	maxT := minT + w.Int64N([]int64{1, 60_000, 3_600_000, 60 * 3_600_000}[w.IntN(4)])
	if w.IntN(6) == 0 {
		minT, maxT = math.MinInt64, math.MaxInt64
	}
	slot := w.IntN(worldSlots)
	matchers := []*labels.Matcher{matchLoose()}
	all := w.IntN(3) == 0
	if !all {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, "__name__", fmt.Sprintf("m%d_.*", slot)))
	}
	require.NoError(w.t, w.store.Delete(w.t.Context(), minT, maxT, matchers...))
	w.model.remove(minT, maxT, func(s *worldSeries) bool { return !isStill(s.slot) && (all || s.slot == slot) })
	return fmt.Sprintf("slot %d (all %v) from %s to %s", slot, all, clockOf(max(minT, 0)), clockOf(min(maxT, 1<<50)))
}

// importBlock adds floats of some series in one stretch of time.
func (w *world) importBlock() string {
	bounds := w.store.ImportRange(w.now() - w.Int64N(60*3_600_000))
	if w.IntN(3) == 0 {
		bounds = w.store.ImportRange(w.now() - w.Int64N(3_600_000))
	}
	from := bounds.Min + w.Int64N(bounds.Max-bounds.Min)
	sealed := w.store.Stats().SealedUntil
	var rows []placed
	for slot := stillSlots; slot < worldSlots; slot++ {
		step := 1 + w.Int64N(600_000)
		for t := from; w.IntN(3) > 0 && t <= bounds.Max; t += step {
			name, lset := w.seriesOf(slot, t)
			rows = append(rows, placed{name, slot, lset, t, cell{stored{'f', w.drawFloat(slot)}, 0}})
			if s := w.model.series[name]; s != nil && w.IntN(3) == 0 { // in the place of another
				for _, other := range slices.Sorted(maps.Keys(s.cells)) {
					if other > t && other <= bounds.Max {
						rows = append(rows, placed{name, slot, lset, other, cell{stored{'f', w.drawFloat(slot)}, 0}})
						t = other
						break
					}
				}
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b placed) int { return labels.Compare(a.lset, b.lset) })
	_, err := w.store.ImportBlock(w.t.Context(), func(add func(labels.Labels, []merge.Chunk) error) error {
		return eachOf(rows, func(same []placed) error {
			var ts []int64
			var vs []float64
			for _, p := range same {
				ts, vs = append(ts, p.t), append(vs, math.Float64frombits(p.Bits))
			}
			return add(same[0].lset, []merge.Chunk{merge.NewDense(nil, nil, ts, vs)})
		})
	})
	if len(rows) == 0 {
		require.ErrorIs(w.t, err, block.ErrEmpty)
		return "nothing"
	}
	require.NoError(w.t, err)
	for _, p := range rows {
		s := w.model.of(p.name, p.slot, p.lset)
		if old, there := s.cells[p.t]; there && p.t >= sealed && !old.imported {
			continue
		}
		w.model.set(p.name, p.slot, p.lset, p.t, known{cell: p.cell, imported: true})
	}
	return fmt.Sprintf("%d samples from %s on, in %s to %s", len(rows), clockOf(from), clockOf(bounds.Min), clockOf(bounds.Max))
}

// eachOf gives the rows of each series to use.
func eachOf(rows []placed, use func([]placed) error) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].name == rows[0].name {
			n++
		}
		if err := use(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
