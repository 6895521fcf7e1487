package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// How the ids of a pair's series are kept depends on how many there are: one in the pair itself; few as a sorted list
// in the slab, four bytes each; many as a bitmap. Spread over a million series, lists are the smaller ones up to some
// hundred ids.
const (
	maxList   = 512 // more become a bitmap
	minBitmap = 256 // fewer become a list again: less than maxList, so that one id does not turn it over each time
)

type form uint8

const (
	formNone form = iota
	formOne
	formList
	formBitmap
)

// form of the ids. Between the two limits it depends on where the pair comes from; the top bit of n tells.
func (p *pair) form() form {
	switch {
	case p.n == 0:
		return formNone
	case p.n&bitmapBit != 0:
		return formBitmap
	case p.n == 1:
		return formOne
	}
	return formList
}

// bitmapBit in pair.n marks that the ids are a bitmap.
const bitmapBit = 1 << 31

// count of the series that have a pair.
func (p *pair) count() uint32 { return p.n &^ bitmapBit }

// list is the ids of a pair in formList.
func (d *dictionary) list(p *pair) []uint32 { return d.slab.words(p.post)[:p.n] }

// put adds the id of a series that does not have the pair yet.
func (d *dictionary) put(p *pair, id uint32) {
	switch p.form() {
	case formNone:
		p.n, p.post = 1, id
	case formOne:
		d.keep(p, []uint32{min(p.post, id), max(p.post, id)})
	case formBitmap:
		d.bitmaps[p.post].Add(id)
		p.n++
	case formList:
		d.putInList(p, id)
	}
}

func (d *dictionary) putInList(p *pair, id uint32) {
	words := d.slab.words(p.post)
	if int(p.n) < len(words) && p.n < maxList {
		at := p.n
		if words[at-1] > id { // most ids are larger than all before
			i, _ := slices.BinarySearch(words[:at], id)
			copy(words[i+1:at+1], words[i:at])
			at = uint32(i)
		}
		words[at] = id
		p.n++
		return
	}
	if p.n < maxList {
		grown := make([]uint32, 0, p.n+p.n/4+1)
		i, _ := slices.BinarySearch(words[:p.n], id)
		grown = append(append(append(grown, words[:i]...), id), words[i:p.n]...)
		d.keep(p, grown)
		return
	}
	bitmap := roaring.BitmapOf(words[:p.n]...)
	bitmap.Add(id)
	d.slab.release(p.post)
	p.n = (p.n + 1) | bitmapBit
	p.post = d.putBitmap(bitmap)
}

// keep stores a list in place of the ids that a pair had in any other way; the block has the list's capacity.
func (d *dictionary) keep(p *pair, ids []uint32) {
	ref := d.slab.alloc(unit * cap(ids))
	d.forget(p)
	copy(d.slab.words(ref), ids)
	p.n, p.post = uint32(len(ids)), ref
}

// forget frees what holds the ids of a pair.
func (d *dictionary) forget(p *pair) {
	switch p.form() {
	case formList:
		d.slab.release(p.post)
	case formBitmap:
		d.bitmaps[p.post] = nil
		d.noMaps = append(d.noMaps, p.post)
	}
	p.n = 0
}

func (d *dictionary) putBitmap(b *roaring.Bitmap) uint32 {
	if last := len(d.noMaps) - 1; last >= 0 {
		place := d.noMaps[last]
		d.noMaps = d.noMaps[:last]
		d.bitmaps[place] = b
		return place
	}
	d.bitmaps = append(d.bitmaps, b)
	return uint32(len(d.bitmaps) - 1)
}

// take removes an id that the pair has. Where there is no room for a smaller block the larger one stays.
func (d *dictionary) take(p *pair, id uint32) {
	switch p.form() {
	case formOne:
		p.n = 0
	case formBitmap:
		b := d.bitmaps[p.post]
		b.Remove(id)
		p.n--
		switch {
		case p.count() == 0:
			d.forget(p)
		case p.count() < minBitmap && d.slab.room() > 0:
			d.keep(p, b.ToArray())
		}
	case formList:
		d.takeFromList(p, id)
	}
}

func (d *dictionary) takeFromList(p *pair, id uint32) {
	ids := d.list(p)
	i, found := slices.BinarySearch(ids, id)
	if !found {
		return
	}
	ids = append(ids[:i], ids[i+1:]...)
	p.n--
	switch {
	case p.n == 1:
		id := ids[0]
		d.slab.release(p.post)
		p.post = id
	case 2*len(ids) < len(d.slab.words(p.post)) && d.slab.room() > 0:
		d.keep(p, slices.Clip(slices.Clone(ids)))
	}
}

// ids are the ids of a pair, as a list that may lie in one, or as a bitmap. Both are only to be read, and only as long
// as the dictionary does not change.
func (d *dictionary) ids(p *pair, one *[1]uint32) ([]uint32, *roaring.Bitmap) {
	switch p.form() {
	case formOne:
		one[0] = p.post
		return one[:], nil
	case formList:
		return d.list(p), nil
	case formBitmap:
		return nil, d.bitmaps[p.post]
	}
	return nil, nil
}
