package durable

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

// Delete forgets the samples in the bounds of the series that match: in the head at once, in blocks by tombstones.
// A sample of that time that is written later stays.
func (s *Store) Delete(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	// Nothing is sealed or merged meanwhile: what is deleted could come back from what was read before.
	done, err := s.working()
	if err != nil {
		return err
	}
	defer done()
	defer s.revision.changed()
	defer s.endDeletion()
	if err := s.deleteInHead(ctx, minT, maxT, matchers); err != nil {
		return err
	}
	for _, b := range s.blocks.list() {
		if err := b.Delete(minT, maxT, matchers...); err != nil {
			return fmt.Errorf("deleting in block %s: %w", b.Meta().ID, err)
		}
	}
	return nil
}

func (s *Store) deleteInHead(ctx context.Context, minT, maxT int64, matchers []*labels.Matcher) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return engine.ErrClosed
	}
	ids, err := s.index.Select(ctx, matchers...)
	if err != nil {
		return err
	}
	if !ids.IsEmpty() {
		if err := s.logDeletion(ids.ToArray(), minT, maxT); err != nil {
			return err
		}
	}
	s.beginDeletion(minT, maxT, matchers)
	return s.head.delete(ids, minT, maxT)
}

// logDeletion writes a deletion to the log, as a batch of several records where one would be too large.
func (s *Store) logDeletion(ids []uint32, minT, maxT int64) error {
	var batch log.Batch
	if err := s.addDeletion(&batch, ids, minT, maxT); err != nil {
		return err
	}
	if _, err := s.log.AppendBatch(&batch); err != nil {
		return s.logFailed(err)
	}
	return nil
}

func (s *Store) addDeletion(batch *log.Batch, ids []uint32, minT, maxT int64) error {
	// Every series is defined again: the segment may not know them all.
	record := appendDeletion(s.appendDefinitions(nil, ids), ids, minT, maxT)
	if len(record) <= log.MaxRecord || len(ids) == 1 {
		return batch.Add(record)
	}
	half := len(ids) / 2
	if err := s.addDeletion(batch, ids[:half], minT, maxT); err != nil {
		return err
	}
	return s.addDeletion(batch, ids[half:], minT, maxT)
}

func appendDeletion(dst []byte, ids []uint32, minT, maxT int64) []byte {
	dst = append(dst, sectionDeletion)
	dst = binary.AppendVarint(binary.AppendVarint(dst, minT), maxT)
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	before := uint32(0)
	for _, id := range ids {
		dst = binary.AppendUvarint(dst, uint64(id-before))
		before = id
	}
	return dst
}

// delete takes the samples in the bounds, both inclusive, out of series. The caller holds life for writing.
func (h *head) delete(ids *roaring.Bitmap, minT, maxT int64) error {
	spans := h.acquire(math.MinInt64, math.MaxInt64)
	defer spans.release()
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

// deleteFloats writes the floats of a series anew without those in the bounds. The page is locked.
func (h *head) deleteFloats(s *series, id uint32, spans held, minT, maxT int64) error {
	h.unmark(s, id)
	if len(spans) == 0 || !s.has(alive) || !h.reach(s, spans, minT, maxT) {
		return nil
	}
	// Late samples of spans that are sealed are kept for readers alone: they must not come into the head again.
	from := spans[0].start
	points, err := h.points(s, id, spans, from)
	if err != nil {
		return err
	}
	if s.open.Len() > 0 {
		h.buffers[s.class].give(s.buffer)
	}
	s.open, s.done, s.buffer = chunk.XOR{}, h.older(s, spans), 0
	s.marks &^= alive
	h.lates.drop(int64(id), from, math.MaxInt64)
	h.unmark(s, id)
	if s.done == 0 && !slices.ContainsFunc(points, func(p point) bool { return p.t < minT || p.t > maxT }) {
		h.starts.forget(id)
	}
	for _, p := range points {
		if p.t < minT || p.t > maxT {
			if err := h.put(s, id, p.t, p.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// older is the place of a series's newest chunk in a span that is sealed: somebody may still read it.
func (h *head) older(s *series, spans held) place {
	p := s.done
	for e, ok := h.ended(spans, p); ok; e, ok = h.ended(spans, p) {
		p = e.before
	}
	return p
}

// points are all floats of a series from a time on, in order of time.
func (h *head) points(s *series, id uint32, spans held, from int64) (points []point, err error) {
	var ts []int64
	var vs []float64
	var all parts
	h.chunks(&all, s, spans, math.MinInt64, math.MaxInt64)
	for _, c := range all.chunks {
		if ts, vs, err = chunk.DecodeXOR(ts, vs, c.Values); err != nil {
			return nil, err
		}
	}
	lateT, lateV := h.lates.between(id, from, math.MaxInt64)
	ts, vs = append(ts, lateT...), append(vs, lateV...)
	joined := lateSeries{points: make([]point, len(ts))}
	for i := range ts {
		joined.points[i] = point{ts[i], vs[i]}
	}
	joined.sort()
	return joined.points, nil
}

// unmark takes the marks off a series of what is gone. The page is locked.
func (h *head) unmark(s *series, id uint32) {
	if s.has(late) && !h.lates.has(id) {
		s.marks &^= late
	}
	if s.has(histograms) && !h.histograms.has(id) {
		s.marks &^= histograms
	}
	if s.has(started) && !h.starts.has(id) {
		s.marks &^= started
	}
}
