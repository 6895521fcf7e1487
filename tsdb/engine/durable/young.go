package durable

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
)

// youngAnswer is the series of the head where no block reaches into the bounds: what dashboards and alerts ask for.
type youngAnswer struct {
	ctx        context.Context
	minT, maxT int64
	stream     *headStream
	left       int // series that may still be told; negative: all
	current    *young
	room       []young // for the next series
	failed     error
	release    func()
	since      *deletion
}

// young is one series of such an answer.
type young struct {
	answer *youngAnswer
	lset   labels.Labels
	ref    uint64
}

// youngAtOnce is how many series get their memory together.
const youngAtOnce = 64

func newYoungAnswer(ctx context.Context, sel engine.Selection, st *headStream, since *deletion, release func()) *youngAnswer {
	a := &youngAnswer{ctx: ctx, minT: st.minT, maxT: st.maxT, stream: st, left: sel.Limit, since: since, release: release}
	if sel.Limit == 0 {
		a.left = -1
	}
	return a
}

func (a *youngAnswer) Next() bool {
	if a.failed != nil || a.left == 0 {
		return false
	}
	if a.failed = a.ctx.Err(); a.failed != nil || !a.stream.next() {
		return false
	}
	a.left--
	if len(a.room) == 0 {
		a.room = make([]young, min(youngAtOnce, 1+len(a.stream.rest)))
	}
	a.current, a.room = &a.room[0], a.room[1:]
	*a.current = young{a, a.stream.lset, a.stream.ref}
	return true
}

func (a *youngAnswer) At() engine.Series { return a.current }
func (a *youngAnswer) Err() error        { return a.failed }

// Close lets go of what the answer holds.
func (a *youngAnswer) Close() error {
	if a.release != nil {
		a.release()
		a.release = nil
	}
	return nil
}

func (y *young) Labels() labels.Labels { return y.lset }

// Iterator walks over the samples of the series in the bounds of the selection.
func (y *young) Iterator(again chunkenc.Iterator) chunkenc.Iterator {
	a := y.answer
	it, ok := again.(*walk)
	if !ok {
		it = &walk{}
		it.OnDamage(a.stream.store.damaged)
	}
	id, generation := splitRef(y.ref)
	plain := a.stream.store.head.plain(&it.floats, id, generation, a.stream.spans, a.minT, a.maxT)
	gone := a.since.spans(y.lset) // behind the look at the head, so that none is missed
	if plain && len(gone) == 0 && it.floats.decode(a.minT, a.maxT) {
		it.ResetColumns(&it.floats.found)
		return it
	}
	it.parts.reset()
	if err := a.stream.sources(&it.parts, locus{number: y.ref}, a.minT, a.maxT); err != nil {
		return failedIterator(err)
	}
	it.parts.hide(gone)
	it.Reset(a.minT, a.maxT, it.parts.sources...)
	return it
}
