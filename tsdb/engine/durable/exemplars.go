package durable

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// loggedExemplar is an exemplar with its series's id.
type loggedExemplar struct {
	id       uint32
	exemplar exemplar.Exemplar
}

// exemplarRing keeps the newest exemplars of all series. They lie in the log too, as long as the samples around them.
type exemplarRing struct {
	mu   sync.Mutex
	ring []loggedExemplar
	// written counts all that were ever added.
	written int
	// newest is the last one of each series: senders repeat it until they have another.
	newest map[uint32]exemplar.Exemplar
}

func newExemplarRing(size int) *exemplarRing {
	return &exemplarRing{ring: make([]loggedExemplar, 0, size), newest: map[uint32]exemplar.Exemplar{}}
}

func (r *exemplarRing) add(e loggedExemplar) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, known := r.newest[e.id]; known && last.Equals(e.exemplar) {
		return
	}
	r.newest[e.id] = e.exemplar
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, e)
	} else {
		r.ring[r.written%cap(r.ring)] = e
	}
	r.written++
}

// between returns, by series, the exemplars in the bounds, both inclusive, in order of time.
func (r *exemplarRing) between(minT, maxT int64) map[uint32][]exemplar.Exemplar {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[uint32][]exemplar.Exemplar{}
	for _, e := range r.ring {
		if minT <= e.exemplar.Ts && e.exemplar.Ts <= maxT {
			found[e.id] = append(found[e.id], e.exemplar)
		}
	}
	for _, list := range found {
		slices.SortStableFunc(list, func(a, b exemplar.Exemplar) int { return cmp.Compare(a.Ts, b.Ts) })
	}
	return found
}

// forget drops the exemplars of series whose ids others get.
func (r *exemplarRing) forget(gone func(id uint32) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// In the order they were written, so that the ring goes on with the oldest.
	kept := slices.DeleteFunc(r.ordered(), func(e loggedExemplar) bool { return gone(e.id) })
	for id := range r.newest {
		if gone(id) {
			delete(r.newest, id)
		}
	}
	r.ring, r.written = kept, len(kept)
}

// ordered is a copy of the ring, as large as it may become, with the oldest first.
func (r *exemplarRing) ordered() []loggedExemplar {
	list, oldest := make([]loggedExemplar, 0, cap(r.ring)), 0
	if len(r.ring) == cap(r.ring) && len(r.ring) > 0 {
		oldest = r.written % len(r.ring)
	}
	return append(append(list, r.ring[oldest:]...), r.ring[:oldest]...)
}

// Exemplars lists the kept exemplars of the series that match.
func (s *Store) Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return nil, engine.ErrClosed
	}
	ids, err := s.index.Select(ctx, matchers...)
	if err != nil {
		return nil, err
	}
	var answer []engine.SeriesExemplars
	for id, exemplars := range s.exemplars.between(minT, maxT) {
		if lset, ok := s.index.Labels(id); ok && ids.Contains(id) {
			answer = append(answer, engine.SeriesExemplars{Labels: lset, Exemplars: exemplars})
		}
	}
	slices.SortFunc(answer, func(a, b engine.SeriesExemplars) int { return labels.Compare(a.Labels, b.Labels) })
	return answer, nil
}

func appendExemplars(dst []byte, exemplars []loggedExemplar) []byte {
	dst = append(dst, sectionExemplars)
	dst = binary.AppendUvarint(dst, uint64(len(exemplars)))
	for i := range exemplars {
		e := &exemplars[i].exemplar
		dst = binary.AppendUvarint(dst, uint64(exemplars[i].id))
		dst = binary.AppendVarint(dst, e.Ts)
		given := byte(0)
		if e.HasTs {
			given = 1
		}
		dst = append(dst, given)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.Value))
		dst = appendLabels(dst, e.Labels)
	}
	return dst
}

func (r *recordReader) exemplars() []loggedExemplar {
	var b labels.ScratchBuilder
	var all []loggedExemplar
	for range r.Count(12) {
		e := loggedExemplar{id: r.ID()}
		e.exemplar.Ts = r.Varint()
		e.exemplar.HasTs = r.Octet() == 1
		e.exemplar.Value = r.Float()
		e.exemplar.Labels = r.Labels(&b)
		all = append(all, e)
	}
	return all
}
