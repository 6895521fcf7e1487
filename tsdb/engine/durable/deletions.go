package durable

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// deletion is one that was done, or is being done, while answers are open. Each answer knows the one before it was asked
// for; from there on it leaves out what was deleted, wherever it lies: else it could show the older of two samples of
// which a deletion has reached only the newer. Nobody holds those before the oldest answer.
type deletion struct {
	span     merge.Interval
	matchers []*labels.Matcher
	next     atomic.Pointer[deletion]
}

// spans are what was deleted of a series since, joined.
func (d *deletion) spans(lset labels.Labels) (spans []merge.Interval) {
	for n := d.next.Load(); n != nil; n = n.next.Load() {
		if !slices.ContainsFunc(n.matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			spans = append(spans, n.span)
		}
	}
	return merge.Join(spans)
}

// beginDeletion tells the answers that are open.
func (s *Store) beginDeletion(minT, maxT int64, matchers []*labels.Matcher) {
	s.deleted.Load().next.Store(&deletion{span: merge.Interval{Min: minT, Max: maxT}, matchers: matchers})
}

// endDeletion spares the answers that are asked for from now on: nothing of it is left for them to find.
func (s *Store) endDeletion() {
	if done := s.deleted.Load().next.Load(); done != nil {
		s.deleted.Store(done)
	}
}

// hide leaves out some spans, joined, of all that was gathered.
func (p *parts) hide(spans []merge.Interval) {
	if len(spans) == 0 {
		return
	}
	for i := range p.sources {
		p.sources[i].Deleted = merge.Join(slices.Concat(p.sources[i].Deleted, spans))
	}
}
