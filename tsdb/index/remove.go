package index

import (
	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// removeAtOnce is how many series are removed before others get their turn.
const removeAtOnce = 4096

// Remove forgets series. Ids that have none are passed over. The ids are given to new series from now on, and nothing
// is left of labels that no other series has.
func (m *Mem) Remove(ids *roaring.Bitmap) {
	batch := make([]uint32, removeAtOnce)
	for it := ids.ManyIterator(); ; {
		n := it.NextMany(batch)
		if n == 0 {
			return
		}
		m.removeBatch(batch[:n])
	}
}

func (m *Mem) removeBatch(ids []uint32) {
	m.life.Lock()
	defer m.life.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	var dead []uint32
	builder := labels.NewScratchBuilder(16)
	for _, id := range ids {
		if record, ok := m.record(id); ok {
			m.unpublish(id, record, &builder)
			dead = m.dismantle(id, record, dead)
		}
	}
	m.dict.drop(dead)
	m.removals++
}

// unpublish takes a series out of the table that finds it by its labels.
func (m *Mem) unpublish(id uint32, record []byte, builder *labels.ScratchBuilder) {
	m.addLabels(builder, record)
	var lset labels.Labels
	builder.Overwrite(&lset)
	hash := m.hash(lset)
	m.churn.saw(hash)
	s, hash32 := m.stripe(hash)
	s.Lock()
	defer s.Unlock()
	s.table.remove(hash32, uint32(m.slot(id)))
}

// dismantle frees what a series has for itself, and adds the pairs that it was the last one of to the dead ones.
func (m *Mem) dismantle(id uint32, record []byte, dead []uint32) []uint32 {
	pairs := pairsOf(record)
	for p, more := pairs.next(); more; p, more = pairs.next() {
		at := m.dict.pairs.at(p)
		m.dict.byID.get(at.name).series.Remove(id)
		if m.dict.take(at, id); at.n == 0 {
			dead = append(dead, p)
		}
	}
	slot := m.slots.at(id)
	m.dict.slab.release(uint32(slot.Load()))
	slot.Store((slot.Load()>>32 + 1) << 32)
	m.all.Remove(id)
	m.live--
	m.unused = append(m.unused, id)
	return dead
}
