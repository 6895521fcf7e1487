package durable

import (
	"sync"

	"github.com/novacron/novacron/tsdb/chunk"
)

// pageSize is how many series share a lock.
const pageSize = 512

// page holds the series with ids from a multiple of pageSize on. What every sample is checked against lies apart from
// what only those that are stored need.
type page struct {
	series [pageSize]series
	// generation tells which of the series that had an id one after the other it is.
	generation [pageSize]uint32
	// segment is the number of the last log segment that says which labels an id means.
	segment [pageSize]uint32
	mu      sync.RWMutex
	// resumes is the number of the memory in which the states of growing chunks are, 0 where there is none.
	resumes uint32
}

// series is what the head knows of one series: 64 bytes, a line of the processor's cache, and no pointer.
type series struct {
	// open is the state of the chunk that grows, in the buffer of that number and size class. A buffer is held while
	// the chunk has samples.
	open   chunk.XOR
	done   place // the newest ended chunk
	until  int64 // end of the span that the growing chunk lies in
	buffer uint32
	class  uint8
	marks  marks
	// resumes has a bit for each place of the page's resumes that the growing chunk has written.
	resumes uint8
}

// marks say what a series has besides its chunks.
type marks uint8

const (
	// alive is a series that had a sample in order: the time of the last one means something.
	alive marks = 1 << iota
	// late is a series with samples among the late ones.
	late
	// histograms is a series with native histograms.
	histograms
	// started is a series with floats that say since when they count.
	started
)

func (s *series) has(m marks) bool { return s.marks&m != 0 }

// ref puts id and generation of a series into one word, which is never zero.
func makeRef(id, generation uint32) uint64 { return uint64(generation)<<32 | uint64(id) + 1 }

func splitRef(ref uint64) (id, generation uint32) { return uint32(ref) - 1, uint32(ref >> 32) }

// enter makes room for a series that took the place of another, unless that was done.
func (p *page) enter(id, generation uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := id % pageSize; p.generation[at] != generation {
		p.series[at], p.generation[at], p.segment[at] = series{}, generation, 0
	}
}

// pages is a table of series by id that grows and never moves.
type pages struct {
	mu  sync.RWMutex
	all []*page
}

// get returns the page of an id, or nil where no series can have it.
func (p *pages) get(id uint32) *page {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if n := int(id / pageSize); n < len(p.all) {
		return p.all[n]
	}
	return nil
}

// grow makes sure that an id has a page, and returns it.
func (p *pages) grow(id uint32) *page {
	if found := p.get(id); found != nil {
		return found
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for int(id/pageSize) >= len(p.all) {
		p.all = append(p.all, new(page))
	}
	return p.all[id/pageSize]
}

// list returns all pages there are.
func (p *pages) list() []*page {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.all[:len(p.all):len(p.all)]
}
