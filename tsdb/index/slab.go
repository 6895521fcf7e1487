package index

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// slab hands out small blocks of memory without a pointer to each, so that the garbage collector has next to nothing to
// look at. A block is named by a ref: the page it lies in and its place there, in units of four bytes. Pages hold
// blocks of one size each; a page without a block goes back to the collector.
//
// One writer at a time allocates and frees. Readers follow the refs of blocks that are in use at any time.
type slab struct {
	pages   directory[*page]
	spare   []uint32 // numbers of pages that were given back
	partial [len(blockSizes)][]uint32
}

// page is a run of blocks of one size.
type page struct {
	buf   []byte
	size  uint32 // of a block, in bytes
	class int    // place in blockSizes, large for a page that holds one large block
	live  uint32 // blocks in use
	fresh uint32 // bytes that were handed out at least once
	free  uint32 // first block of the chain of freed ones: its place in units, plus one
	at    int    // place in the list of partial pages, -1 when it is full
}

const (
	unit      = 4
	pageUnits = 13 // bits of a ref that name the place in a page
	pageBytes = unit << pageUnits
	maxPages  = 1 << (32 - pageUnits)
	large     = -1
)

// blockSizes are the sizes of blocks in bytes: small ones fit to a unit, larger ones to an eighth.
var blockSizes = func() (sizes [54]uint32) {
	size := uint32(0)
	for i := range sizes {
		size += max(unit, size/8&^(unit-1))
		sizes[i] = size
	}
	return sizes
}()

// classOf is the place in blockSizes of the smallest block that holds n bytes.
func classOf(n int) int {
	if n <= 64 {
		return max(n-1, 0) / unit
	}
	class, _ := slices.BinarySearch(blockSizes[:], uint32(n))
	return class
}

// room is how many pages more there may be; each alloc takes one at most. All pages together hold 16 GiB.
func (s *slab) room() int { return maxPages - int(s.pages.len()) + len(s.spare) }

// alloc returns a block of at least n bytes. The caller has made sure that there is room.
func (s *slab) alloc(n int) uint32 {
	class := classOf(n)
	if class >= len(blockSizes) {
		return s.newPage(&page{buf: make([]byte, n), size: uint32(n), class: large, live: 1, fresh: uint32(n), at: -1})
	}
	if len(s.partial[class]) == 0 {
		size := blockSizes[class]
		p := &page{buf: make([]byte, pageBytes/size*size), size: size, class: class}
		s.partial[class] = append(s.partial[class], s.newPage(p)>>pageUnits)
	}
	number := s.partial[class][len(s.partial[class])-1]
	p := s.pages.get(number)
	place := p.take()
	if p.free == 0 && p.fresh == uint32(len(p.buf)) {
		s.leave(p)
	}
	return number<<pageUnits | place
}

// newPage gives a page a number, and returns the ref of its first block. Page 0 is never used: ref 0 names nothing.
func (s *slab) newPage(p *page) uint32 {
	var number uint32
	if last := len(s.spare) - 1; last >= 0 {
		number, s.spare = s.spare[last], s.spare[:last]
	} else {
		number = max(s.pages.len(), 1)
	}
	s.pages.set(number, p)
	return number << pageUnits
}

func (p *page) take() (place uint32) {
	p.live++
	if p.free == 0 {
		place = p.fresh / unit
		p.fresh += p.size
		return place
	}
	place = p.free - 1
	p.free = binary.LittleEndian.Uint32(p.buf[place*unit:])
	return place
}

// leave takes a page from the list of those with room.
func (s *slab) leave(p *page) {
	list := s.partial[p.class]
	last := list[len(list)-1]
	list[p.at] = last
	s.pages.get(last).at = p.at
	s.partial[p.class] = list[:len(list)-1]
	p.at = -1
}

// release takes a block back.
func (s *slab) release(ref uint32) {
	number, place := ref>>pageUnits, ref&(1<<pageUnits-1)
	p := s.pages.get(number)
	p.live--
	if p.class == large {
		s.giveBack(number)
		return
	}
	binary.LittleEndian.PutUint32(p.buf[place*unit:], p.free)
	p.free = place + 1
	if p.at < 0 {
		p.at = len(s.partial[p.class])
		s.partial[p.class] = append(s.partial[p.class], number)
	}
	if p.live == 0 {
		s.leave(p)
		s.giveBack(number)
	}
}

func (s *slab) giveBack(number uint32) {
	s.pages.set(number, nil)
	s.spare = append(s.spare, number)
}

// bytes is the whole block that a ref names, which may be larger than asked for.
func (s *slab) bytes(ref uint32) []byte { return s.pages.get(ref >> pageUnits).bytes(ref) }

func (p *page) bytes(ref uint32) []byte {
	from := ref & (1<<pageUnits - 1) * unit
	return p.buf[from : from+p.size : from+p.size]
}

// words is a block as numbers.
func (s *slab) words(ref uint32) []uint32 {
	b := s.bytes(ref)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/unit)
}

// putString keeps a copy of a string.
func (s *slab) putString(text string) uint32 {
	var head [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(head[:], uint64(len(text)))
	ref := s.alloc(n + len(text))
	b := s.bytes(ref)
	copy(b[copy(b, head[:n]):], text)
	return ref
}

// text is a string that was put; it is a view that lasts until its ref is released.
func (s *slab) text(ref uint32) string { return s.pages.get(ref >> pageUnits).text(ref) }

func (p *page) text(ref uint32) string {
	from := ref & (1<<pageUnits - 1) * unit
	b := p.buf[from:]
	if n := int(b[0]); n < 0x80 {
		return unsafe.String(unsafe.SliceData(b[1:1+n]), n)
	}
	size, n := binary.Uvarint(b)
	return unsafe.String(unsafe.SliceData(b[n:n+int(size)]), int(size))
}
