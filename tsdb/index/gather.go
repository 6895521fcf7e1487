package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// gather unites many lists of ids. Few are kept as a list; many as one bit for each id there can be.
type gather struct {
	list    []uint32
	dense   []uint64
	bitmaps []*roaring.Bitmap
	united  *roaring.Bitmap
}

const (
	maxGathered = 1 << 15
	maxBitmaps  = 64
)

// add takes ids, in any order.
func (g *gather) add(ids ...uint32) {
	g.list = append(g.list, ids...)
	if len(g.list) > maxGathered {
		g.flush()
	}
}

// addBitmap takes a bitmap, which must stay as it is until unite or bitmap is called.
func (g *gather) addBitmap(b *roaring.Bitmap) {
	g.bitmaps = append(g.bitmaps, b)
	if len(g.bitmaps) == maxBitmaps {
		g.unite()
	}
}

// unite makes one of all bitmaps so far. Bitmap.Or would add the ids of runs one by one.
func (g *gather) unite() {
	if len(g.bitmaps) == 0 {
		return
	}
	if g.united != nil {
		g.bitmaps = append(g.bitmaps, g.united)
	}
	g.united = roaring.FastOr(g.bitmaps...)
	clear(g.bitmaps)
	g.bitmaps = g.bitmaps[:0]
}

func (g *gather) flush() {
	words := int(slices.Max(g.list))/64 + 1
	if words > len(g.dense) {
		g.dense = append(g.dense, make([]uint64, words-len(g.dense))...)
	}
	for _, id := range g.list {
		g.dense[id/64] |= 1 << (id % 64)
	}
	g.list = g.list[:0]
}

// bitmap is the union, which shares no memory with what was added. Nothing can be added after it.
func (g *gather) bitmap() *roaring.Bitmap {
	switch {
	case g.dense != nil:
		if len(g.list) > 0 {
			g.flush()
		}
		g.addBitmap(roaring.FromDense(g.dense, false))
	case len(g.list) > 0 || len(g.bitmaps) == 0 && g.united == nil:
		slices.Sort(g.list)
		g.addBitmap(roaring.BitmapOf(g.list...))
	}
	g.unite()
	g.united.CloneCopyOnWriteContainers()
	return g.united
}
