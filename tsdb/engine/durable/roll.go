package durable

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
	"github.com/novacron/novacron/tsdb/rollup"
)

// rollLength is how much time one block of new windows covers: as much as windows of all tiers fit into evenly.
const rollLength = 6 * 3_600_000

// rolledThrough is the end of the newest window of a tier: later ones are made of raw samples by whoever asks.
func (set *blockSet) rolledThrough(tier engine.Tier) int64 { return rolledThrough(set.list(), tier) }

func rolledThrough(blocks []*block.Block, tier engine.Tier) int64 {
	through := int64(math.MinInt64 + 1)
	for _, b := range blocks {
		if m := b.Meta(); m.Tier == tier {
			through = max(through, m.MaxTime)
		}
	}
	return through
}

// rawFrom is the time of the first raw sample behind a time; false where there is none in blocks.
func (set *blockSet) rawFrom(t int64) (int64, bool) {
	from, found := int64(math.MaxInt64), false
	for _, b := range set.list() {
		if m := b.Meta(); m.Tier == engine.TierRaw && m.MaxTime > t {
			from, found = min(from, max(m.MinTime, t+1)), true
		}
	}
	return from, found
}

// rolled is the time up to which a tier's windows exist or are no longer kept.
func (s *Store) rolled(tier engine.Tier, now time.Time) int64 {
	through := s.blocks.rolledThrough(tier)
	if keep := s.options.Retention.longest(tier); keep > 0 {
		through = max(through, rollup.EndOf(now.Add(-keep).UnixMilli(), rollLength)-rollLength)
	}
	return through
}

// rolledAll is the time up to which the windows of all tiers that are made exist.
func (s *Store) rolledAll(now time.Time) int64 {
	through := int64(math.MaxInt64)
	for _, t := range s.options.Tiers {
		through = min(through, s.rolled(t.Tier, now))
	}
	return through
}

// roll makes the windows of all raw samples that no longer change, a stretch of rollLength after the other.
func (s *Store) roll(ctx context.Context, now time.Time) error {
	err := s.rollImported(ctx)
	settled := s.settled(now)
	for _, t := range s.options.Tiers {
		err = errors.Join(err, s.rollTier(ctx, t.Tier, s.rolled(t.Tier, now), min(settled, now.Add(-t.After).UnixMilli())))
	}
	return err
}

// rollTier makes the windows between two times.
func (s *Store) rollTier(ctx context.Context, tier engine.Tier, from, before int64) error {
	for {
		first, found := s.blocks.rawFrom(from)
		end := rollup.EndOf(first, rollLength)
		if !found || end >= before {
			return nil
		}
		if err := s.rollStretch(ctx, tier, max(from, end-rollLength), end); err != nil {
			return fmt.Errorf("making the windows of %s up to %s: %w", tier, stamp(end), err)
		}
		from = end
	}
}

// settled is the time before which all samples lie in blocks and no more are taken.
func (s *Store) settled(now time.Time) int64 {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.options.AnyAge {
		return s.sealed
	}
	before := s.sealable(now)
	if oldest := s.head.oldest(); oldest != nil {
		before = min(before, oldest.start)
	}
	return max(before, s.sealed)
}

// rollStretch makes a block of the windows that end in (after, end].
func (s *Store) rollStretch(ctx context.Context, tier engine.Tier, after, end int64) error {
	w, err := block.Create(s.blocks.dir, block.Meta{Tier: tier, Level: 1, Sequence: s.blocks.nextSequence()})
	if err != nil {
		return err
	}
	if err := s.rollSeries(ctx, w, tier, after+1, end); err != nil {
		return errors.Join(err, w.Abort())
	}
	meta, err := w.Commit()
	if errors.Is(err, block.ErrEmpty) {
		return nil // stale markers alone
	}
	if err != nil {
		return err
	}
	folder := folderOf(s.blocks.dir, meta)
	if err := s.blocks.add(folder); err != nil {
		return errors.Join(err, block.Remove(folder)) // or each attempt would leave one
	}
	return nil
}

func (s *Store) rollSeries(ctx context.Context, w *block.Writer, tier engine.Tier, minEnd, maxEnd int64) error {
	minT, maxT := rollup.RawBounds(minEnd, maxEnd, tier.Window())
	set, err := s.Select(ctx, engine.Selection{Min: minT, Max: maxT, Sorted: true})
	if err != nil {
		return err
	}
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if err := addWindows(w, set.At().Labels(), tier.Window(), it, merge.All); err != nil {
			return errors.Join(err, set.Close())
		}
	}
	return errors.Join(set.Err(), set.Close())
}

// addWindows writes the windows of a series that end in the bounds, both inclusive, where it has any.
func addWindows(w *block.Writer, lset labels.Labels, window int64, raw chunkenc.Iterator, bounds merge.Interval) error {
	var windows chunk.Windows
	lasts, err := makeWindows(&windows, window, raw)
	if err != nil {
		return err
	}
	lasts = slices.DeleteFunc(lasts, func(p histogramPoint) bool { return p.t < bounds.Min || p.t > bounds.Max })
	cut := rollup.Between(&windows, bounds.Min, bounds.Max)
	chunks := histogramsAndWindows(lasts, &cut)
	if len(chunks) == 0 {
		return nil
	}
	return w.Add(lset, chunks)
}

// histogramsAndWindows makes chunks in order of time: where a window's last sample is a histogram, that is all that
// is kept of it.
func histogramsAndWindows(lasts []histogramPoint, windows *chunk.Windows) []merge.Chunk {
	var chunks []merge.Chunk
	from := 0
	windowsUntil := func(end int64) {
		to := from
		for to < len(windows.End) && windows.End[to] < end {
			to++
		}
		if to > from {
			part := rollup.Between(windows, windows.End[from], windows.End[to-1])
			chunks = append(chunks, merge.NewWindows(&part))
		}
		if from = to; from < len(windows.End) && windows.End[from] == end {
			from++
		}
	}
	for len(lasts) > 0 {
		windowsUntil(lasts[0].t)
		n := 1
		for n < len(lasts) && (lasts[n].whole == nil) == (lasts[0].whole == nil) && (from == len(windows.End) || windows.End[from] > lasts[n].t) {
			n++
		}
		columns := histogramColumns(lasts[:n])
		if columns.Histograms != nil {
			chunks = append(chunks, merge.NewHistograms(columns.Times, columns.Histograms))
		} else {
			chunks = append(chunks, merge.NewFloatHistograms(columns.Times, columns.Floats))
		}
		lasts = lasts[n:]
	}
	windowsUntil(math.MaxInt64)
	return chunks
}
