package shard

import (
	"hash/maphash"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
)

const (
	nameLabel   = "__name__"
	sourceLabel = "source"
)

// references keep the engine's references of label sets that were used lately, so that neither are labels sorted nor
// the index asked for every value. There are two halves: a full one becomes the old one, whose entries come back when
// they are used, and what was old is forgotten.
type references struct {
	seed  maphash.Seed
	limit int // entries of a half

	mu         sync.Mutex
	young, old map[uint64]reference
}

type reference struct {
	lset labels.Labels
	ref  engine.Ref
}

func newReferences(limit int) *references {
	return &references{seed: maphash.MakeSeed(), limit: max(1, limit/2), young: map[uint64]reference{}}
}

// key is a number of a metric's labels that does not depend on their order.
func (r *references) key(m *tsdb.Metric) uint64 {
	key := r.pair(nameLabel, m.Name)
	for name, value := range m.Labels {
		key += r.pair(name, value)
	}
	if _, has := m.Labels[sourceLabel]; !has && m.Source != "" {
		key += r.pair(sourceLabel, m.Source)
	}
	return key
}

func (r *references) pair(name, value string) uint64 {
	if value == "" {
		return 0
	}
	return maphash.String(r.seed, name)*0x9E3779B97F4A7C15 ^ maphash.String(r.seed, value)
}

// find returns the reference of a metric's labels, where it is at hand.
func (r *references) find(key uint64, m *tsdb.Metric) (reference, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.young[key]
	if !ok {
		if known, ok = r.old[key]; ok {
			r.put(key, known)
		}
	}
	return known, ok && same(known.lset, m)
}

// keep remembers a reference in the place of another with the same key.
func (r *references) keep(key uint64, known reference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key, known)
}

func (r *references) put(key uint64, known reference) {
	if len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[uint64]reference, r.limit/4)
	}
	r.young[key] = known
}

// forget drops a reference that the engine no longer knows.
func (r *references) forget(key uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, key)
	delete(r.old, key)
}

func (r *references) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) + len(r.old)
}

// same tells whether labels are those of a metric.
func same(lset labels.Labels, m *tsdb.Metric) bool {
	left, equal := lset.Len(), true
	lset.Range(func(l labels.Label) {
		value := m.Labels[l.Name]
		switch {
		case l.Name == nameLabel:
			value = m.Name
		case l.Name == sourceLabel && value == "":
			if _, has := m.Labels[sourceLabel]; !has {
				value = m.Source
			}
		}
		equal = equal && value == l.Value
	})
	if !equal {
		return false
	}
	count := 1 // the name
	for name, value := range m.Labels {
		if value != "" && name != nameLabel {
			count++
		}
	}
	if _, has := m.Labels[sourceLabel]; !has && m.Source != "" {
		count++
	}
	return left == count
}

// labelsOf are the labels of a metric.
func labelsOf(m *tsdb.Metric, b *labels.ScratchBuilder) labels.Labels {
	b.Reset()
	b.Add(nameLabel, m.Name)
	for name, value := range m.Labels {
		if value != "" && name != nameLabel {
			b.Add(name, value)
		}
	}
	if _, has := m.Labels[sourceLabel]; !has && m.Source != "" {
		b.Add(sourceLabel, m.Source)
	}
	b.Sort()
	return b.Labels()
}
