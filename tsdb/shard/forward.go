package shard

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/forward"
)

// Onward is given what was stored, before StoreMetrics answers. It is a *forward.Set. What one writer stores of a series
// is given in its order; of two that write one series at the same time it is not said whose comes first, and it need not
// be the order in which the engine has taken them.
type Onward interface {
	// Active tells whether anybody wants it.
	Active() bool
	Stored(stored forward.Stored)
}

// SendOn has what is stored from now on given to somebody else, too. It is called before anything is stored. What is
// imported is not given.
func (s *Shard) SendOn(to Onward) { s.onward = to }

// sendOn gives on what the engine has taken of a batch; lsets are those of what is in it, in the same order.
func (w *storing) sendOn(batch engine.Batch, lsets []labels.Labels, done engine.Appended) {
	if !w.onward || done.Stored == 0 {
		return
	}
	refused := map[int]bool{}
	for i := range done.Refused {
		refused[done.Refused[i].Index] = true
	}
	var stored forward.Stored
	starts := batch.Starts
	for i, one := range batch.Samples {
		p := forward.Point{Ref: one.Ref, Labels: lsets[i], T: one.T, V: one.V}
		if len(starts) > 0 && starts[0].Index == i {
			p.ST, starts = starts[0].ST, starts[1:]
		}
		if !refused[i] {
			stored.Points = append(stored.Points, p)
		}
	}
	for i, one := range batch.Histograms {
		if !refused[i] {
			stored.Points = append(stored.Points, forward.Point{Ref: one.Ref, Labels: lsets[i], T: one.T, ST: one.ST, Histogram: one.Float})
		}
	}
	for i, one := range batch.Exemplars {
		if !refused[i] {
			stored.Examples = append(stored.Examples, forward.Example{Ref: one.Ref, Labels: lsets[i], Exemplar: one.Exemplar})
		}
	}
	w.shard.onward.Stored(stored)
}

// note keeps the labels of what goes to the engine, where somebody wants them.
func (w *storing) note(all *[]labels.Labels, lset labels.Labels) {
	if w.onward {
		*all = append(*all, lset)
	}
}
