package durable

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
	"github.com/novacron/novacron/tsdb/rollup"
)

// selectWindows finds series with windows in the bounds: those of the tier's blocks, and behind them windows that are
// made of raw samples now.
func (s *Store) selectWindows(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	made, err := s.hold(sel.Tier, sel.Min, sel.Max)
	if err != nil {
		return nil, err
	}
	rawSel := sel
	rawSel.Min, rawSel.Max = rollup.RawBounds(max(sel.Min, made.through+1), sel.Max, sel.Tier.Window())
	raw, err := s.hold(engine.TierRaw, rawSel.Min, rawSel.Max)
	if err != nil {
		s.letGo(made)
		return nil, err
	}
	letGo := func() { s.letGo(made); s.letGo(raw) }
	madeStreams, err := s.streams(ctx, made, sel)
	if err != nil {
		letGo()
		return nil, err
	}
	rawStreams, err := s.streamsBeside(ctx, raw, rawSel, len(madeStreams) > 0)
	if err != nil {
		closeStreams(madeStreams)
		letGo()
		return nil, err
	}
	streams := append(madeStreams, rawStreams...)
	a := newAnswer(ctx, sel, streams, made.since, func() { closeStreams(streams); letGo() })
	a.damaged = s.damaged
	return &windowAnswer{answer: a, sel: sel, made: len(madeStreams), raw: rawSel}, nil
}

// windowAnswer is the series of an answer with windows in the place of samples.
type windowAnswer struct {
	*answer
	sel engine.Selection
	// made is how many of the streams have windows; the others have raw samples, in the bounds of raw.
	made int
	raw  engine.Selection
}

func (a *windowAnswer) At() engine.Series { return &windowSeries{a, a.current} }

// windowSeries is one series of such an answer.
type windowSeries struct {
	answer *windowAnswer
	found  *found
}

func (w *windowSeries) Labels() labels.Labels { return w.found.lset }

// Iterator walks over a column of the series's windows.
func (w *windowSeries) Iterator(again chunkenc.Iterator) chunkenc.Iterator {
	it := walkOf(again)
	if it == nil {
		it = &windowWalk{}
		it.read.OnDamage(w.answer.damaged)
		it.hists.OnDamage(w.answer.damaged)
	}
	if err := it.collect(w); err != nil {
		return failedIterator(err)
	}
	return it.start(w.answer.sel)
}

// plainWindows walks over the windows of a series that has no histograms beside them, which it gives in arrays, too.
type plainWindows struct {
	*rollup.Iterator
	walk *windowWalk
}

// walkOf is the walk that an iterator belongs to, if it is one of ours.
func walkOf(again chunkenc.Iterator) *windowWalk {
	switch it := again.(type) {
	case *windowWalk:
		return it
	case *plainWindows:
		return it.walk
	}
	return nil
}

// failedIterator has no sample and says why.
func failedIterator(err error) chunkenc.Iterator { return &failing{chunkenc.NewNopIterator(), err} }

type failing struct {
	chunkenc.Iterator
	err error
}

func (f *failing) Err() error { return f.err }

// windowWalk walks over windows, and over the histograms beside them.
type windowWalk struct {
	chain
	read      merge.Iterator
	made, raw parts
	// stored are the windows that blocks have, and joined those together with what was made now.
	stored, joined chunk.Windows
	all            *chunk.Windows
	plain          plainWindows
	histograms     []merge.Chunk
	windows        *rollup.Iterator
	hists          merge.Iterator
}

// collect reads the windows of a series, and makes those that are not made yet.
func (it *windowWalk) collect(w *windowSeries) error {
	sel := w.answer.sel
	merge.Truncate(&it.stored)
	it.histograms = it.histograms[:0]
	if err := w.collect(&it.made, &it.raw); err != nil {
		return err
	}
	windows, histograms := splitKinds(it.made.sources)
	it.histograms = append(it.histograms, histograms...)
	if err := merge.Windows(&it.stored, &it.read, sel.Min, sel.Max, rollup.Needs(sel.Column), windows...); err != nil {
		return err
	}
	if it.all = &it.stored; len(it.raw.sources) == 0 {
		return nil
	}
	it.read.Reset(w.answer.raw.Min, w.answer.raw.Max, it.raw.sources...)
	fresh := windowsMaker{window: sel.Tier.Window()}
	fresh.reset(chunk.Windows{})
	if err := makeWindows(&it.read, &fresh); err != nil {
		return err
	}
	it.histograms = append(it.histograms, histogramChunks(fresh.lasts)...)
	merge.Truncate(&it.joined)
	it.all = &it.joined
	return rollup.Merge(it.all, sel.Tier.Window(), &it.stored, &fresh.windows)
}

