package durable

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

var (
	_ engine.Revised   = (*Store)(nil)
	_ engine.Estimator = (*Store)(nil)
)

// revision counts changes of what is settled. It is told of a change once readers see it: who reads the revision first,
// and then the samples, never takes old samples for new ones.
type revision struct {
	epoch   uint64
	changes atomic.Uint64
}

func newRevision() *revision { return &revision{epoch: max(1, rand.Uint64())} }

func (r *revision) changed() { r.changes.Add(1) }

// Revision names the state of what is older than engine.SettledAfter.
func (s *Store) Revision() engine.Revision {
	changes := s.revision.changes.Load() // before what it tells of
	return engine.Revision{Epoch: s.revision.epoch, Changes: changes, Since: s.Since()}
}

// noteLate counts a change where any of what was written is older than what changes all the time.
func (s *Store) noteLate(w *writing) {
	before := s.options.Clock().Add(-engine.SettledAfter).UnixMilli()
	if slices.ContainsFunc(w.samples, func(l loggedSample) bool { return l.t < before }) ||
		slices.ContainsFunc(w.histograms, func(l loggedHistogram) bool { return l.point.t < before }) {
		s.revision.changed()
	}
}

// Estimate counts series in the indexes of the head and of the blocks. A series is mostly in several of them, so the
// largest count stands for all.
func (s *Store) Estimate(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) (e engine.Estimate, err error) {
	v, err := s.hold(engine.TierRaw, minT, maxT)
	if err != nil {
		return e, err
	}
	defer s.letGo(v)
	for _, b := range v.blocks {
		found, err := b.Match(ctx, matchers...)
		if err != nil {
			return e, err
		}
		n := int64(found.GetCardinality())
		e.Likely = max(e.Likely, n)
		if m := b.Meta(); m.MinTime >= minT && m.MaxTime <= maxT {
			e.Least = max(e.Least, n)
		}
	}
	if len(v.spans) == 0 {
		return e, nil
	}
	ids, err := s.index.Select(ctx, matchers...)
	if err != nil {
		return e, err
	}
	n := int64(s.head.reaching(ids, minT, maxT).GetCardinality())
	return engine.Estimate{Least: max(e.Least, n), Likely: max(e.Likely, n)}, nil
}

// MostSeries is the number of series of the head, or of the block with the most.
func (s *Store) MostSeries() int64 {
	most := uint64(s.index.Len())
	for _, b := range s.blocks.list() {
		m := b.Meta()
		most = max(most, m.Series)
	}
	return int64(most)
}
