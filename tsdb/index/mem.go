// Package index finds series by their labels: Mem is the index of the live series, which grows and shrinks with them;
// a file, made by Writer and read by Reader, is the index of a block and does not change.
package index

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Mem is the index of live series. A series has a dense id, which names it until it is removed and is then given to
// another one; its generation tells the two apart. All methods may be called at the same time.
//
// Three kinds of locks, taken in this order. Whoever follows ids, pairs or texts holds life for reading; only Remove
// holds it for writing, because it frees them. mu guards the dictionary and the free ids: making a series takes it for
// writing, reading postings for a moment each. Each stripe guards its table of ids by hash; finding a known series
// takes just that, so that it waits neither for a long selection nor for the making of other series.
type Mem struct {
	limits  Limits
	life    sync.RWMutex
	mu      sync.RWMutex
	sorting sync.Mutex // sorts values, one at a time
	stripes [stripes]stripe
	dict    *dictionary
	slots   paged[atomic.Uint64]
	unused  []uint32 // ids of removed series
	all     roaring.Bitmap
	live    uint64
	churn   *churn
	seed    maphash.Seed
	// removals count those of series: views of texts from before one may have become others'.
	removals uint64
}

const stripes = 64

type stripe struct {
	sync.RWMutex
	table table
}

// A slot of an id holds the generation above and the ref of the record below; no record means that the id is free.
// A record is the id (4 bytes, little-endian), the number of labels and their pairs in order of the names (varints).

// New makes an empty index. The clock tells in which hour series come and go.
func New(limits Limits, now func() time.Time) *Mem {
	return &Mem{limits: limits, dict: newDictionary(), churn: &churn{now: now}, seed: maphash.MakeSeed()}
}

