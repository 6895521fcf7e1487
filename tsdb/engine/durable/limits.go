package durable

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// Limit changes Options.Limits: it bounds what new series may be made from now on.
func (s *Store) Limit(limits index.Limits) {
	s.life.Lock()
	defer s.life.Unlock()
	s.index.Limit(limits)
}

// Known finds the series with these labels, and does not make it.
func (s *Store) Known(lset labels.Labels) (engine.Ref, bool) {
	s.life.RLock()
	defer s.life.RUnlock()
	id, known := s.index.Lookup(lset)
	if !known || s.closed {
		return 0, false
	}
	generation := s.index.Generation(id)
	s.head.pages.grow(id).enter(id, generation)
	return engine.Ref(makeRef(id, generation)), true
}

// Live is the number of series that new ones are counted with.
func (s *Store) Live() int { return s.index.Len() }

// Having is how many of them have a label with this value.
func (s *Store) Having(name, value string) int { return s.index.Having(name, value) }
