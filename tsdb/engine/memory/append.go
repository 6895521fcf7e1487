package memory

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// Ref finds the series with these labels or makes it.
func (e *Engine) Ref(lset labels.Labels) (engine.Ref, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, engine.ErrClosed
	}
	id, created, err := e.index.GetOrCreate(lset)
	if err != nil {
		return 0, err
	}
	ref := e.ref(id)
	if created {
		e.idle[ref] = false
	}
	return ref, nil
}

// ref names the series that has an id now. Its generation tells it from those that had the id before.
func (e *Engine) ref(id uint32) engine.Ref {
	return engine.Ref(e.index.Generation(id))<<32 | engine.Ref(id)
}

// matching are the series that match, in the order of their ids or of their labels.
func (e *Engine) matching(ctx context.Context, sorted bool, matchers ...*labels.Matcher) ([]engine.Ref, error) {
	found, err := e.index.Refs(ctx, sorted, matchers...)
	if err != nil {
		return nil, err
	}
	refs := make([]engine.Ref, len(found))
	for i, r := range found {
		refs[i] = engine.Ref(r.Generation)<<32 | engine.Ref(r.ID)
	}
	return refs, nil
}

// labels of a series.
func (e *Engine) labels(ref engine.Ref) labels.Labels {
	lset, _ := e.index.Labels(uint32(ref))
	return lset
}

// Append stores a batch. An error can only come before anything is stored, or from tstorage.
func (e *Engine) Append(ctx context.Context, batch engine.Batch) (engine.Appended, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx); err != nil {
		return engine.Appended{}, err
	}
	b := appending{e: e, newest: e.opts.Now().UnixMilli(), touched: map[*window]struct{}{}}
	defer b.revise()
	starts := batch.Starts
	for i, s := range batch.Samples {
		sample := entry{t: s.T, v: s.V}
		if len(starts) > 0 && starts[0].Index == i {
			sample.st, starts = starts[0].ST, starts[1:]
		}
		if err := b.add(i, s.Ref, sample); err != nil {
			return b.done, err
		}
	}
	for i, s := range batch.Histograms {
		if err := b.addHistogram(i, s); err != nil {
			return b.done, err
		}
	}
	for w := range b.touched {
		if err := w.flush(); err != nil {
			return b.done, err
		}
	}
	for i, x := range batch.Exemplars {
		b.addExemplar(i, x)
	}
	e.expire()
	return b.done, nil
}

// appending is the state of one Append.
type appending struct {
	e       *Engine
	newest  int64 // now, in milliseconds
	touched map[*window]struct{}
	late    bool // a sample was of settled times
	done    engine.Appended
}

func (b *appending) refuse(reason engine.Reason, index int, format string, args ...any) {
	b.done.Refused = append(b.done.Refused, engine.Refusal{Reason: reason, Index: index, Detail: fmt.Sprintf(format, args...)})
}

// admit checks what every sample has to hold.
func (b *appending) admit(i int, ref engine.Ref, t int64) bool {
	e := b.e
	if _, known := e.idle[ref]; !known {
		b.refuse(engine.ReasonUnknownSeries, i, "sample %d: no series has the reference %d: ask for a new one by the labels", i, ref)
		return false
	}
	if floor, bound := e.floor(); t < floor {
		b.refuse(engine.ReasonTooOld, i, "sample %d: its time %d is below %d, %s before the newest sample: send samples sooner, or raise that limit", i, t, floor, bound)
		return false
	}
	if ahead := e.opts.Ahead.Milliseconds(); ahead > 0 && t-ahead > b.newest {
		b.refuse(engine.ReasonTooFarAhead, i, "sample %d: its time %d is more than %s after now (%d): set the sender's clock", i, t, e.opts.Ahead, b.newest)
		return false
	}
	return true
}

func (b *appending) add(i int, ref engine.Ref, s entry) error {
	if !b.admit(i, ref, s.t) {
		return nil
	}
	number, _ := split(s.t)
	w, err := b.e.window(number)
	if err != nil {
		return err
	}
	w.add(ref, s)
	if s.t < b.newest-engine.SettledAfter.Milliseconds() {
		b.late = true
	}
	b.touched[w] = struct{}{}
	if !b.e.any || s.t > b.e.maxT {
		b.e.any, b.e.maxT = true, s.t
	}
	b.done.Stored++
	return nil
}

