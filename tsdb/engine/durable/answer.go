package durable

import (
	"container/heap"
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/merge"
)

// origin is a place that has samples of a series. Reading them is put off until somebody walks over them.
type origin interface {
	// sources adds what the origin has of a series, between two times, both inclusive, to the parts.
	sources(dst *parts, at locus, minT, maxT int64) error
}

// locus is where an origin finds a series again: its number, and in a block where its chunks begin.
type locus struct {
	number uint64
	mark   block.Mark
}

// stream yields the series of one origin.
type stream interface {
	origin
	// next goes to the next series that may have samples in the bounds.
	next() bool
	// series is the current one: its labels and where it is found again.
	series() (labels.Labels, locus)
	err() error
}

// answer is the series of all streams, those of the same labels as one.
type answer struct {
	ctx        context.Context
	minT, maxT int64
	streams    streamHeap
	// all are the streams in the order of their age, whose errors count.
	all     []stream
	left    int // series that may still be told; negative: all
	current *found
	room    []found // for the next series
	failed  error
	release func()
	damaged merge.Skip
	since   *deletion
}

// found is one series of an answer.
type found struct {
	answer *answer
	lset   labels.Labels
	first  portion
	others []portion
}

// portion is what one origin has of a series.
type portion struct {
	origin origin
	at     locus
}

// foundAtOnce is how many series get their memory together.
const foundAtOnce = 16

// newAnswer joins streams, each of which is sorted where there are several, and leaves out what is deleted after since.
func newAnswer(ctx context.Context, sel engine.Selection, streams []stream, since *deletion, release func()) *answer {
	a := &answer{ctx: ctx, minT: sel.Min, maxT: sel.Max, all: streams, left: sel.Limit, since: since, release: release}
	if sel.Limit == 0 {
		a.left = -1
	}
	for _, st := range streams {
		if st.next() {
			lset, _ := st.series()
			a.streams = append(a.streams, &standing{st, lset})
		}
	}
	heap.Init(&a.streams)
	return a
}

func (a *answer) Next() bool {
	if a.failed != nil || len(a.streams) == 0 || a.left == 0 {
		return false
	}
	if a.failed = a.ctx.Err(); a.failed != nil {
		return false
	}
	a.left--
	if len(a.room) == 0 {
		a.room = make([]found, foundAtOnce)
	}
	f := &a.room[0]
	a.room = a.room[1:]
	f.answer, f.lset = a, a.streams[0].lset
	f.first = a.take()
	for len(a.streams) > 0 && labels.Equal(a.streams[0].lset, f.lset) {
		f.others = append(f.others, a.take())
	}
	a.current = f
	return true
}

// take returns the lowest stream's portion of its series, and goes on in it.
func (a *answer) take() portion {
	st := a.streams[0]
	_, at := st.series()
	p := portion{st.stream, at}
	if st.next() {
		st.lset, _ = st.series()
		if len(a.streams) > 1 {
			heap.Fix(&a.streams, 0)
		}
	} else {
		heap.Pop(&a.streams)
	}
	return p
}

func (a *answer) At() engine.Series { return a.current }

func (a *answer) Err() error {
	if a.failed != nil {
		return a.failed
	}
	for _, st := range a.all {
		if err := st.err(); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of what the answer holds.
func (a *answer) Close() error {
	if a.release != nil {
		a.release()
		a.release = nil
	}
	return nil
}

func (f *found) Labels() labels.Labels { return f.lset }

// Iterator walks over the samples of the series in the bounds of the selection.
func (f *found) Iterator(again chunkenc.Iterator) chunkenc.Iterator {
	it, ok := again.(*walk)
	if !ok {
		it = &walk{}
		it.OnDamage(f.answer.damaged)
	}
	if err := f.collect(&it.parts); err != nil {
		return failedIterator(err)
	}
	it.Reset(f.answer.minT, f.answer.maxT, it.parts.sources...)
	return it
}

// collect gathers what all origins have of the series.
func (f *found) collect(dst *parts) error {
	dst.reset()
	err := f.first.origin.sources(dst, f.first.at, f.answer.minT, f.answer.maxT)
	for _, p := range f.others {
		if err != nil {
			break
		}
		err = p.origin.sources(dst, p.at, f.answer.minT, f.answer.maxT)
	}
	dst.hide(f.answer.since.spans(f.lset))
	return err
}

// walk is an iterator with the memory that its parts lie in.
type walk struct {
	merge.Iterator
	parts  parts
	floats floats
}

// parts are the sources of one series, in memory that is used again for the next.
type parts struct {
	sources []merge.Source
	chunks  []merge.Chunk
	bytes   []byte
}

func (p *parts) reset() { p.sources, p.chunks, p.bytes = p.sources[:0], p.chunks[:0], p.bytes[:0] }

// addChunks makes a source of the chunks that were appended behind the first n.
func (p *parts) addChunks(n int, rank uint64, deleted []merge.Interval) {
	if len(p.chunks) > n {
		p.sources = append(p.sources, merge.Source{Chunks: p.chunks[n:len(p.chunks):len(p.chunks)], Rank: rank, Deleted: deleted})
	}
}

// standing is a stream and the labels at which it stands.
type standing struct {
	stream
	lset labels.Labels
}

// streamHeap has the stream with the lowest labels first.
type streamHeap []*standing

func (h streamHeap) Len() int           { return len(h) }
func (h streamHeap) Less(i, j int) bool { return labels.Compare(h[i].lset, h[j].lset) < 0 }
func (h streamHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *streamHeap) Push(x any)        { *h = append(*h, x.(*standing)) }
func (h *streamHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// headStream yields series of the head.
type headStream struct {
	store      *Store
	spans      held
	minT, maxT int64
	rest       []index.Ref
	namer      *index.Namer
	ref        uint64
	lset       labels.Labels
}

// newHeadStream yields these series, in their order.
func (s *Store) newHeadStream(series []index.Ref, spans held, minT, maxT int64) *headStream {
	return &headStream{store: s, spans: spans, minT: minT, maxT: maxT, rest: series, namer: s.index.Namer()}
}

func (st *headStream) next() bool {
	for len(st.rest) > 0 {
		ref := st.rest[0]
		st.rest = st.rest[1:]
		lset, ok := st.namer.Labels(ref.ID)
		if ok && st.reaches(ref) { // in this order: the labels may be those of the next series with the id
			st.ref, st.lset = makeRef(ref.ID, ref.Generation), lset
			return true
		}
	}
	return false
}

// reaches tells whether the series is still the same and may have samples in the bounds.
func (st *headStream) reaches(ref index.Ref) bool {
	p := st.store.head.pages.get(ref.ID)
	if p == nil {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	at := ref.ID % pageSize
	return p.generation[at] == ref.Generation && st.store.head.reach(&p.series[at], st.spans, st.minT, st.maxT)
}

func (st *headStream) series() (labels.Labels, locus) { return st.lset, locus{number: st.ref} }
func (st *headStream) err() error                     { return nil }

func (st *headStream) sources(dst *parts, at locus, minT, maxT int64) error {
	id, generation := splitRef(at.number)
	st.store.head.sources(dst, id, generation, st.spans, max(minT, st.minT), maxT)
	return nil
}
