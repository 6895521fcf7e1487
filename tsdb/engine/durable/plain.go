package durable

import (
	"sort"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// floats reads the samples of a series that came in order, with memory that is used again for the next.
type floats struct {
	// ended are the chunks of the spans, the newest first, and growing is a copy of the one that grows.
	ended   [][]byte
	growing []byte
	// tail is the end of the growing chunk in its place, where that is enough.
	tail   chunk.Tail
	byTail bool
	padded []byte
	times  []int64
	values []float64
	found  merge.Columns
}

// plain gathers the chunks of a series in the bounds where nothing else is to be merged with them. False where sources
// have to be read.
func (h *head) plain(dst *floats, id, generation uint32, spans held, minT, maxT int64) bool {
	dst.ended, dst.growing, dst.byTail = dst.ended[:0], dst.growing[:0], false
	p := h.pages.get(id)
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := &p.series[id%pageSize]
	if p.generation[id%pageSize] != generation || s.has(late|histograms|started) {
		return false
	}
	if dst.byTail = h.tail(&dst.tail, p, s, id, minT); dst.byTail {
		return true
	}
	if s.open.Len() > 0 {
		first := h.first(s)
		if last, _ := s.open.Last(); last >= minT && first <= maxT {
			dst.growing = pad(h.growing(s, dst.growing))
		}
		if first <= minT {
			return true // the ended chunks are older
		}
	}
	for e, ok := h.ended(spans, s.done); ok && e.max >= minT; e, ok = h.ended(spans, e.before) {
		if e.min <= maxT {
			dst.ended = append(dst.ended, e.data)
		}
	}
	return true
}

// decode makes samples of the chunks and cuts them to the bounds; false where one is damaged.
func (f *floats) decode(minT, maxT int64) bool {
	f.times, f.values = f.times[:0], f.values[:0]
	for i := len(f.ended) - 1; i >= 0; i-- {
		if f.padded = pad(append(f.padded[:0], f.ended[i]...)); !f.add(f.padded) {
			return false
		}
	}
	if f.byTail {
		var err error
		if f.times, f.values, err = f.tail.Decode(f.times, f.values); err != nil {
			return false
		}
	}
	if len(f.growing) > 0 && !f.add(f.growing) {
		return false
	}
	to := len(f.times)
	for to > 0 && f.times[to-1] > maxT {
		to--
	}
	from := sort.Search(to, func(i int) bool { return f.times[i] >= minT })
	f.found = merge.Columns{Type: chunkenc.ValFloat, Times: f.times[from:to], Values: f.values[from:to]}
	return true
}

// pad makes room behind a chunk, so that it is decoded where it is.
func pad(data []byte) []byte { return append(data, padding[:]...)[:len(data)] }

func (f *floats) add(data []byte) (ok bool) {
	var err error
	f.times, f.values, err = chunk.DecodeXOR(f.times, f.values, data)
	return err == nil
}
