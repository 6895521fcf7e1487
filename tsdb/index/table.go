package index

// table finds refs by a hash: open addressing with linear steps. A slot holds the upper half of a hash and the ref it
// leads to; ref 0 marks an empty slot. The hash's top bits are the home of a ref, so a table grows without its keys.
type table struct {
	slots []uint64
	n     int
	shift uint8
}

const minSlots = 8

// find returns the first ref with this hash that is the wanted one, 0 if there is none.
func (t *table) find(hash uint32, wanted func(ref uint32) bool) uint32 {
	if t.n == 0 {
		return 0
	}
	mask := uint32(len(t.slots) - 1)
	for i := hash >> t.shift; ; i++ {
		slot := t.slots[i&mask]
		if slot == 0 {
			return 0
		}
		if uint32(slot>>32) == hash && wanted(uint32(slot)) {
			return uint32(slot)
		}
	}
}

// insert adds a ref that is not in the table.
func (t *table) insert(hash, ref uint32) {
	if 5*(t.n+1) > 4*len(t.slots) {
		t.resize(max(minSlots, 2*len(t.slots)))
	}
	t.put(uint64(hash)<<32 | uint64(ref))
	t.n++
}

func (t *table) put(slot uint64) {
	mask := uint32(len(t.slots) - 1)
	i := uint32(slot>>32) >> t.shift
	for t.slots[i&mask] != 0 {
		i++
	}
	t.slots[i&mask] = slot
}

func (t *table) resize(n int) {
	old := t.slots
	t.slots, t.shift = make([]uint64, n), 32
	for size := n; size > 1; size /= 2 {
		t.shift--
	}
	for _, slot := range old {
		if slot != 0 {
			t.put(slot)
		}
	}
}

// remove takes a ref out of the table, and tells whether it was there. Those that had to step over it move up.
func (t *table) remove(hash, ref uint32) bool {
	if t.n == 0 {
		return false
	}
	mask := uint32(len(t.slots) - 1)
	hole := hash >> t.shift & mask
	for t.slots[hole] != uint64(hash)<<32|uint64(ref) {
		if t.slots[hole] == 0 {
			return false
		}
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		home := uint32(t.slots[i]>>32) >> t.shift & mask
		if (i-home)&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = 0
	t.n--
	if len(t.slots) > minSlots && 8*t.n < len(t.slots) {
		t.resize(len(t.slots) / 2)
	}
	return true
}
