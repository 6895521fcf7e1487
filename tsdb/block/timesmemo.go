package block

import (
	"slices"

	"github.com/novacron/novacron/tsdb/chunk"
)

// timesMemo remembers encoded time columns: packing the same times again for each series of a scrape would take a
// fifth of the time of a merge.
type timesMemo struct {
	slots [memoSlots]struct {
		times   []int64
		encoded []byte
	}
}

// memoSlots bounds the memory of a memo to some MiB.
const memoSlots = 1 << 10

// encode returns the column of the times, which nobody changes.
func (m *timesMemo) encode(times []int64) []byte {
	n := len(times)
	mix := uint64(times[0])*0x9e3779b97f4a7c15 ^ uint64(times[n-1])*0xc2b2ae3d27d4eb4f ^ uint64(times[n/2])*0x165667b19e3779f9
	slot := &m.slots[mix>>32%memoSlots]
	if !slices.Equal(slot.times, times) {
		slot.times = append(slot.times[:0], times...)
		slot.encoded = chunk.AppendTimes(nil, times) // others may still hold the old one
	}
	return slot.encoded
}
