package index

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// Sort returns series in the order of their labels. Ids without a series are left out.
func (m *Mem) Sort(ids *roaring.Bitmap) []uint32 {
	m.life.RLock()
	defer m.life.RUnlock()
	return m.sort(ids)
}

// sort is Sort for a caller that holds life.
func (m *Mem) sort(ids *roaring.Bitmap) []uint32 {
	entries := make([]sortEntry, 0, ids.GetCardinality())
	for it := ids.Iterator(); it.HasNext(); {
		id := it.Next()
		if record, ok := m.record(id); ok {
			entries = append(entries, sortEntry{id: id, pairs: pairsOf(record)})
		}
	}
	s := sorter{view: m.dict.view()}
	if len(entries) > fewEntries {
		s.ranks = m.ranks(entries)
	}
	s.sort(entries)
	sorted := make([]uint32, len(entries))
	for i, e := range entries {
		sorted[i] = e.id
	}
	return sorted
}

// sortEntry is a series that is sorted by the pairs it has left: those before are the same as its neighbours'.
type sortEntry struct {
	pairs pairList
	id    uint32
	key   uint32 // rank of the next pair, 0 if there is none
}

// fewEntries are compared by their texts: ranks would cost more.
const fewEntries = 512

// sorter orders series one label after the other: those with the same first label by their second, and so on. It looks
// at each label once, and compares numbers.
type sorter struct {
	view  view
	ranks []uint32 // by pair: its place among all that are sorted, from 1 on
}

func (s *sorter) sort(entries []sortEntry) {
	for len(entries) > fewEntries/16 && s.ranks != nil {
		if s.next(entries) { // all have the same pair
			if entries[0].key == 0 {
				return
			}
			continue
		}
		slices.SortFunc(entries, func(a, b sortEntry) int { return cmp.Compare(a.key, b.key) })
		for from := 0; from < len(entries); {
			to := from + 1
			for to < len(entries) && entries[to].key == entries[from].key {
				to++
			}
			if to-from > 1 {
				s.sort(entries[from:to])
			}
			from = to
		}
		return
	}
	slices.SortFunc(entries, func(a, b sortEntry) int { return s.compare(a.pairs, b.pairs) })
}

// next steps to the next pair of all, and tells whether it is the same one.
func (s *sorter) next(entries []sortEntry) bool {
	same := true
	for i := range entries {
		e := &entries[i]
		p, _ := e.pairs.next()
		e.key = s.ranks[p]
		same = same && e.key == entries[0].key
	}
	return same
}

// compare orders what is left of two records as labels.Compare does labels.
func (s *sorter) compare(as, bs pairList) int {
	for {
		p, moreA := as.next()
		q, moreB := bs.next()
		switch {
		case p == q && moreA:
			continue
		case !moreA || !moreB:
			return cmp.Compare(p, q) // no pair is 0
		}
		nameA, valueA := s.view.pair(p)
		nameB, valueB := s.view.pair(q)
		return cmp.Or(strings.Compare(nameA, nameB), strings.Compare(valueA, valueB))
	}
}

// ranks are the places of all pairs of some series in the order of names and values.
func (m *Mem) ranks(entries []sortEntry) []uint32 {
	ranks := make([]uint32, m.pairNumbers())
	perName := map[string][]uint32{}
	for _, e := range entries {
		for p, more := e.pairs.next(); more; p, more = e.pairs.next() {
			if ranks[p] == 0 {
				ranks[p] = 1
				name := m.dict.name(p)
				perName[name] = append(perName[name], p)
			}
		}
	}
	rank := uint32(0)
	for _, name := range slices.Sorted(maps.Keys(perName)) {
		for _, p := range m.dict.byValue(perName[name]) {
			rank++
			ranks[p] = rank
		}
	}
	return ranks
}

// pairNumbers is one more than the largest number of a pair.
func (m *Mem) pairNumbers() uint32 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.dict.pairs.len()
}
