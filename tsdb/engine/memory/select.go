package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/rollup"
)

// series is one series of an answer, as it was when it was asked for.
type series struct {
	labels labels.Labels
	runs   []run
	// window is the length of the windows to show a column of, 0 for the samples themselves.
	window int64
	column engine.Column
}

func (s series) Labels() labels.Labels { return s.labels }

// Iterator walks over the samples, or over windows made of them. One of samples that this package made is used again.
func (s series) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ours := old.(*iterator)
	if !ours {
		it = &iterator{}
	}
	it.reset(s.runs)
	if s.window > 0 {
		return rollup.Over(it, s.window, s.column)
	}
	return it
}

// set walks over series that are all at hand.
type set struct {
	series []series
	at     int
}

func (s *set) Next() bool        { s.at++; return s.at <= len(s.series) }
func (s *set) At() engine.Series { return s.series[s.at-1] }
func (s *set) Err() error        { return nil }
func (s *set) Close() error      { s.series, s.at = nil, 0; return nil }

// Select finds series with samples in the bounds.
func (e *Engine) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	minT, maxT, window := sel.Min, sel.Max, sel.Tier.Window()
	if window > 0 {
		minT, maxT = rollup.RawBounds(sel.Min, sel.Max, window)
	}
	found, err := e.find(ctx, minT, maxT, sel.Matchers, sel.Limit, sel.Sorted)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].window, found[i].column = window, sel.Column
	}
	return &set{series: found}, nil
}

// find is Select with the lock held.
func (e *Engine) find(ctx context.Context, minT, maxT int64, matchers []*labels.Matcher, limit int, sorted bool) ([]series, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	refs, err := e.matching(ctx, sorted, matchers...)
	if err != nil {
		return nil, err
	}
	var found []series
	for i, ref := range refs {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		runs, err := e.runs(ref, minT, maxT)
		if err != nil {
			return nil, err
		}
		if len(runs) > 0 {
			found = append(found, series{labels: e.labels(ref), runs: runs})
		}
		if limit > 0 && len(found) == limit {
			break
		}
	}
	return found, nil
}

// runs views the samples of a series in the bounds, in order of time; there is none where the series has no sample.
func (e *Engine) runs(ref engine.Ref, minT, maxT int64) ([]run, error) {
	if minT > maxT {
		return nil, nil
	}
	from, lo := split(minT)
	to, hi := split(maxT)
	first, _ := slices.BinarySearch(e.order, from)
	var runs []run
	for _, number := range e.order[first:] {
		if number > to {
			break
		}
		w := e.windows[number]
		p := w.parts[ref]
		if p == nil {
			continue
		}
		within := [2]int64{0, width - 1}
		if number == from {
			within[0] = lo
		}
		if number == to {
			within[1] = hi
		}
		r, err := w.run(p, within[0], within[1])
		if err != nil {
			return nil, err
		}
		if !r.empty() {
			runs = append(runs, r)
		}
	}
	return runs, nil
}

// LabelNames lists the names of the labels of the series that match and have samples in the bounds.
func (e *Engine) LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return e.collect(ctx, minT, maxT, limit, matchers, func(lset labels.Labels, add func(string)) {
		lset.Range(func(l labels.Label) { add(l.Name) })
	})
}

// LabelValues lists the values of a label of the series that match and have samples in the bounds.
func (e *Engine) LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return e.collect(ctx, minT, maxT, limit, matchers, func(lset labels.Labels, add func(string)) {
		if value := lset.Get(name); value != "" {
			add(value)
		}
	})
}

// collect gathers texts of the series that match, sorted.
func (e *Engine) collect(ctx context.Context, minT, maxT int64, limit int, matchers []*labels.Matcher, of func(labels.Labels, func(string))) ([]string, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	found, err := e.find(ctx, minT, maxT, matchers, 0, false)
	if err != nil {
		return nil, err
	}
	texts := map[string]struct{}{}
	for _, s := range found {
		of(s.labels, func(text string) { texts[text] = struct{}{} })
	}
	sorted := slices.Sorted(maps.Keys(texts))
	if limit > 0 && len(sorted) > limit {
		sorted = sorted[:limit]
	}
	return sorted, nil
}

// Cardinality counts what the series are made of; lists have at most top entries.
func (e *Engine) Cardinality(top int) engine.Cardinality {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return engine.Cardinality{}
	}
	return e.index.Cardinality(top)
}
