package block

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// Match finds the series that match, by their ordinals. The bitmap is the caller's.
func (b *Block) Match(ctx context.Context, matchers ...*labels.Matcher) (found *roaring.Bitmap, err error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Release()) }()
	found, _, err = b.find(ctx, matchers)
	return found, err
}

// Hide deletes the samples of series in a span, as Delete does, and tells whether any of them was not deleted before.
func (b *Block) Hide(series *roaring.Bitmap, span merge.Interval) (changed bool, err error) {
	span = merge.Interval{Min: max(span.Min, b.meta.MinTime), Max: min(span.Max, b.meta.MaxTime)}
	if span.Min > span.Max || series.IsEmpty() {
		return false, nil
	}
	if err := b.enter(); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Release()) }()
	b.deleting.Lock()
	defer b.deleting.Unlock()
	old := b.tombstones.Load()
	left := roaring.AndNot(series, old.covering(span))
	if left.IsEmpty() {
		return false, nil
	}
	return true, b.replaceTombstones(old.with(stone{span, left}))
}

// covering are the series from which one stone deletes a whole span.
func (t *tombstones) covering(span merge.Interval) *roaring.Bitmap {
	all := roaring.New()
	for _, s := range t.stones {
		if s.Contains(span) {
			all.Or(s.series)
		}
	}
	return all
}

// replaceTombstones makes tombstones durable and visible; deleting is held.
func (b *Block) replaceTombstones(next *tombstones) error {
	text, err := next.encode()
	if err == nil {
		err = replaceFile(filepath.Join(b.dir, tombstonesName), text)
	}
	if err != nil {
		return fmt.Errorf("deleting from block %s: %w", b.meta.ID, err)
	}
	b.tombstones.Store(next)
	return nil
}

// hiddenCount remembers how many samples some tombstones hide.
type hiddenCount struct {
	of    *tombstones
	count uint64
}

// hiddenMemo is the last answer of Hidden.
type hiddenMemo struct{ atomic.Pointer[hiddenCount] }

// Hidden estimates how many samples tombstones hide, by the times of chunks: no sample is read, and none is read again
// until more is deleted.
func (b *Block) Hidden(ctx context.Context) (count uint64, err error) {
	if err := b.enter(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Release()) }()
	stones := b.tombstones.Load()
	if known := b.hidden.Load(); known != nil && known.of == stones {
		return known.count, nil
	}
	if count, err = b.countHidden(ctx, stones); err != nil {
		return 0, err
	}
	b.hidden.Store(&hiddenCount{stones, count})
	return count, nil
}

func (b *Block) countHidden(ctx context.Context, stones *tombstones) (uint64, error) {
	series := roaring.New()
	for _, s := range stones.stones {
		series.Or(s.series)
	}
	hidden := 0.0
	var chunks []Chunk
	var deleted []merge.Interval
	var entry []byte
	for n, all := 0, series.Iterator(); all.HasNext(); n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		ordinal := all.Next()
		var err error
		if entry, err = b.index.Entry(ordinal, entry[:0]); err != nil {
			continue // damage is told by whoever reads the samples
		}
		if chunks, err = b.appendChunks(chunks[:0], ordinal, entry, merge.All, nil); err != nil {
			continue
		}
		deleted = stones.of(deleted, ordinal)
		for i := range chunks {
			hidden += hiddenOf(&chunks[i], deleted)
		}
	}
	return uint64(hidden), nil
}

// hiddenOf is how many samples of a chunk lie in joined spans, where they are spread evenly.
func hiddenOf(c *Chunk, deleted []merge.Interval) float64 {
	length, covered := float64(c.Max-c.Min)+1, 0.0
	for _, gone := range deleted {
		if from, to := max(gone.Min, c.Min), min(gone.Max, c.Max); from <= to {
			covered += float64(to-from) + 1
		}
	}
	return float64(c.Count) * covered / length
}
