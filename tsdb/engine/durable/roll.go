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
	var due []rolling
	for _, t := range s.options.Tiers {
		due = append(due, rolling{t.Tier, s.rolled(t.Tier, now), min(settled, now.Add(-t.After).UnixMilli())})
	}
	return errors.Join(err, s.rollAll(ctx, due))
}

// rolling is a tier whose windows are due between two times.
type rolling struct {
	tier         engine.Tier
	from, before int64
}

// stretch is where the next windows of a tier begin and end; false when none are due.
func (s *Store) stretch(r rolling) (after, end int64, due bool) {
	first, found := s.blocks.rawFrom(r.from)
	end = rollup.EndOf(first, rollLength)
	return max(r.from, end-rollLength), end, found && end < r.before
}

// rollAll makes what is due. Tiers that are due for the same stretch are made of it together.
func (s *Store) rollAll(ctx context.Context, due []rolling) (errs error) {
	for len(due) > 0 {
		after, end, any := s.stretch(due[0])
		if !any {
			due = due[1:]
			continue
		}
		var tiers []engine.Tier
		for i := range due {
			if a, e, any := s.stretch(due[i]); any && a == after && e == end {
				tiers = append(tiers, due[i].tier)
			}
		}
		if err := s.rollStretch(ctx, tiers, after, end); err != nil {
			errs = errors.Join(errs, fmt.Errorf("making the windows of %v up to %s: %w", tiers, stamp(end), err))
			due = slices.DeleteFunc(due, func(r rolling) bool { return slices.Contains(tiers, r.tier) })
		}
		for i := range due {
			if slices.Contains(tiers, due[i].tier) {
				due[i].from = end
			}
		}
	}
	return errs
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

// rollStretch makes a block of each tier of the windows that end in (after, end].
func (s *Store) rollStretch(ctx context.Context, tiers []engine.Tier, after, end int64) (err error) {
	var writers []*tierWriter
	defer func() {
		for _, w := range writers {
			err = errors.Join(err, w.Abort())
		}
	}()
	for _, tier := range tiers {
		w, err := block.Create(s.blocks.dir, block.Meta{Tier: tier, Level: 1, Sequence: s.blocks.nextSequence()})
		if err != nil {
			return err
		}
		writers = append(writers, newTierWriter(w, tier))
	}
	if err := s.rollSeries(ctx, writers, after+1, end); err != nil {
		return err
	}
	for len(writers) > 0 {
		if err := s.publishWindows(writers[0].Writer); err != nil {
			return err
		}
		writers = writers[1:]
	}
	return nil
}

// publishWindows ends a block of windows and lets readers find it.
func (s *Store) publishWindows(w *block.Writer) error {
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

// tierWriter writes the windows of one tier.
type tierWriter struct {
	*block.Writer
	windowsMaker
}

func newTierWriter(w *block.Writer, tier engine.Tier) *tierWriter {
	return &tierWriter{Writer: w, windowsMaker: windowsMaker{window: tier.Window()}}
}

func (s *Store) rollSeries(ctx context.Context, writers []*tierWriter, minEnd, maxEnd int64) error {
	minT, maxT := int64(math.MaxInt64), int64(math.MinInt64)
	for _, w := range writers {
		from, to := rollup.RawBounds(minEnd, maxEnd, w.window)
		minT, maxT = min(minT, from), max(maxT, to)
	}
	set, err := s.Select(ctx, engine.Selection{Min: minT, Max: maxT, Sorted: true})
	if err != nil {
		return err
	}
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if err := addWindows(writers, set.At().Labels(), it, merge.Interval{Min: minEnd, Max: maxEnd}); err != nil {
			return errors.Join(err, set.Close())
		}
	}
	return errors.Join(set.Err(), set.Close())
}

// addWindows writes the windows of a series that end in the bounds, both inclusive, where it has any.
func addWindows(writers []*tierWriter, lset labels.Labels, raw chunkenc.Iterator, bounds merge.Interval) error {
	var room [3]*windowsMaker
	makers := room[:0]
	for _, w := range writers {
		merge.Truncate(&w.windows)
		w.reset(w.windows)
		makers = append(makers, &w.windowsMaker)
	}
	if err := makeWindows(raw, makers...); err != nil {
		return err
	}
	for _, w := range writers {
		lasts := slices.DeleteFunc(w.lasts, func(p histogramPoint) bool { return p.t < bounds.Min || p.t > bounds.Max })
		cut := rollup.Between(&w.windows, bounds.Min, bounds.Max)
		if chunks := histogramsAndWindows(lasts, &cut); len(chunks) > 0 {
			if err := w.Add(lset, chunks); err != nil {
				return err
			}
		}
	}
	return nil
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
