package index

import "sync/atomic"

// directory is a growing array. One writer at a time sets elements; readers get, without a lock, those that they were
// told of after they were set.
type directory[T any] struct {
	elements atomic.Pointer[[]T]
	n        uint32
}

func (d *directory[T]) len() uint32 { return d.n }

func (d *directory[T]) get(i uint32) T { return (*d.elements.Load())[i] }

// all is the elements so far, and room for more.
func (d *directory[T]) all() []T {
	if elements := d.elements.Load(); elements != nil {
		return *elements
	}
	return nil
}

// set puts an element where it belongs, making room for it.
func (d *directory[T]) set(i uint32, v T) {
	old := d.elements.Load()
	if old == nil || int(i) >= len(*old) {
		grown := make([]T, max(64, 2*int(i)))
		if old != nil {
			copy(grown, *old)
		}
		old = &grown
		grown[i] = v // before the others may see it
		d.elements.Store(old)
	}
	(*old)[i] = v
	d.n = max(d.n, i+1)
}

// paged is a growing array whose elements never move, so that readers may hold on to them without a lock.
type paged[T any] struct {
	pages directory[*[pagedLen]T]
	n     uint32
}

const (
	pagedBits = 11
	pagedLen  = 1 << pagedBits
)

// at is an element that push has made.
func (p *paged[T]) at(i uint32) *T { return &p.pages.get(i >> pagedBits)[i&(pagedLen-1)] }

// push makes one element more and returns its place.
func (p *paged[T]) push() uint32 {
	i := p.n
	if i>>pagedBits >= p.pages.len() {
		p.pages.set(i>>pagedBits, new([pagedLen]T))
	}
	p.n++
	return i
}

func (p *paged[T]) len() uint32 { return p.n }
