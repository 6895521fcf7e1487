package durable

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// slabSize is the memory that is asked of the operating system at once, in bytes.
const slabSize = 256 << 10

// slabs hands out memory outside of Go's heap. What young samples take would otherwise make the garbage collector wait
// until the heap has doubled, and the process twice as large as its data.
type slabs struct {
	mu   sync.Mutex
	free [][]byte
	// mapped counts all slabs, in use and free.
	mapped int
}

// keepFree is the share of all slabs, as a divisor, that may lie free before they go back to the operating system.
const keepFree = 4

func (p *slabs) take() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		slab := p.free[n-1]
		p.free = p.free[:n-1]
		return slab, nil
	}
	slab, err := unix.Mmap(-1, 0, slabSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("no memory for %d more bytes of samples (%d slabs of %d are in use): %w", slabSize, p.mapped, slabSize, err)
	}
	p.mapped++
	return slab, nil
}

// give takes slabs back. Nothing may point into them any more.
func (p *slabs) give(given ...[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, slab := range given {
		if len(p.free) < p.mapped/keepFree {
			p.free = append(p.free, slab)
			continue
		}
		p.unmap(slab)
	}
}

func (p *slabs) unmap(slab []byte) {
	if err := unix.Munmap(slab); err == nil {
		p.mapped--
	}
}

// close gives all free slabs back to the operating system.
func (p *slabs) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, slab := range p.free {
		p.unmap(slab)
	}
	p.free = nil
}

// bytes is the memory held, in use and free.
func (p *slabs) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.mapped) * slabSize
}
