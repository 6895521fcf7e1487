package block

// headsMemo remembers what stands before the times of columns. Whoever looks for chunks of a short time passes by those
// of all others; here their bounds lie side by side, and nobody else writes. Blocks have their names from a cache of times,
// which hands out the memos, too.
type headsMemo struct {
	slots [headsKept]struct {
		block, place uint64
		columnHead
	}
}

// headsKept bounds a memo to 40 KiB.
const headsKept = 1 << 10

func slotOf(place uint64) uint64 { return place * 0x9e3779b97f4a7c15 >> 54 }

// find returns what is before the times at a place of a block; a nil memo knows nothing.
func (m *headsMemo) find(block, place uint64) (columnHead, bool) {
	if m == nil {
		return columnHead{}, false
	}
	slot := &m.slots[slotOf(place)&(headsKept-1)]
	return slot.columnHead, slot.block == block && slot.place == place && slot.count > 0
}

func (m *headsMemo) keep(block, place uint64, head columnHead) {
	if m != nil {
		slot := &m.slots[slotOf(place)&(headsKept-1)]
		slot.block, slot.place, slot.columnHead = block, place, head
	}
}