// collect gathers the windows and the raw samples of the series.
func (w *windowSeries) collect(made, raw *parts) error {
	a := w.answer
	made.reset()
	raw.reset()
	for i := -1; i < len(w.found.others); i++ {
		p := &w.found.first
		if i >= 0 {
			p = &w.found.others[i]
		}
		dst, bounds := raw, &a.raw
		if a.isMade(p.origin) {
			dst, bounds = made, &a.sel
		}
		if err := p.origin.sources(dst, p.at, bounds.Min, bounds.Max); err != nil {
			return err
		}
	}
	gone := a.since.spans(w.found.lset)
	made.hide(gone)
	raw.hide(gone)
	return nil
}

func (a *windowAnswer) isMade(o origin) bool {
	for _, st := range a.all[:a.made] {
		if origin(st) == o {
			return true
		}
	}
	return false
}

// splitKinds parts the windows of sources from the histograms that are kept beside them.
func splitKinds(sources []merge.Source) (windows []merge.Source, histograms []merge.Chunk) {
	for _, source := range sources {
		rest := source
		rest.Chunks = nil
		for _, c := range source.Chunks {
			if c.Kind == chunk.KindWindows {
				rest.Chunks = append(rest.Chunks, c)
			} else {
				histograms = append(histograms, c)
			}
		}
		windows = append(windows, rest)
	}
	return windows, histograms
}

// start begins the walk over what was collected.
func (it *windowWalk) start(sel engine.Selection) chunkenc.Iterator {
	cut := rollup.Between(it.all, sel.Min, sel.Max)
	var again chunkenc.Iterator
	if it.windows != nil {
		again = it.windows
	}
	it.windows = rollup.NewIterator(&cut, sel.Column, again)
	if len(it.histograms) == 0 {
		it.plain = plainWindows{it.windows, it}
		return &it.plain
	}
	it.hists.Reset(sel.Min, sel.Max, merge.Source{Chunks: it.histograms})
	it.chain.reset(&it.hists, it.windows)
	return it
}

// windowsMaker makes the windows of one tier of a series's raw samples.
type windowsMaker struct {
	window  int64 // milliseconds
	windows chunk.Windows
	floats  *rollup.Builder
	// lasts are the last histogram of each window whose last sample is one, standing at the window's end.
	lasts []histogramPoint
}

// reset begins another series, whose windows are appended to those given.
func (m *windowsMaker) reset(windows chunk.Windows) {
	m.windows, m.lasts = windows, nil
	m.floats = rollup.NewBuilder(&m.windows, m.window)
}

// makeWindows has the makers take all samples of an iterator over raw ones.
func makeWindows(raw chunkenc.Iterator, makers ...*windowsMaker) error {
	runs, ok := raw.(interface {
		NextRun() (*merge.Run, bool)
	})
	if !ok {
		return raw.Err() // it failed before it began
	}
	for run, more := runs.NextRun(); more; run, more = runs.NextRun() {
		for _, m := range makers {
			if err := m.take(run); err != nil {
				return err
			}
		}
	}
	for _, m := range makers {
		m.floats.Flush()
	}
	return raw.Err()
}

func (m *windowsMaker) take(run *merge.Run) error {
	switch run.Type {
	case chunkenc.ValFloat:
		return m.takeFloats(run.Times, run.Values)
	case chunkenc.ValHistogram:
		for i, h := range run.Histograms {
			m.takeHistogram(histogramPoint{t: run.Times[i], whole: h})
		}
		return nil
	case chunkenc.ValFloatHistogram:
		for i, h := range run.Floats {
			m.takeHistogram(histogramPoint{t: run.Times[i], float: h})
		}
		return nil
	}
	return merge.ErrWindows
}

func (m *windowsMaker) takeFloats(ts []int64, vs []float64) error {
	for i, t := range ts {
		if len(m.lasts) == 0 {
			return m.floats.AddAll(ts[i:], vs[i:])
		}
		if value.IsStaleNaN(vs[i]) {
			continue
		}
		if err := m.floats.Add(t, vs[i]); err != nil {
			return err
		}
		if n := len(m.lasts); m.lasts[n-1].t >= t {
			m.lasts = m.lasts[:n-1] // a float came last
		}
	}
	return nil
}

// takeHistogram keeps a copy of a histogram, which is the run's.
func (m *windowsMaker) takeHistogram(p histogramPoint) {
	if p.stale() {
		return
	}
	if p.whole != nil {
		p.whole = p.whole.Copy()
	} else {
		p.float = p.float.Copy()
	}
	p.t = rollup.EndOf(p.t, m.window)
	p.unsay() // those before it in the window are left out
	if n := len(m.lasts); n > 0 && m.lasts[n-1].t == p.t {
		m.lasts = m.lasts[:n-1]
	}
	m.lasts = append(m.lasts, p)
}
