package index

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Pairs calls use for every pair of a label's name and value that live series have, with its number and how many series
// have it. The texts are views that last until the call ends. Nobody changes the index meanwhile.
func (m *Mem) Pairs(use func(pair, series uint32, name, value string)) {
	view := m.dict.view()
	for p := uint32(1); p < m.dict.pairs.len(); p++ {
		if n := m.dict.pairs.at(p).count(); n > 0 {
			name, value := view.pair(p)
			use(p, n, name, value)
		}
	}
}

// AppendPairs appends the numbers of the pairs of a series, in the order of their names; ok is false where no series
// has the id. Nobody changes the index meanwhile.
func (m *Mem) AppendPairs(dst []uint32, id uint32) (pairs []uint32, ok bool) {
	record, ok := m.record(id)
	if !ok {
		return dst, false
	}
	list := pairsOf(record)
	for p, more := list.next(); more; p, more = list.next() {
		dst = append(dst, p)
	}
	return dst, true
}

// Restorer fills an index with series that were taken from another one by Pairs and AppendPairs, which costs much less
// than making each from its labels. What it is given is not trusted. Nobody else uses the index before Done.
type Restorer struct {
	m       *Mem
	builder labels.ScratchBuilder
	lset    labels.Labels
	// names are, by the id of a name, the ids of series that have it and that its bitmap does not hold yet.
	names []stretch
	all   stretch
	// members are, by the number of a pair, the series that have it. Pairs are told of them at the end.
	members []members
}

// members are the ids of the series that have a pair, of which there will be so many. Their form is the pair's.
type members struct {
	expected, n uint32
	post        uint32
	many        *roaring.Bitmap
}

// stretch is a row of ids, [from, to).
type stretch struct{ from, to uint32 }

// extend adds an id, greater than all before; where that leaves a gap, flush gets what came before it.
func (s *stretch) extend(id uint32, flush func(from, to uint64)) {
	if s.to != id {
		flush(uint64(s.from), uint64(s.to))
		s.from = id
	}
	s.to = id + 1
}

// Restore begins to fill the index, which is empty.
func (m *Mem) Restore() *Restorer {
	return &Restorer{m: m, builder: labels.NewScratchBuilder(16)}
}

// Pair makes a pair that so many series will get, and returns its number, by which Series knows it. It takes up to four
// bytes for each of them at once: the caller sees to it that there can be so many.
func (r *Restorer) Pair(name, value string, series uint32) (uint32, error) {
	d := r.m.dict
	switch {
	case name == "" || value == "" || series == 0:
		return 0, fmt.Errorf("restoring the label %q=%q of %d series: name and value are not empty, and some series has it", name, value, series)
	case !utf8.ValidString(name) || !utf8.ValidString(value):
		return 0, fmt.Errorf("restoring the label %q=%q: it is not UTF-8", name, value)
	case d.find(name, value) != 0:
		return 0, fmt.Errorf("restoring the label %q=%q: it is there twice", name, value)
	case !d.room(1):
		return 0, fmt.Errorf("restoring the label %q=%q: the index has used all of its 16 GiB", name, value)
	}
	p := d.add(name, value)
	for uint32(len(r.members)) <= p {
		r.members = append(r.members, members{})
	}
	in := &r.members[p]
	in.expected = series
	switch {
	case series > maxList:
		in.many = roaring.New()
	case series > 1:
		in.post = d.slab.alloc(unit * int(series))
	}
	return p, nil
}

// add adds an id, greater than all before.
func (in *members) add(d *dictionary, id uint32) {
	switch {
	case in.n == in.expected: // Done tells
	case in.many != nil:
		in.many.Add(id)
	case in.expected == 1:
		in.post = id
	default:
		d.slab.words(in.post)[in.n] = id
	}
	in.n++
}

// tell gives a pair its series.
func (in *members) tell(d *dictionary, p *pair) {
	p.n, p.post = in.n, in.post
	if in.many != nil {
		p.n |= bitmapBit
		p.post = d.putBitmap(in.many)
	}
}

// Series makes a series of pairs, which are in the order of their names, and returns its id: ids are given from 0 on.
func (r *Restorer) Series(pairs []uint32) (id uint32, err error) {
	m, view := r.m, r.m.dict.view()
	r.builder.Reset()
	before := ""
	for _, p := range pairs {
		if p == 0 || p >= m.dict.pairs.len() {
			return 0, fmt.Errorf("restoring a series: pair %d of %d", p, m.dict.pairs.len()-1)
		}
		name, value := view.pair(p)
		if strings.Compare(name, before) <= 0 {
			return 0, fmt.Errorf("restoring a series: label %q comes behind %q", name, before)
		}
		before = name
		r.builder.Add(name, value)
	}
	r.builder.Overwrite(&r.lset)
	hash := m.hash(r.lset)
	if _, known := m.lookup(hash, r.lset); known || len(pairs) == 0 {
		return 0, fmt.Errorf("restoring the series %s: it is there already, or has no label", r.lset)
	}
	if !m.dict.room(len(pairs)) {
		return 0, fmt.Errorf("restoring the series %s: the index has used all of its 16 GiB", r.lset)
	}
	return r.create(hash, pairs), nil
}

// create is Mem.create for pairs that are known. Ids come one after the other, so bitmaps are told of them together.
func (r *Restorer) create(hash uint64, pairs []uint32) uint32 {
	m := r.m
	id := m.newID()
	ref := m.putRecord(id, pairs)
	m.slots.at(id).Store(1<<32 | uint64(ref))
	for _, p := range pairs {
		r.members[p].add(m.dict, id)
		r.named(m.dict.pairs.at(p).name, id)
	}
	r.all.extend(id, m.all.AddRange)
	m.live++
	m.churn.saw(hash)
	s, hash32 := m.stripe(hash)
	s.table.insert(hash32, ref)
	return id
}

func (r *Restorer) named(name, id uint32) {
	for int(name) >= len(r.names) {
		r.names = append(r.names, stretch{})
	}
	s := &r.names[name]
	if s.to == id { // mostly
		s.to++
		return
	}
	s.extend(id, r.m.dict.byID.get(name).series.AddRange)
}

// Done ends the filling. After an error, here or before, the index is of no use.
func (r *Restorer) Done() error {
	d := r.m.dict
	for name, s := range r.names {
		if s.to > s.from {
			d.byID.get(uint32(name)).series.AddRange(uint64(s.from), uint64(s.to))
		}
	}
	r.m.all.AddRange(uint64(r.all.from), uint64(r.all.to))
	for p := uint32(1); p < d.pairs.len(); p++ {
		in := &r.members[p]
		if in.n != in.expected {
			return fmt.Errorf("restoring the label %s=%q: %d series have it, %d were announced", d.name(p), d.value(p), in.n, in.expected)
		}
		in.tell(d, d.pairs.at(p))
	}
	return nil
}
