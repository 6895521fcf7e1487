package index

import "github.com/prometheus/prometheus/model/labels"

// Namer tells the labels of series one after the other. Neighbours share most of their labels, which it looks up once.
// It is for one user at a time.
type Namer struct {
	index *Mem
	// pairs are those of the series before and known what they say, as views that last while nothing is removed.
	pairs    []uint32
	known    []labels.Label
	removals uint64
	builder  labels.ScratchBuilder
}

// Namer makes one.
func (m *Mem) Namer() *Namer { return &Namer{index: m, builder: labels.NewScratchBuilder(16)} }

// Labels are the labels of a series; false for an id without one.
func (n *Namer) Labels(id uint32) (labels.Labels, bool) {
	m := n.index
	m.life.RLock()
	defer m.life.RUnlock()
	record, ok := m.record(id)
	if !ok {
		return labels.EmptyLabels(), false
	}
	if n.removals != m.removals {
		n.removals, n.pairs, n.known = m.removals, n.pairs[:0], n.known[:0]
	}
	n.add(record)
	return n.builder.Labels(), true
}

// add puts the labels of a record into the builder.
func (n *Namer) add(record []byte) {
	n.builder.Reset()
	pairs, view := pairsOf(record), n.index.dict.view()
	at := 0
	for p, more := pairs.next(); more; p, more = pairs.next() {
		if at == len(n.pairs) {
			n.pairs, n.known = append(n.pairs, 0), append(n.known, labels.Label{})
		}
		label := &n.known[at]
		if n.pairs[at] != p {
			n.pairs[at] = p
			label.Name, label.Value = view.pair(p)
		}
		n.builder.Add(label.Name, label.Value)
		at++
	}
}