func (b *appending) addHistogram(i int, s engine.HistogramSample) error {
	copied := entry{t: s.T, st: s.ST}
	var err error
	switch {
	case s.Int != nil && s.Float == nil:
		err, copied.whole = s.Int.Validate(), s.Int.Copy()
		copied.whole.CounterResetHint = keptHint(s.Int.CounterResetHint)
	case s.Float != nil && s.Int == nil:
		err, copied.float = s.Float.Validate(), s.Float.Copy()
		copied.float.CounterResetHint = keptHint(s.Float.CounterResetHint)
	default:
		err = fmt.Errorf("exactly one of its two forms has to be set")
	}
	if err != nil {
		b.refuse(engine.ReasonBadHistogram, i, "histogram %d: %v", i, err)
		return nil
	}
	return b.add(i, s.Ref, copied)
}

// keptHint is what of a hint stays true whatever is written later between two histograms.
func keptHint(hint histogram.CounterResetHint) histogram.CounterResetHint {
	if hint == histogram.GaugeType {
		return hint
	}
	return histogram.UnknownCounterReset
}

func (b *appending) addExemplar(i int, x engine.ExemplarSample) {
	if _, known := b.e.idle[x.Ref]; !known {
		b.refuse(engine.ReasonUnknownSeries, i, "exemplar %d: no series has the reference %d: ask for a new one by the labels", i, x.Ref)
		return
	}
	if floor, bound := b.e.floor(); x.Ts < floor {
		b.refuse(engine.ReasonExemplarTooOld, i, "exemplar %d: its time %d is below %d, %s before the newest sample: send it sooner, or raise that limit", i, x.Ts, floor, bound)
		return
	}
	b.e.exemplars.add(x.Ref, x.Exemplar)
	b.done.Stored++
}

// floor is the oldest time that is taken, and the bound that makes it so.
func (e *Engine) floor() (int64, time.Duration) {
	floor, bound := int64(math.MinInt64), time.Duration(0)
	for _, d := range []time.Duration{e.opts.Retention, e.opts.OutOfOrder} {
		if at := e.maxT - d.Milliseconds(); d > 0 && e.any && at > floor && at < e.maxT {
			floor, bound = at, d
		}
	}
	return floor, bound
}

// expire drops windows that ended before the retention, then the oldest while there are too many samples.
func (e *Engine) expire() {
	before := len(e.order)
	if d := e.opts.Retention.Milliseconds(); d > 0 && e.any {
		for len(e.order) > 1 && join(e.order[0], width-1) < e.maxT-d {
			e.dropOldest()
		}
	}
	for limit := e.opts.MaxSamples; limit > 0 && len(e.order) > 1; {
		held := 0
		for _, w := range e.windows {
			held += w.samples()
		}
		if held <= limit {
			break
		}
		e.opts.Logger.Warn("samples were dropped before their time: the shard in memory is full",
			"samples", held, "limit", limit, "from", join(e.order[0], 0), "to", join(e.order[0], width-1))
		e.dropOldest()
	}
	if len(e.order) < before {
		e.forgetSeries()
	}
}

func (e *Engine) dropOldest() {
	e.revision.Changes++
	delete(e.windows, e.order[0])
	e.order = slices.Delete(e.order, 0, 1)
}

// forgetSeries forgets the series that had no sample at this and at the last time it was called, so that one that was
// just made is not lost to its writer.
func (e *Engine) forgetSeries() {
	live := map[engine.Ref]struct{}{}
	for _, w := range e.windows {
		for ref := range w.parts {
			live[ref] = struct{}{}
		}
	}
	gone := roaring.New()
	for ref, idle := range e.idle {
		_, lives := live[ref]
		if e.idle[ref] = !lives; lives || !idle {
			continue
		}
		gone.Add(uint32(ref))
		delete(e.idle, ref)
		delete(e.exemplars.of, ref)
	}
	e.index.Remove(gone)
}

// Delete forgets the samples in the bounds of the series that match.
func (e *Engine) Delete(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx); err != nil {
		return err
	}
	refs, err := e.matching(ctx, false, matchers...)
	if err != nil {
		return err
	}
	e.revision.Changes++
	for number, w := range e.windows {
		for _, ref := range refs {
			if err := w.remove(ref, minT, maxT); err != nil {
				return err
			}
		}
		if e.windows[number], err = w.rebuilt(); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		e.exemplars.remove(ref, minT, maxT)
	}
	return nil
}
