package durable

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
)

// span holds the ended chunks of one stretch of time, [start, end) in milliseconds. Chunks are written once and then
// only read; all go at once when a block holds them and the last reader has left.
type span struct {
	start, end int64
	number     uint32
	slabs      *slabs

	mu   sync.Mutex
	held atomic.Pointer[[][]byte]
	used int // bytes of the last slab

	// users are the head, while the span is in it, and the readers; released runs when the last one leaves.
	users    atomic.Int64
	released func()
}

// place says where a chunk lies: the number of its span above, and in the lower half its offset in units of 8 bytes.
// Zero is no place.
type place uint64

func (p place) span() uint32 { return uint32(p >> 32) }

// A chunk in a span: the place of the series's chunk before it, its length, the times of its first and last sample,
// and its bytes.
const endedHeader = 8 + 8 + 8 + 4

// ended is a chunk in a span. Its data is the span's own memory.
type ended struct {
	before   place
	min, max int64
	data     []byte
}

func newSpan(s *slabs, number uint32, start, end int64) *span {
	sp := &span{start: start, end: end, number: number, slabs: s, used: slabSize}
	sp.held.Store(&[][]byte{})
	sp.users.Store(1)
	return sp
}

// put copies a chunk into the span.
func (sp *span) put(before place, minT, maxT int64, data []byte) (place, error) {
	need := (endedHeader + len(data) + 7) &^ 7
	if need > slabSize {
		return 0, fmt.Errorf("a chunk of %d bytes does not fit into memory's pieces of %d", len(data), slabSize)
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	held := *sp.held.Load()
	if sp.used+need > slabSize {
		slab, err := sp.slabs.take()
		if err != nil {
			return 0, err
		}
		sp.markEnd(held)
		held = append(held[:len(held):len(held)], slab)
		sp.held.Store(&held)
		sp.used = 0
		if len(held) == 1 {
			sp.used = 8 // so that no chunk has the place 0
		}
	}
	at := held[len(held)-1][sp.used:]
	binary.LittleEndian.PutUint64(at, uint64(before))
	binary.LittleEndian.PutUint64(at[8:], uint64(minT))
	binary.LittleEndian.PutUint64(at[16:], uint64(maxT))
	binary.LittleEndian.PutUint32(at[24:], uint32(len(data)))
	copy(at[endedHeader:], data)
	offset := (len(held)-1)*slabSize + sp.used
	sp.used += need
	return place(uint64(sp.number)<<32 | uint64(offset/8)), nil
}

// markEnd says, with a chunk of no bytes, where the last slab's chunks end, unless no chunk fits behind them. The slab
// may have been another span's before.
func (sp *span) markEnd(held [][]byte) {
	if len(held) > 0 && sp.used+endedHeader <= slabSize {
		clear(held[len(held)-1][sp.used:][:endedHeader])
	}
}

// get returns the chunk at a place of this span.
func (sp *span) get(p place) ended {
	offset := int(uint32(p)) * 8
	at := (*sp.held.Load())[offset/slabSize][offset%slabSize:]
	length := binary.LittleEndian.Uint32(at[24:])
	return ended{
		before: place(binary.LittleEndian.Uint64(at)),
		min:    int64(binary.LittleEndian.Uint64(at[8:])),
		max:    int64(binary.LittleEndian.Uint64(at[16:])),
		data:   at[endedHeader : endedHeader+length : endedHeader+length],
	}
}

// acquire adds a reader; the caller knows that the span still has a user.
func (sp *span) acquire() { sp.users.Add(1) }

// release takes a user away; the head frees the memory when the last one has left.
func (sp *span) release() {
	if sp.users.Add(-1) == 0 && sp.released != nil {
		sp.released()
	}
}

// free gives the memory back.
func (sp *span) free() {
	sp.slabs.give(*sp.held.Load()...)
	sp.held.Store(&[][]byte{})
}
