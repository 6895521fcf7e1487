package durable_test

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// cell is a sample: what it holds, and since when it counts. Of kind 0 there is none.
type cell struct {
	stored
	st int64
}

// known is what the model knows of the sample of a series and time.
type known struct {
	cell
	// imported samples that are not sealed give way to those of the head, which never give way to imported ones.
	imported bool
	// maybe says that its time is over: it may be gone by now.
	maybe bool
}

// worldSeries is a series of the model.
type worldSeries struct {
	lset  labels.Labels
	slot  int
	cells map[int64]known
}

// change is an entry of the journal: what answers that are open may show as well.
type change struct {
	t  int64
	to cell
}

// worldModel is a store made of maps.
type worldModel struct {
	series map[string]*worldSeries
	// journal lists what happened to each series, in order.
	journal map[string][]change
	// full are the floats of the series whose windows are compared, which the model keeps when their time is over.
	full map[string]map[int64]float64
}

func newWorldModel() *worldModel {
	return &worldModel{series: map[string]*worldSeries{}, journal: map[string][]change{}, full: map[string]map[int64]float64{}}
}

func (m *worldModel) of(name string, slot int, lset labels.Labels) *worldSeries {
	s := m.series[name]
	if s == nil {
		s = &worldSeries{lset: lset, slot: slot, cells: map[int64]known{}}
		m.series[name] = s
	}
	return s
}

func (m *worldModel) note(name string, t int64, to cell) {
	m.journal[name] = append(m.journal[name], change{t, to})
}

func (m *worldModel) set(name string, slot int, lset labels.Labels, t int64, to known) {
	m.of(name, slot, lset).cells[t] = to
	m.note(name, t, to.cell)
	if isStill(slot) && !isStaleBits(to.Bits) {
		if m.full[name] == nil {
			m.full[name] = map[int64]float64{}
		}
		m.full[name][t] = math.Float64frombits(to.Bits)
	}
	if isStill(slot) && isStaleBits(to.Bits) {
		delete(m.full[name], t)
	}
}

// remove forgets the samples of some series in the bounds.
func (m *worldModel) remove(minT, maxT int64, of func(*worldSeries) bool) {
	for name, s := range m.series {
		for t := range s.cells {
			if minT <= t && t <= maxT && of(s) {
				delete(s.cells, t)
				m.note(name, t, cell{})
			}
		}
	}
}

// doubt marks the samples of which nobody knows whether they are still there.
func (m *worldModel) doubt(of func(s *worldSeries, t int64) bool) {
	for name, s := range m.series {
		for t, k := range s.cells {
			if !k.maybe && of(s, t) {
				k.maybe = true
				s.cells[t] = k
				m.note(name, t, cell{})
			}
		}
	}
}

// compare holds what was read of some series in the bounds against the model, and forgets what is gone for good.
func (m *worldModel) compare(found map[string]map[int64]cell, minT, maxT int64, of func(*worldSeries) bool) error {
	for name, s := range m.series {
		if !of(s) {
			continue
		}
		have := found[name]
		delete(found, name)
		for t, want := range s.cells {
			if t < minT || t > maxT {
				continue
			}
			got, there := have[t]
			delete(have, t)
			switch {
			case !there && want.maybe:
				delete(s.cells, t)
				m.note(name, t, cell{})
			case got != want.cell:
				return fmt.Errorf("%s at %s holds %v, it has to hold %v (imported %v)", name, clockOf(t), got, want.cell, want.imported)
			}
		}
		for t, got := range have {
			return fmt.Errorf("%s at %s holds %v, which is gone or was never written", name, clockOf(t), got)
		}
	}
	for name, have := range found {
		if len(have) > 0 {
			return fmt.Errorf("series %s has %d samples and was never written, or does not match", name, len(have))
		}
	}
	return nil
}

func clockOf(t int64) string {
	return fmt.Sprintf("%s (%d)", start.UTC().Add(timeSince(t)).Format("Jan 2 15:04:05.000"), t)
}

// counterNumbered is the histogram with a number that counts.
func counterNumbered(n uint64) *histogram.Histogram {
	h := numbered(n)
	h.CounterResetHint = histogram.UnknownCounterReset
	return h
}

// worldReader reads samples one by one, and checks what histograms say of the one before.
type worldReader struct {
	last int64
	// before is the sample before, where it is a histogram that counts.
	before *histogram.FloatHistogram
}

func newWorldReader() worldReader { return worldReader{last: math.MinInt64} }

func (r *worldReader) read(it chunkenc.Iterator, kind chunkenc.ValueType) (t int64, c cell, err error) {
	t = it.AtT()
	if t <= r.last {
		return t, c, fmt.Errorf("time %d comes after %d", t, r.last)
	}
	first := r.last == math.MinInt64
	r.last, c.st = t, it.AtST()
	if kind == chunkenc.ValFloat {
		r.before = nil
		_, v := it.At()
		c.stored = stored{'f', math.Float64bits(v)}
		return t, c, nil
	}
	_, h := it.AtFloatHistogram(nil)
	n := uint64(h.Sum)
	want := numbered(n)
	switch {
	case h.CounterResetHint != histogram.GaugeType:
		c.stored, want = stored{'c', n}, counterNumbered(n)
		if !first && h.CounterResetHint == histogram.NotCounterReset && (r.before == nil || detects(h, r.before)) {
			return t, c, fmt.Errorf("at %s: the histogram %v says that it counts on from %v", clockOf(t), h, r.before)
		}
		h.CounterResetHint = histogram.UnknownCounterReset
	case kind == chunkenc.ValHistogram:
		c.stored = stored{'h', n}
	default:
		c.stored = stored{'g', n}
	}
	if !h.Equals(want.ToFloat(nil)) {
		return t, c, fmt.Errorf("at %s: histogram %s, written was %s", clockOf(t), h, want)
	}
	r.before = nil
	if c.Kind == 'c' {
		r.before = h.Copy()
	}
	return t, c, nil
}

func detects(h, before *histogram.FloatHistogram) bool {
	silent := h.Copy()
	silent.CounterResetHint = histogram.UnknownCounterReset
	return silent.DetectReset(before)
}

func readWorldSeries(it chunkenc.Iterator) (map[int64]cell, error) {
	cells, r := map[int64]cell{}, newWorldReader()
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t, c, err := r.read(it, kind)
		if err != nil {
			return nil, err
		}
		cells[t] = c
	}
	return cells, it.Err()
}
