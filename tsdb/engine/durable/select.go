package durable

import (
	"context"
	"errors"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
)

// view is what one answer reads: blocks and spans that stay as long as it holds them.
type view struct {
	blocks []*block.Block
	// through is the end of the tier's newest block.
	through int64
	spans   held
	// from is the time from which on the head is read: what is older lies in the blocks.
	from int64
	// since is the last deletion that the view does not know of by itself.
	since *deletion
}

// hold takes hold of everything of a tier in the bounds. Sealing moves samples from the head into blocks in one step
// with respect to it.
func (s *Store) hold(tier engine.Tier, minT, maxT int64) (*view, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return nil, engine.ErrClosed
	}
	s.answers.Add(1)
	v := &view{since: s.deleted.Load()}
	v.blocks, v.through = s.blocks.acquire(tier, minT, maxT)
	if tier == engine.TierRaw {
		v.spans = s.head.acquire(minT, maxT)
	}
	if len(v.spans) > 0 {
		v.from = v.spans[0].start
	}
	return v, nil
}

func (s *Store) letGo(v *view) {
	v.spans.release()
	for _, b := range v.blocks {
		if err := b.Release(); err != nil {
			s.options.Log.Warn("a block could not be closed", "error", err)
		}
	}
	s.answers.Done()
}

// Select finds series with samples in the bounds.
func (s *Store) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sel.Tier != engine.TierRaw {
		return s.selectWindows(ctx, sel)
	}
	v, err := s.hold(engine.TierRaw, sel.Min, sel.Max)
	if err != nil {
		return nil, err
	}
	streams, err := s.streams(ctx, v, sel)
	if err != nil {
		s.letGo(v)
		return nil, err
	}
	if len(streams) == 1 {
		if st, young := streams[0].(*headStream); young {
			return newYoungAnswer(ctx, sel, st, v.since, func() { s.letGo(v) }), nil
		}
	}
	a := newAnswer(ctx, sel, streams, v.since, func() { closeStreams(streams); s.letGo(v) })
	a.damaged = s.damaged
	return a, nil
}

// streams are the places that have series of the selection: the blocks, and the head.
func (s *Store) streams(ctx context.Context, v *view, sel engine.Selection) ([]stream, error) {
	return s.streamsBeside(ctx, v, sel, false)
}

// streamsBeside are the streams of a view, all sorted where others stand beside them.
func (s *Store) streamsBeside(ctx context.Context, v *view, sel engine.Selection, others bool) ([]stream, error) {
	var streams []stream
	for _, b := range v.blocks {
		st, err := newBlockStream(ctx, b, sel, s.damaged)
		if err != nil {
			closeStreams(streams)
			return nil, err
		}
		streams = append(streams, st)
	}
	if len(v.spans) == 0 {
		return streams, nil
	}
	series, err := s.index.Refs(ctx, sel.Sorted || others || len(streams) > 0, sel.Matchers...)
	if err != nil {
		closeStreams(streams)
		return nil, err
	}
	return append(streams, s.newHeadStream(series, v.spans, max(sel.Min, v.from), sel.Max)), nil
}

func closeStreams(streams []stream) {
	for _, st := range streams {
		if b, ok := st.(*blockStream); ok {
			_ = b.set.Close() // lets go of the block, which the view still holds
		}
	}
}

// damaged counts and tells damage that a read has met, and lets the read go on with what is whole.
func (s *Store) damaged(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if s.counters.damaged.Add(1) <= 100 {
		s.options.Log.Error("damage in a block was left out of an answer", "error", err)
	}
	return nil
}
