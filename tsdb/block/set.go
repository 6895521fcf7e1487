package block

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// Set walks over the series of a selection in the order of their labels. It keeps its block open until Close.
type Set struct {
	b        *Block
	ctx      context.Context
	span     merge.Interval
	ordinals roaring.IntPeekable
	stones   *tombstones
	skip     merge.Skip
	damage   []error // met while the series were found, and not told yet

	reader  seriesReader
	heads   *headsMemo
	ordinal uint32
	lset    labels.Labels
	// marked says that Next goes no further than to the first chunk, which stands behind mark.
	marked  bool
	mark    Mark
	chunks  []Chunk
	deleted []merge.Interval
	err     error
	closed  bool
}

// Select finds the series that match and have chunks between two times, both inclusive. What was deleted before the
// call is in Deleted of the series.
func (b *Block) Select(ctx context.Context, matchers []*labels.Matcher, minT, maxT int64) (*Set, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	found, damage := roaring.New(), []error(nil)
	if span := (merge.Interval{Min: minT, Max: maxT}); span.Overlaps(b.meta.Interval()) {
		var err error
		if found, damage, err = b.find(ctx, matchers); err != nil {
			return nil, errors.Join(err, b.Release())
		}
	}
	return &Set{b: b, ctx: ctx, span: merge.Interval{Min: minT, Max: maxT}, ordinals: found.Iterator(), damage: damage, heads: b.times.heads.Get().(*headsMemo), stones: b.tombstones.Load()}, nil
}

// OnDamage sets what happens when something of a series cannot be read: when skip returns nil, the walk goes on without
// it. By default the walk ends with the error.
func (s *Set) OnDamage(skip merge.Skip) { s.skip = skip }

// checkEvery is how many series are read between two looks at the context.
const checkEvery = 256

// Next goes to the next series that has chunks in the bounds.
func (s *Set) Next() bool {
	for len(s.damage) > 0 && s.err == nil {
		s.err = s.b.skipOr(s.skip, s.damage[0])
		s.damage = s.damage[1:]
	}
	for s.err == nil && !s.closed && s.ordinals.HasNext() {
		s.ordinal = s.ordinals.Next()
		if s.ordinal%checkEvery == 0 {
			if s.err = s.ctx.Err(); s.err != nil {
				return false
			}
		}
		if s.read() {
			return true
		}
	}
	return false
}

// read reads the current series; false when it has nothing in the bounds or cannot be read.
func (s *Set) read() bool {
	lset, entry, err := s.reader.read(s.b, s.ordinal)
	found := false
	if err == nil {
		s.lset = lset
		found, err = s.readEntry(entry)
	}
	if err != nil {
		s.err = s.b.skipOr(s.skip, err)
		return false
	}
	if found {
		s.deleted = s.stones.of(s.deleted, s.ordinal)
	}
	return found
}

// readEntry reads the list of chunks as far as it is asked for, and tells whether there are any.
func (s *Set) readEntry(entry []byte) (found bool, err error) {
	m, err := s.b.mark(s.ordinal, entry)
	if err != nil {
		return false, err
	}
	if s.marked {
		_, found, err = s.b.nextChunk(&m, &s.mark, s.ordinal, s.span, s.skip, s.heads)
		return found, err
	}
	s.chunks, err = s.b.AppendFrom(s.chunks[:0], s.ordinal, m, s.span, s.skip)
	return len(s.chunks) > 0, err
}

// Labels are those of the current series. They hold for ever.
func (s *Set) Labels() labels.Labels { return s.lset }

// Ordinal is the place of the current series in the block, for AppendFrom.
func (s *Set) Ordinal() uint32 { return s.ordinal }

// MarkOnly has Next look for the first chunk of each series and no further: Mark tells where that stands, and the series
// has no Chunks here.
func (s *Set) MarkOnly() { s.marked = true }

// Mark is where the chunks of the current series that overlap the bounds begin, for AppendFrom. It holds until Close.
func (s *Set) Mark() Mark { return s.mark }

// Chunks are those of the current series that overlap the bounds. The slice holds until the next series, what is in it
// until Close.
func (s *Set) Chunks() []Chunk { return s.chunks }

// Deleted are the joined spans of time that are deleted from the current series. They hold until the next series.
func (s *Set) Deleted() []merge.Interval { return s.deleted }

// Source is the current series as something to merge; it holds until the next series.
func (s *Set) Source() merge.Source {
	return merge.Source{Chunks: s.chunks, Rank: s.b.meta.Sequence, Deleted: s.deleted}
}

// Err is what ended the walk early.
func (s *Set) Err() error { return s.err }

// Close lets go of the block.
func (s *Set) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.b.times.heads.Put(s.heads)
	s.heads = nil
	return s.b.Release()
}
