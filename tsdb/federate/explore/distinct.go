package explore

import (
	"fmt"
	"slices"

	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/query"
)

// Distinct counts different things so that the counts of several shards can be united: those that no other shard has are
// counted, of the others there are the hashes, or a sketch of them where they are too many.
type Distinct struct {
	Own    uint64
	Hashes []uint64
	Sketch index.Sketch
}

// hashSet is a set of hashes: open addressing with linear steps. The hash 0 stands apart, since 0 marks an empty slot.
type hashSet struct {
	slots []uint64
	n     int
	zero  bool
}

func (s *hashSet) len() int {
	if s.zero {
		return s.n + 1
	}
	return s.n
}

// add tells whether a hash is new.
func (s *hashSet) add(hash uint64) bool {
	if hash == 0 {
		fresh := !s.zero
		s.zero = true
		return fresh
	}
	if 4*(s.n+1) > 3*len(s.slots) {
		s.grow()
	}
	at := s.find(hash)
	if s.slots[at] == hash {
		return false
	}
	s.slots[at] = hash
	s.n++
	return true
}

// find is the slot of a hash, or the empty one where it belongs.
func (s *hashSet) find(hash uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	at := hash & mask
	for s.slots[at] != 0 && s.slots[at] != hash {
		at = (at + 1) & mask
	}
	return at
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(8, 2*len(old)))
	for _, hash := range old {
		if hash != 0 {
			s.slots[s.find(hash)] = hash
		}
	}
}

// each visits all hashes, in no order.
func (s *hashSet) each(visit func(uint64)) {
	if s.zero {
		visit(0)
	}
	for _, hash := range s.slots {
		if hash != 0 {
			visit(hash)
		}
	}
}

// budget bounds what many counts hold together. It is counted in hashes, as many of which a sketch takes as have its size.
type budget struct{ left int }

const (
	// sketched is from how many hashes on they take more than a sketch. Fewer are never given up for one.
	sketched = index.SketchBytes / 8
	// heldSketch is what a sketch takes of a budget of hashes in sets, at 16 bytes each.
	heldSketch = index.SketchBytes / 16
)

// check refuses to go on where a budget is spent twice: small counts are kept beyond it.
func (b *budget) check() error {
	if b.left >= -maxHashes {
		return nil
	}
	return &query.LimitError{Limit: "bytes", Reached: "more, for hashes of series, labels and values", Max: fmt.Sprintf("%d (%d hashes)", 2*maxHashes*16, 2*maxHashes),
		Way: "name a metric in the selector, or ask by metric alone"}
}

// tally counts different hashes exactly as long as the budget lasts, and estimates them from then on.
type tally struct {
	budget      *budget
	own, shared hashSet
	sketch      index.Sketch
}

// add counts a hash; own is of one that no other shard has.
func (t *tally) add(hash uint64, own bool) {
	if t.sketch != nil {
		t.sketch.Add(hash)
		return
	}
	set := &t.shared
	if own {
		set = &t.own
	}
	if !set.add(hash) {
		return
	}
	if t.budget.left--; t.budget.left < 0 && t.own.len()+t.shared.len() > sketched {
		t.estimate()
	}
}

// estimate gives the hashes up for a sketch of them.
func (t *tally) estimate() {
	t.sketch = index.NewSketch()
	t.own.each(t.sketch.Add)
	t.shared.each(t.sketch.Add)
	t.budget.left += t.own.len() + t.shared.len() - heldSketch
	t.own, t.shared = hashSet{}, hashSet{}
}

// merge adds what another shard counted.
func (t *tally) merge(d Distinct) {
	if d.Sketch != nil {
		if t.sketch == nil {
			t.estimate()
		}
		t.sketch.Merge(d.Sketch)
	}
	for _, hash := range d.Hashes {
		t.add(hash, false)
	}
}

// count is how many there are, and whether that is an estimate.
func (t *tally) count() (n uint64, estimated bool) {
	if t == nil {
		return 0, false
	}
	if t.sketch != nil {
		return t.sketch.Estimate(), true
	}
	return uint64(t.own.len() + t.shared.len()), false
}

// distinct is the count on its way to where it is united with others: hashes as long as the budget for those lasts, and
// where they are smaller than a sketch.
func (t *tally) distinct(b *budget) Distinct {
	switch {
	case t == nil:
		return Distinct{}
	case t.sketch != nil:
		b.left -= sketched
		return Distinct{Sketch: t.sketch}
	}
	d := Distinct{Own: uint64(t.own.len())}
	if n := t.shared.len(); n > sketched && (n > b.left || n > maxSent) {
		b.left -= sketched
		d.Sketch = index.NewSketch()
		t.shared.each(d.Sketch.Add)
		return d
	}
	b.left -= t.shared.len()
	t.shared.each(func(hash uint64) { d.Hashes = append(d.Hashes, hash) })
	slices.Sort(d.Hashes)
	return d
}
