package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// gather unites many lists of ids. Few are kept as a list; many as one bit for each id there can be.
type gather struct {
	list    []uint32
	dense   []uint64
	bitmaps *roaring.Bitmap
}

const maxGathered = 1 << 15

// add takes ids, in any order.
func (g *gather) add(ids ...uint32) {
	g.list = append(g.list, ids...)
	if len(g.list) > maxGathered {
		g.flush()
	}
}

// addBitmap takes a bitmap, which stays as it is.
func (g *gather) addBitmap(b *roaring.Bitmap) {
	if g.bitmaps == nil {
		g.bitmaps = b.Clone()
	} else {
		g.bitmaps.Or(b)
	}
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
	united := g.bitmaps
	if united == nil {
		united = roaring.New()
	}
	if g.dense == nil {
		slices.Sort(g.list)
		united.AddMany(g.list)
	} else {
		if len(g.list) > 0 {
			g.flush()
		}
		united.Or(roaring.FromDense(g.dense, false))
	}
	united.CloneCopyOnWriteContainers()
	return united
}
