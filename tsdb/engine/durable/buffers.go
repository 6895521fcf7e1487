package durable

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// bufferSizes are the sizes, in bytes, that the buffers of growing chunks have: powers of two below slabSize.
var bufferSizes = [...]int{64, 128, 256, 512}

// buffers hands out buffers of one size, each known by a number from 1 on.
type buffers struct {
	slabs *slabs
	// size is the length of a buffer, and perSlab the binary logarithm of how many lie in a slab.
	size    int
	perSlab int
	// held are the slabs; it is replaced and never changed, so that at needs no lock.
	held atomic.Pointer[[][]byte]

	mu sync.Mutex
	// used counts the buffers ever handed out; free is the first of those given back, each of which names the next.
	used, free uint32
}

func newBuffers(s *slabs, size int) *buffers {
	b := &buffers{slabs: s, size: size, perSlab: bits.TrailingZeros(uint(slabSize / size))}
	b.held.Store(&[][]byte{})
	return b
}

// take returns a buffer that nobody else has.
func (b *buffers) take() (number uint32, buf []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free != 0 {
		number = b.free
		buf = b.at(number)
		b.free = binary.LittleEndian.Uint32(buf)
		return number, buf, nil
	}
	if held := *b.held.Load(); int(b.used) == len(held)<<b.perSlab {
		slab, err := b.slabs.take()
		if err != nil {
			return 0, nil, err
		}
		more := append(held[:len(held):len(held)], slab)
		b.held.Store(&more)
	}
	b.used++
	return b.used, b.at(b.used), nil
}

// at returns a buffer by its number; the caller knows that it is handed out.
func (b *buffers) at(number uint32) []byte {
	slab := (*b.held.Load())[(number-1)>>b.perSlab]
	from := int(number-1) & (1<<b.perSlab - 1) * b.size
	return slab[from : from+b.size : from+b.size]
}

// give takes a buffer back.
func (b *buffers) give(number uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	binary.LittleEndian.PutUint32(b.at(number), b.free)
	b.free = number
}

func (b *buffers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slabs.give(*b.held.Load()...)
	b.held.Store(&[][]byte{})
	b.used, b.free = 0, 0
}
