package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/merge"
)

// seal writes the spans of the head that ended before a time into blocks, oldest first, and frees what they took.
func (s *Store) seal(ctx context.Context, before int64) error {
	for {
		sp, err := s.freeze(before)
		if sp == nil || err != nil {
			return err
		}
		if err := s.sealSpan(ctx, sp); err != nil {
			return fmt.Errorf("sealing the samples from %s to %s: %w", stamp(sp.start), stamp(sp.end), err)
		}
	}
}

// freeze refuses samples before the end of the head's oldest span from now on, and goes on to a new segment of the log,
// so that the old ones can be dropped soon. There is no span where none ended before the time. Nobody is between the
// check of a sample and the head meanwhile: one that was accepted earlier could make a span that is older still, which
// would go with this one unwritten.
func (s *Store) freeze(before int64) (*span, error) {
	s.life.Lock()
	defer s.life.Unlock()
	sp := s.head.oldest()
	if sp == nil || sp.end > before {
		return nil, nil
	}
	s.sealed = max(s.sealed, sp.end)
	return sp, s.freshSegment()
}

// sealSpan writes one span that is frozen. All that lies in it is in the log until the block is there.
func (s *Store) sealSpan(ctx context.Context, sp *span) error {
	if err := s.head.endBefore(sp.end); err != nil {
		return err
	}
	folder, err := s.writeSpan(ctx, sp)
	if err != nil {
		return err
	}
	if err := s.publish(folder, sp); err != nil {
		return err
	}
	return s.removeSegments()
}

// writeSpan makes a block of a span; no folder where nothing is in it.
func (s *Store) writeSpan(ctx context.Context, sp *span) (folder string, err error) {
	spans := s.head.acquire(sp.start, sp.end-1)
	defer spans.release()
	until := sp.end
	w, err := block.Create(s.blocks.dir, block.Meta{Level: 1, Sequence: s.blocks.nextSequence(), SealedUntil: &until})
	if err != nil {
		return "", err
	}
	if err := s.writeSeries(ctx, w, sp, spans); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	meta, err := w.Commit()
	if errors.Is(err, block.ErrEmpty) {
		return "", nil
	}
	return folderOf(s.blocks.dir, meta), err
}

func (s *Store) writeSeries(ctx context.Context, w *block.Writer, sp *span, spans held) error {
	all, err := s.index.Refs(ctx, true)
	if err != nil {
		return err
	}
	st := s.newHeadStream(all, spans, sp.start, sp.end-1)
	e := encoder{}
	for st.next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		lset, at := st.series()
		e.parts.reset()
		if err := st.sources(&e.parts, at, sp.start, sp.end-1); err != nil {
			return err
		}
		chunks, err := e.chunks(sp.start, sp.end-1)
		if err != nil {
			return fmt.Errorf("series %s: %w", lset, err)
		}
		if len(chunks) == 0 {
			continue
		}
		if err := w.Add(lset, chunks); err != nil {
			return err
		}
	}
	return nil
}

// encoder makes the chunks of a block from what the head has of a series.
type encoder struct {
	parts  parts
	it     merge.Iterator
	times  []int64
	values []float64
	starts []int64
	made   []merge.Chunk
}

// chunks are those of the sources. Floats that came in order stay as the head has them; all else is merged.
func (e *encoder) chunks(minT, maxT int64) ([]merge.Chunk, error) {
	if len(e.parts.sources) == 0 {
		return nil, nil
	}
	if first := e.parts.sources[0]; len(e.parts.sources) == 1 && first.Rank == rankHead && encodedWithin(first.Chunks, minT, maxT) {
		return first.Chunks, nil
	}
	e.it.Reset(minT, maxT, e.parts.sources...)
	e.made = e.made[:0]
	for run, ok := e.it.NextRun(); ok; run, ok = e.it.NextRun() {
		if run.Type == chunkenc.ValFloat {
			e.starts = merge.JoinStarts(e.starts, len(e.times), run.Starts, len(run.Times))
			e.times, e.values = append(e.times, run.Times...), append(e.values, run.Values...)
			continue
		}
		e.endFloats()
		e.addHistograms(run)
	}
	e.endFloats()
	return e.made, e.it.Err()
}

