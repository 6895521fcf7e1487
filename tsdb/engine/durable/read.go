package durable

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// Ranks of what the head has of a series, above those of all blocks.
const (
	rankHead = math.MaxUint64 - 2 + iota
	rankLate
	rankHistograms
)

// reach tells whether a series may have samples in the bounds. The page is locked.
func (h *head) reach(s *series, spans held, minT, maxT int64) bool {
	if s.has(late | histograms) {
		return true
	}
	if !s.has(alive) { // what was younger is deleted
		_, older := h.ended(spans, s.done)
		return older
	}
	last, _ := s.open.Last()
	return last >= minT && (s.done != 0 || h.first(s) <= maxT)
}

// sources adds the samples of a series in the bounds. What lies in spans is read as long as they are held; the growing
// chunk is copied. Nothing is added when another series has the id by now.
func (h *head) sources(dst *parts, id, generation uint32, spans held, minT, maxT int64) {
	p := h.pages.get(id)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.generation[id%pageSize] != generation {
		return
	}
	s := &p.series[id%pageSize]
	n := len(dst.chunks)
	h.chunks(dst, s, spans, minT, maxT)
	if s.has(started) {
		h.withStarts(id, dst.chunks[n:])
	}
	dst.addChunks(n, rankHead, nil)
	if s.has(late) {
		ts, vs := h.lates.between(id, minT, maxT)
		if c, ok := merge.NewRaw(&merge.Columns{Type: chunkenc.ValFloat, Times: ts, Values: vs, Starts: h.starts.of(id, ts)}); ok {
			dst.sources = append(dst.sources, merge.Source{Chunks: []merge.Chunk{c}, Rank: rankLate})
		}
	}
	if s.has(histograms) {
		if chunks := histogramChunks(h.histograms.between(id, minT, maxT)); len(chunks) > 0 {
			dst.sources = append(dst.sources, merge.Source{Chunks: chunks, Rank: rankHistograms})
		}
	}
}

// chunks adds the chunks of a series's floats that reach into the bounds, in order of time.
func (h *head) chunks(dst *parts, s *series, spans held, minT, maxT int64) {
	n := len(dst.chunks)
	if s.open.Len() > 0 {
		first := h.first(s)
		if last, _ := s.open.Last(); last >= minT && first <= maxT {
			from := len(dst.bytes)
			dst.bytes = h.growing(s, dst.bytes)
			to := len(dst.bytes)
			dst.bytes = append(dst.bytes, padding[:]...)
			dst.chunks = append(dst.chunks, xorChunk(first, last, dst.bytes[from:to]))
		}
		if first <= minT {
			return // the ended chunks are older
		}
	}
	for e, ok := h.ended(spans, s.done); ok && e.max >= minT; e, ok = h.ended(spans, e.before) {
		if e.min <= maxT {
			dst.chunks = append(dst.chunks, xorChunk(e.min, e.max, e.data))
		}
	}
	slices.Reverse(dst.chunks[n:])
}

// padding behind a copied chunk lets it be decoded where it is.
var padding [chunk.XORPadding]byte

func xorChunk(minT, maxT int64, data []byte) merge.Chunk {
	return merge.Chunk{Kind: chunk.KindXOR, Min: minT, Max: maxT, Count: int(binary.BigEndian.Uint16(data)), Values: data}
}

// histogramChunks makes a chunk of every run of histograms of one type.
func histogramChunks(points []histogramPoint) []merge.Chunk {
	var chunks []merge.Chunk
	for len(points) > 0 {
		n := 1
		for n < len(points) && (points[n].whole == nil) == (points[0].whole == nil) {
			n++
		}
		c, _ := merge.NewRaw(histogramColumns(points[:n]))
		chunks = append(chunks, c)
		points = points[n:]
	}
	return chunks
}

func histogramColumns(points []histogramPoint) *merge.Columns {
	columns := &merge.Columns{Type: chunkenc.ValFloatHistogram, Times: make([]int64, len(points))}
	if points[0].whole != nil {
		columns.Type = chunkenc.ValHistogram
		columns.Histograms = make([]*histogram.Histogram, len(points))
	} else {
		columns.Floats = make([]*histogram.FloatHistogram, len(points))
	}
	for i, p := range points {
		columns.Times[i] = p.t
		if p.whole != nil {
			columns.Histograms[i] = p.whole
		} else {
			columns.Floats[i] = p.float
		}
	}
	columns.Starts = startsOf(points)
	return columns
}

// startsOf lists since when histograms count, nil where it is not known of any.
func startsOf(points []histogramPoint) []int64 {
	if !slices.ContainsFunc(points, func(p histogramPoint) bool { return p.start != 0 }) {
		return nil
	}
	starts := make([]int64, len(points))
	for i, p := range points {
		starts[i] = p.start
	}
	return starts
}

// times are the times of the oldest and newest sample that a head was given.
type times struct {
	mu       sync.Mutex
	min, max int64
}

func (t *times) widen(minT, maxT int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.min, t.max = min(t.min, minT), max(t.max, maxT)
}

func (h *head) bounds() (minT, maxT int64) {
	h.times.mu.Lock()
	defer h.times.mu.Unlock()
	return h.times.min, h.times.max
}
