package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
)

// toldRefusals is how many refused metrics one error lists.
const toldRefusals = 10

// StoreMetrics stores values; see tsdb.MetricsStorage.
func (s *Shard) StoreMetrics(ctx context.Context, metrics []tsdb.Metric) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	s.names.learn(metrics, s.options.Clock())
	w := storing{shard: s, metrics: metrics, told: tsdb.RefusedError{ByReason: map[string]int{}}}
	err := w.store(ctx, indices(len(metrics)))
	if again := w.unknown; err == nil && len(again) > 0 { // their series were forgotten since: asked for again, they are new
		w.final = true
		err = w.store(ctx, again)
	}
	s.counts.add(w.told.Stored, w.told.ByReason, err)
	if err == nil && w.told.Refused > 0 {
		return &w.told
	}
	return err
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// storing is the way of one call.
type storing struct {
	shard   *Shard
	metrics []tsdb.Metric
	builder labels.ScratchBuilder
	// samples and histograms are for the engine, sampleOf and histogramOf the places in metrics that they come from.
	samples               []engine.Sample
	starts                []engine.Start
	histograms            []engine.HistogramSample
	exemplars             []engine.ExemplarSample
	sampleOf, histogramOf []int
	// The labels of what is in them are noted where somebody else wants what is stored.
	onward                                       bool
	sampleLabels, histogramLabels, exampleLabels []labels.Labels
	// unknown are the places whose series the engine did not know; final is set when such are refused.
	unknown []int
	final   bool
	told    tsdb.RefusedError
}

// store stores the metrics at some places. Floats and histograms go apart: a refusal does not say which of them it
// means.
func (w *storing) store(ctx context.Context, places []int) error {
	if err := w.resolve(places); err != nil {
		return err
	}
	if len(w.samples) > 0 {
		if err := w.append(ctx, engine.Batch{Samples: w.samples, Starts: w.starts}, w.sampleOf, w.sampleLabels); err != nil {
			return err
		}
	}
	if len(w.histograms) > 0 {
		if err := w.append(ctx, engine.Batch{Histograms: w.histograms}, w.histogramOf, w.histogramLabels); err != nil {
			return err
		}
	}
	if len(w.exemplars) > 0 { // what is refused of them is not told: no value is missing
		batch := engine.Batch{Exemplars: w.exemplars}
		done, err := w.shard.engine.Append(ctx, batch)
		if err == nil {
			w.sendOn(batch, w.exampleLabels, done)
		}
		return err
	}
	return ctx.Err()
}

// resolve finds the references of series.
func (w *storing) resolve(places []int) error {
	w.samples, w.starts, w.sampleOf, w.histograms, w.histogramOf, w.exemplars = nil, nil, nil, nil, nil, nil
	w.sampleLabels, w.histogramLabels, w.exampleLabels = nil, nil, nil
	w.onward = w.shard.onward != nil && w.shard.onward.Active()
	for _, i := range places {
		m := &w.metrics[i]
		known, err := w.reference(m)
		if refusal, is := errors.AsType[*engine.Refusal](err); is {
			w.refuse(i, refusal)
			continue
		}
		if err != nil {
			return err
		}
		w.take(i, m, known)
	}
	return nil
}

// take puts a metric among what the engine gets.
func (w *storing) take(place int, m *tsdb.Metric, known reference) {
	ref := known.ref
	t, start := m.Timestamp.UnixMilli(), int64(0)
	if !m.Start.IsZero() {
		start = m.Start.UnixMilli()
	}
	if m.Histogram != nil {
		w.histograms = append(w.histograms, engine.HistogramSample{Ref: ref, T: t, ST: start, Float: m.Histogram})
		w.histogramOf = append(w.histogramOf, place)
		w.note(&w.histogramLabels, known.lset)
	} else {
		if start != 0 {
			w.starts = append(w.starts, engine.Start{Index: len(w.samples), ST: start})
		}
		w.samples = append(w.samples, engine.Sample{Ref: ref, T: t, V: m.Value})
		w.sampleOf = append(w.sampleOf, place)
		w.note(&w.sampleLabels, known.lset)
	}
	for _, e := range m.Exemplars {
		w.exemplars = append(w.exemplars, engine.ExemplarSample{Ref: ref, Exemplar: e})
		w.note(&w.exampleLabels, known.lset)
	}
}

func (w *storing) reference(m *tsdb.Metric) (reference, error) {
	if err := check(m); err != nil {
		return reference{}, err
	}
	refs := w.shard.refs
	key := refs.key(m)
	if known, ok := refs.find(key, m); ok {
		return known, nil
	}
	lset := labelsOf(m, &w.builder)
	ref, err := w.shard.ref(lset)
	known := reference{lset, ref}
	if err == nil {
		refs.keep(key, known)
	}
	return known, err
}

// check refuses what labels cannot say.
func check(m *tsdb.Metric) error {
	if m.Name == "" {
		return &engine.Refusal{Reason: engine.ReasonBadLabels, Index: -1, Detail: "a metric without a name: set Name"}
	}
	if other, has := m.Labels[nameLabel]; has && other != m.Name {
		return &engine.Refusal{Reason: engine.ReasonBadLabels, Index: -1, Detail: fmt.Sprintf("the label __name__ %.60q is not the name %.60q: leave it out", other, m.Name)}
	}
	if m.Timestamp.IsZero() {
		return &engine.Refusal{Reason: engine.ReasonTooOld, Index: -1, Detail: fmt.Sprintf("%.60s has no time: set Timestamp", m.Name)}
	}
	return nil
}

// append stores a batch; of are the places of what is in it, and lsets its labels where somebody else wants it.
func (w *storing) append(ctx context.Context, batch engine.Batch, of []int, lsets []labels.Labels) error {
	done, err := w.shard.engine.Append(ctx, batch)
	if err != nil {
		return err
	}
	w.sendOn(batch, lsets, done)
	w.told.Stored += done.Stored
	for i := range done.Refused {
		refusal := &done.Refused[i]
		place := of[refusal.Index]
		if refusal.Reason == engine.ReasonUnknownSeries && !w.final {
			w.shard.refs.forget(w.shard.refs.key(&w.metrics[place]))
			w.unknown = append(w.unknown, place)
			continue
		}
		w.refuse(place, refusal)
	}
	return nil
}

// refuse counts a metric that is not stored.
func (w *storing) refuse(place int, refusal *engine.Refusal) {
	w.told.Refused++
	w.told.ByReason[string(refusal.Reason)]++
	if len(w.told.First) < toldRefusals {
		w.told.First = append(w.told.First, tsdb.RefusedMetric{Index: place, Reason: string(refusal.Reason), Detail: refusal.Detail})
	}
}

// counts are what the shard did since it was opened.
type counts struct {
	mu       sync.Mutex
	stored   int64
	failures int64
	refused  map[string]int64
}

func (c *counts) add(stored int, refused map[string]int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored += int64(stored)
	if err != nil {
		c.failures++
	}
	if c.refused == nil {
		c.refused = map[string]int64{}
	}
	for reason, n := range refused {
		c.refused[reason] += int64(n)
	}
}

func (c *counts) list() (stored, failures int64, refused map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stored, c.failures, maps.Clone(c.refused)
}
