package index

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// ordered returns the pairs of a name in the order of their values, and those that came too lately to be sorted in.
// Both are only to be read. It sorts once a sixteenth of all is in no order. The caller holds life for reading.
func (m *Mem) ordered(name string) (sorted, recent []uint32) {
	sorted, recent = m.valuesOf(name)
	if len(recent) <= max(1024, len(sorted)/16) {
		return sorted, recent
	}
	m.sorting.Lock()
	defer m.sorting.Unlock()
	sorted, recent = m.valuesOf(name) // another one may have sorted them meanwhile
	if len(recent) == 0 {
		return sorted, nil
	}
	merged := m.dict.merged(sorted, recent)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.dict.names[name]
	n.sorted, n.recent = merged, slices.Clone(n.recent[len(recent):])
	return n.sorted, slices.Clip(n.recent)
}

// valuesOf is what a name's lists are at the moment. Neither changes while the caller holds life for reading: sorting
// makes new ones, and new pairs are put behind.
func (m *Mem) valuesOf(name string) (sorted, recent []uint32) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.dict.names[name]
	if n == nil {
		return nil, nil
	}
	return n.sorted, slices.Clip(n.recent)
}

// merged is a sorted list of pairs with others sorted in.
func (d *dictionary) merged(sorted, others []uint32) []uint32 {
	others = d.byValue(others)
	merged := make([]uint32, 0, len(sorted)+len(others))
	for _, p := range others {
		i, _ := d.search(sorted, d.value(p))
		merged = append(append(merged, sorted[:i]...), p)
		sorted = sorted[i:]
	}
	return append(merged, sorted...)
}

// search finds a value among sorted pairs of its name.
func (d *dictionary) search(sorted []uint32, value string) (int, bool) {
	return slices.BinarySearchFunc(sorted, value, func(p uint32, value string) int { return strings.Compare(d.value(p), value) })
}

// byValue returns the pairs of one name in the order of their values. It compares the eight bytes after what all have
// in common, and looks up a text only where these are the same.
func (d *dictionary) byValue(pairs []uint32) []uint32 {
	type keyed struct {
		key  uint64
		pair uint32
	}
	common := d.commonPrefix(pairs)
	keys := make([]keyed, len(pairs))
	for i, p := range pairs {
		var eight [8]byte
		copy(eight[:], d.value(p)[common:])
		keys[i] = keyed{binary.BigEndian.Uint64(eight[:]), p}
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return strings.Compare(d.value(a.pair), d.value(b.pair))
	})
	sorted := make([]uint32, len(keys))
	for i, k := range keys {
		sorted[i] = k.pair
	}
	return sorted
}

// commonPrefix is how many bytes all values begin with alike.
func (d *dictionary) commonPrefix(pairs []uint32) int {
	if len(pairs) == 0 {
		return 0
	}
	first := d.value(pairs[0])
	n := len(first)
	for _, p := range pairs[1:] {
		value := d.value(p)
		n = min(n, len(value))
		for value[:n] != first[:n] {
			n--
		}
	}
	return n
}