// GetOrCreate finds the series with these labels, or makes it. Labels with an empty value count as missing. A series
// that may not be made is an *engine.Refusal; limits on the number of series never concern one that is there.
func (m *Mem) GetOrCreate(lset labels.Labels) (id uint32, created bool, err error) {
	if id, ok := m.lookup(m.hash(lset), lset); ok {
		return id, false, nil
	}
	if full := lset.WithoutEmpty(); full.Len() < lset.Len() {
		return m.GetOrCreate(full)
	}
	if refusal := m.limits.check(lset); refusal != nil {
		return 0, false, refusal
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := m.hash(lset)
	if id, ok := m.lookup(hash, lset); ok {
		return id, false, nil
	}
	if refusal := m.admit(lset); refusal != nil {
		return 0, false, refusal
	}
	return m.create(hash, lset), true, nil
}

// Lookup finds the series with these labels.
func (m *Mem) Lookup(lset labels.Labels) (id uint32, ok bool) {
	lset = lset.WithoutEmpty()
	return m.lookup(m.hash(lset), lset)
}

func (m *Mem) hash(lset labels.Labels) uint64 {
	var room [512]byte
	return maphash.Bytes(m.seed, lset.Bytes(room[:0]))
}

func (m *Mem) stripe(hash uint64) (*stripe, uint32) {
	return &m.stripes[hash%stripes], uint32(hash >> 32)
}

func (m *Mem) lookup(hash uint64, lset labels.Labels) (id uint32, ok bool) {
	s, hash32 := m.stripe(hash)
	s.RLock()
	defer s.RUnlock()
	ref := s.table.find(hash32, func(ref uint32) bool { return m.is(m.dict.slab.bytes(ref), lset) })
	if ref == 0 {
		return 0, false
	}
	return recordID(m.dict.slab.bytes(ref)), true
}

// is tells whether a record is the one of these labels.
func (m *Mem) is(record []byte, lset labels.Labels) bool {
	pairs, view := pairsOf(record), m.dict.view()
	same := true
	lset.Range(func(label labels.Label) {
		p, more := pairs.next()
		if !more || !same {
			same = false
			return
		}
		name, value := view.pair(p)
		same = value == label.Value && name == label.Name
	})
	return same && pairs.left == 0
}

func (m *Mem) create(hash uint64, lset labels.Labels) uint32 {
	var room [16]uint32
	pairs := room[:0]
	lset.Range(func(label labels.Label) { pairs = append(pairs, m.dict.add(label.Name, label.Value)) })
	id := m.newID()
	ref := m.putRecord(id, pairs)
	slot := m.slots.at(id)
	slot.Store(slot.Load() | uint64(ref))
	for _, p := range pairs {
		at := m.dict.pairs.at(p)
		m.dict.put(at, id)
		m.dict.byID.get(at.name).series.Add(id)
	}
	m.all.Add(id)
	m.live++
	m.churn.saw(hash)
	s, hash32 := m.stripe(hash)
	s.Lock()
	defer s.Unlock()
	s.table.insert(hash32, ref)
	return id
}

func (m *Mem) newID() uint32 {
	if last := len(m.unused) - 1; last >= 0 {
		id := m.unused[last]
		m.unused = m.unused[:last]
		return id
	}
	id := m.slots.push()
	m.slots.at(id).Store(1 << 32)
	return id
}

func (m *Mem) putRecord(id uint32, pairs []uint32) uint32 {
	var room [128]byte
	record := binary.LittleEndian.AppendUint32(room[:0], id)
	record = binary.AppendUvarint(record, uint64(len(pairs)))
	for _, p := range pairs {
		record = binary.AppendUvarint(record, uint64(p))
	}
	ref := m.dict.slab.alloc(len(record))
	copy(m.dict.slab.bytes(ref), record)
	return ref
}

func recordID(record []byte) uint32 { return binary.LittleEndian.Uint32(record) }

// pairList walks over the pairs of a record.
type pairList struct {
	rest []byte
	left uint64
}

func pairsOf(record []byte) pairList {
	left, n := binary.Uvarint(record[4:])
	return pairList{record[4+n:], left}
}

func (l *pairList) next() (p uint32, ok bool) {
	if l.left == 0 {
		return 0, false
	}
	l.left--
	if b := l.rest[0]; b < 0x80 {
		l.rest = l.rest[1:]
		return uint32(b), true
	}
	v, n := binary.Uvarint(l.rest)
	l.rest = l.rest[n:]
	return uint32(v), true
}

// record is what a slot leads to; false for an id without a series.
func (m *Mem) record(id uint32) ([]byte, bool) {
	slot := m.slot(id)
	if uint32(slot) == 0 {
		return nil, false
	}
	return m.dict.slab.bytes(uint32(slot)), true
}

func (m *Mem) slot(id uint32) uint64 {
	pages := m.slots.pages.all()
	if int(id>>pagedBits) >= len(pages) || pages[id>>pagedBits] == nil {
		return 0
	}
	return pages[id>>pagedBits][id&(pagedLen-1)].Load()
}

// Labels are the labels of a series; false for an id without one. A Namer is quicker for many.
func (m *Mem) Labels(id uint32) (labels.Labels, bool) {
	m.life.RLock()
	defer m.life.RUnlock()
	record, ok := m.record(id)
	if !ok {
		return labels.EmptyLabels(), false
	}
	builder := labels.NewScratchBuilder(16)
	m.addLabels(&builder, record)
	return builder.Labels(), true
}

// addLabels puts the labels of a record into a builder, as views.
func (m *Mem) addLabels(builder *labels.ScratchBuilder, record []byte) {
	builder.Reset()
	pairs, view := pairsOf(record), m.dict.view()
	for p, more := pairs.next(); more; p, more = pairs.next() {
		builder.Add(view.pair(p))
	}
}

// Generation tells the series that had an id one after the other apart: it starts at 1 and is one more after each
// removal. It is 0 for an id that no series ever had.
func (m *Mem) Generation(id uint32) uint32 { return uint32(m.slot(id) >> 32) }

// Len is the number of live series.
func (m *Mem) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int(m.live)
}
