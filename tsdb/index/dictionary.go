package index

import (
	"hash/maphash"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// dictionary knows every pair of a label's name and value, and the ids of the series that have it. Pairs are named by
// dense numbers from 1 on, which are used again after a pair has lost its last series.
//
// One writer at a time changes it. Readers may at any time, without a lock, look at the name and the value of a pair
// that has series, and at a name that has pairs; all else they must keep the writer away from.
type dictionary struct {
	slab   slab
	seed   maphash.Seed
	pairs  paged[pair]
	unused []uint32
	live   int
	// tables find a pair by its name and value.
	tables  [16]table
	names   map[string]*name
	byID    directory[*name]
	oldIDs  []uint32
	bitmaps []*roaring.Bitmap // of the pairs with many series
	noMaps  []uint32          // places in bitmaps that are free
}

// pair is a label with the ids of its series.
type pair struct {
	name  uint32 // id of the name
	value uint32 // ref of the text
	n     uint32 // series that have it
	post  uint32 // their ids: see postings.go
}

// name is a label's name.
type name struct {
	id   uint32
	text string
	// sorted are the pairs in the order of their values; recent ones came later and are in no order.
	sorted, recent []uint32
	// bytes is the length of all values together.
	bytes uint64
	// series have a label of this name.
	series roaring.Bitmap
}

func newDictionary() *dictionary {
	d := &dictionary{seed: maphash.MakeSeed(), names: map[string]*name{}}
	d.pairs.push() // pair 0 names nothing
	return d
}

// values is how many pairs a name has.
func (n *name) values() int { return len(n.sorted) + len(n.recent) }

func (d *dictionary) value(p uint32) string { return d.slab.text(d.pairs.at(p).value) }

func (d *dictionary) name(p uint32) string { return d.byID.get(d.pairs.at(p).name).text }

// view is a dictionary at a moment. It knows all pairs that had series then, for as long as they have any.
type view struct {
	pairs []*[pagedLen]pair
	texts []*page
	names []*name
}

func (d *dictionary) view() view {
	return view{d.pairs.pages.all(), d.slab.pages.all(), d.byID.all()}
}

// pair is the name and the value of a pair.
func (v view) pair(p uint32) (name, value string) {
	at := &v.pairs[p>>pagedBits][p&(pagedLen-1)]
	return v.names[at.name].text, v.texts[at.value>>pageUnits].text(at.value)
}

// hash of a pair: which table, and where in it.
func (d *dictionary) hash(name uint32, value string) (*table, uint32) {
	h := maphash.String(d.seed, value) + uint64(name)*0x9e3779b97f4a7c15
	return &d.tables[h%uint64(len(d.tables))], uint32(h >> 32)
}

// find returns the number of a pair, 0 if there is none.
func (d *dictionary) find(name, value string) uint32 {
	n := d.names[name]
	if n == nil {
		return 0
	}
	t, hash := d.hash(n.id, value)
	return t.find(hash, func(p uint32) bool { return d.is(p, n.id, value) })
}

func (d *dictionary) is(p, name uint32, value string) bool {
	return d.pairs.at(p).name == name && d.value(p) == value
}

// room tells whether a series with so many labels can be added.
func (d *dictionary) room(labels int) bool { return d.slab.room() > 2*labels+1 }

// add finds a pair or makes it. A new pair has no series: it must be given one.
func (d *dictionary) add(nameText, value string) uint32 {
	n := d.names[nameText]
	if n == nil {
		n = d.newName(nameText)
	}
	t, hash := d.hash(n.id, value)
	if p := t.find(hash, func(p uint32) bool { return d.is(p, n.id, value) }); p != 0 {
		return p
	}
	p := d.newPair()
	*d.pairs.at(p) = pair{name: n.id, value: d.slab.putString(value)}
	t.insert(hash, p)
	n.recent = append(n.recent, p)
	n.bytes += uint64(len(value))
	d.live++
	return p
}

func (d *dictionary) newPair() uint32 {
	if last := len(d.unused) - 1; last >= 0 {
		p := d.unused[last]
		d.unused = d.unused[:last]
		return p
	}
	return d.pairs.push()
}

func (d *dictionary) newName(text string) *name {
	id := d.byID.len()
	if last := len(d.oldIDs) - 1; last >= 0 {
		id, d.oldIDs = d.oldIDs[last], d.oldIDs[:last]
	}
	n := &name{id: id, text: string([]byte(text))} // a copy: the caller's string may be a view of something large
	d.byID.set(id, n)
	d.names[n.text] = n
	return n
}

// drop forgets the pairs that have lost their last series; dead is a list of them, and all must be of it. Nobody may
// read the dictionary meanwhile.
func (d *dictionary) drop(dead []uint32) {
	touched := map[*name]bool{}
	for _, p := range dead {
		at := d.pairs.at(p)
		n, value := d.byID.get(at.name), d.value(p)
		t, hash := d.hash(n.id, value)
		t.remove(hash, p)
		n.bytes -= uint64(len(value))
		d.slab.release(at.value)
		touched[n] = true
	}
	d.live -= len(dead)
	isDead := func(p uint32) bool { return d.pairs.at(p).n == 0 }
	for n := range touched {
		n.sorted = trimmed(slices.DeleteFunc(n.sorted, isDead))
		n.recent = trimmed(slices.DeleteFunc(n.recent, isDead))
		if n.values() == 0 {
			delete(d.names, n.text)
			d.byID.set(n.id, nil)
			d.oldIDs = append(d.oldIDs, n.id)
		}
	}
	d.unused = append(d.unused, dead...)
}

// trimmed gives back the room of a list that has become much shorter.
func trimmed(list []uint32) []uint32 {
	if 4*len(list) < cap(list) {
		return slices.Clone(list)
	}
	return list
}