func encodedWithin(chunks []merge.Chunk, minT, maxT int64) bool {
	return len(chunks) > 0 && chunks[0].Min >= minT && chunks[len(chunks)-1].Max <= maxT &&
		!slices.ContainsFunc(chunks, func(c merge.Chunk) bool { return c.Raw != nil })
}

// endFloats makes chunks of the floats that were collected.
func (e *encoder) endFloats() {
	const most = 480
	for at := 0; at < len(e.times); at += most {
		to := min(at+most, len(e.times))
		made := merge.NewDense(nil, nil, e.times[at:to], e.values[at:to])
		if len(e.starts) > 0 {
			made = merge.WithStarts(made, e.starts[at:to])
		}
		e.made = append(e.made, made)
	}
	e.times, e.values, e.starts = e.times[:0], e.values[:0], e.starts[:0]
}

func (e *encoder) addHistograms(run *merge.Run) {
	const most = 240
	for at := 0; at < len(run.Times); at += most {
		to := min(at+most, len(run.Times))
		var made merge.Chunk
		if run.Type == chunkenc.ValHistogram {
			made = merge.NewHistograms(run.Times[at:to], run.Histograms[at:to])
		} else {
			made = merge.NewFloatHistograms(run.Times[at:to], run.Floats[at:to])
		}
		if len(run.Starts) > 0 {
			made = merge.WithStarts(made, run.Starts[at:to])
		}
		e.made = append(e.made, made)
	}
}

// publish lets readers find the block in the place of the span.
func (s *Store) publish(folder string, sp *span) error {
	s.life.Lock()
	defer s.life.Unlock()
	if folder != "" {
		if err := s.blocks.add(folder); err != nil {
			return errors.Join(err, block.Remove(folder)) // or each attempt would leave one
		}
	}
	s.head.drop(sp.end, func() { s.gone.Store(true) })
	return nil
}

// sealedTime is the time before which the head has nothing.
func (s *Store) sealedTime() int64 {
	s.life.RLock()
	defer s.life.RUnlock()
	return s.sealed
}

// removeSegments drops the segments of the log whose samples all lie in blocks.
func (s *Store) removeSegments() error {
	old := s.segments.before(s.sealedTime())
	if len(old) == 0 {
		return nil
	}
	if err := s.dropImage(); err != nil { // it does not fit what is left of the log
		return err
	}
	for _, segment := range old {
		if err := s.log.Remove(segment); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // a later one must not go before it
		}
		s.segments.removed(segment)
	}
	return nil
}

// forget drops the series that nobody finds anything of in the head any more: others may have their ids. There is
// something to do when the last reader of a sealed span has left.
func (s *Store) forget() {
	if !s.gone.CompareAndSwap(true, false) {
		return
	}
	s.life.Lock()
	defer s.life.Unlock()
	gone, before := roaring.New(), min(s.sealed, s.head.oldestRead())
	for i, p := range s.head.pages.list() {
		s.head.clearPage(p, uint32(i)*pageSize, before, before < s.sealed, gone)
	}
	if gone.IsEmpty() {
		return
	}
	s.exemplars.forget(gone.Contains)
	s.index.Remove(gone)
}

// clearPage takes out the series of a page that have nothing at or after a time, and adds their ids to gone. Where
// somebody reads sealed spans, it leaves alone those whose samples in later ones were deleted.
func (h *head) clearPage(p *page, first uint32, before int64, read bool, gone *roaring.Bitmap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.series {
		s := &p.series[i]
		id := first + uint32(i)
		if p.generation[i] == 0 {
			continue
		}
		h.unmark(s, id)
		last, _ := s.open.Last()
		if s.open.Len() > 0 || s.has(late|histograms|started) || s.has(alive) && last >= before || !s.has(alive) && s.done != 0 && read {
			continue
		}
		gone.Add(id)
		*s, p.generation[i] = series{}, 0
	}
}
