package durable

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
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
func (s *series) reach(minT, maxT int64) bool {
	if s.has(late | histograms) {
		return true
	}
	last, _ := s.open.Last()
	return s.has(alive) && last >= minT && (s.open.Len() == 0 || s.first <= maxT || s.done != 0)
}

// sources adds the samples of a series in the bounds. What lies in spans is read as long as they are held; the growing
// chunk is copied. Nothing is added when another series has the id by now.
func (h *head) sources(sources []merge.Source, id, generation uint32, spans held, minT, maxT int64) []merge.Source {
	p := h.pages.get(id)
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := &p.series[id%pageSize]
	if s.generation != generation {
		return sources
	}
	if chunks := h.chunks(s, spans, minT, maxT); len(chunks) > 0 {
		sources = append(sources, merge.Source{Chunks: chunks, Rank: rankHead})
	}
	if s.has(late) {
		ts, vs := h.lates.between(id, minT, maxT)
		if c, ok := merge.NewRaw(&merge.Columns{Type: chunkenc.ValFloat, Times: ts, Values: vs}); ok {
			sources = append(sources, merge.Source{Chunks: []merge.Chunk{c}, Rank: rankLate})
		}
	}
	if s.has(histograms) {
		if chunks := histogramChunks(h.histograms.between(id, minT, maxT)); len(chunks) > 0 {
			sources = append(sources, merge.Source{Chunks: chunks, Rank: rankHistograms})
		}
	}
	return sources
}

// chunks are the chunks of a series's floats that reach into the bounds, in order of time.
func (h *head) chunks(s *series, spans held, minT, maxT int64) []merge.Chunk {
	var chunks []merge.Chunk
	if s.open.Len() > 0 && s.first <= maxT {
		if last, _ := s.open.Last(); last >= minT {
			chunks = append(chunks, xorChunk(s.first, last, slices.Clone(h.growing(s))))
		}
	}
	for e, ok := spans.get(s.done); ok && e.max >= minT; e, ok = spans.get(e.before) {
		if e.min <= maxT {
			chunks = append(chunks, xorChunk(e.min, e.max, e.data))
		}
	}
	slices.Reverse(chunks)
	return chunks
}

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
	return columns
}

// delete takes the samples in the bounds, both inclusive, out of series. The caller holds life for writing.
func (h *head) delete(ids *roaring.Bitmap, minT, maxT int64) error {
	spans := h.acquire(math.MinInt64)
	defer spans.release()
	h.lates.drop(ids.Contains, minT, maxT)
	h.histograms.drop(ids.Contains, minT, maxT)
	for it := ids.Iterator(); it.HasNext(); {
		id := it.Next()
		p := h.pages.get(id)
		if p == nil {
			continue
		}
		p.mu.Lock()
		err := h.deleteFloats(&p.series[id%pageSize], id, spans, minT, maxT)
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// unmark takes the marks off a series of what is gone. The page is locked.
func (h *head) unmark(s *series, id uint32) {
	if s.has(late) && !h.lates.has(id) {
		s.marks &^= late
	}
	if s.has(histograms) && !h.histograms.has(id) {
		s.marks &^= histograms
	}
}

// deleteFloats writes the chunks of a series anew without the samples in the bounds. The page is locked.
func (h *head) deleteFloats(s *series, id uint32, spans held, minT, maxT int64) error {
	h.unmark(s, id)
	if !s.has(alive) || !s.reach(minT, maxT) {
		return nil
	}
	var ts []int64
	var vs []float64
	var err error
	for _, c := range h.chunks(s, spans, math.MinInt64, math.MaxInt64) {
		if ts, vs, err = chunk.DecodeXOR(ts, vs, c.Values); err != nil {
			return err
		}
	}
	if s.open.Len() > 0 {
		h.buffers[s.class].give(s.buffer)
	}
	s.open, s.done, s.buffer = chunk.XOR{}, 0, 0
	s.marks &^= alive
	for i, t := range ts {
		if t < minT || t > maxT {
			if err := h.put(s, id, t, vs[i]); err != nil {
				return err
			}
		}
	}
	return nil
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
