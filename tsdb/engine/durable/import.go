package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
	"github.com/novacron/novacron/tsdb/rollup"
)

// ImportRange is the stretch of time around a time that one imported block should lie in: a day, or where the head
// still fills that day, what it seals at once.
func (s *Store) ImportRange(t int64) merge.Interval {
	day := 12 * s.head.spanLength
	start := t - t%day
	if start > t {
		start -= day
	}
	if start+day <= s.settled(s.options.Clock()) {
		return merge.Interval{Min: start, Max: start + day - 1}
	}
	start = s.head.align(t)
	return merge.Interval{Min: start, Max: start + s.head.spanLength - 1}
}

// ImportBlock adds raw samples of any age as a block of its own, beside those that the store has. Fill adds series in
// the order of their labels, each once. Of samples with the same series and time the imported one stays, except where
// the head still has one. Windows that they change are made anew by the next upkeep. A block without a series is
// block.ErrEmpty.
func (s *Store) ImportBlock(ctx context.Context, fill func(add func(labels.Labels, []merge.Chunk) error) error) (block.Meta, error) {
	if s.options.ReadOnly {
		return block.Meta{}, engine.ErrReadOnly
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if err := s.isOpen(ctx); err != nil {
		return block.Meta{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return block.Meta{}, err
	}
	w, err := block.Create(s.blocks.dir, block.Meta{ID: id, Level: importLevel, Sequence: s.blocks.nextSequence()})
	if err != nil {
		return block.Meta{}, err
	}
	if err := fill(w.Add); err != nil {
		return block.Meta{}, errors.Join(err, w.Abort())
	}
	// Noted first: after a crash, a note without a block says nothing, but a block without a note would be forgotten.
	if err := s.unrolled.add(id); err != nil {
		return block.Meta{}, errors.Join(err, w.Abort())
	}
	meta, err := w.Commit()
	if err != nil {
		return block.Meta{}, errors.Join(err, s.unrolled.drop(id))
	}
	defer s.revision.changed()
	folder := folderOf(s.blocks.dir, meta)
	if err := s.blocks.add(folder); err != nil {
		return block.Meta{}, errors.Join(err, block.Remove(folder), s.unrolled.drop(id))
	}
	return meta, nil
}

// importLevel is that of a merged block of the longest range: what is imported is densely packed already.
const importLevel = 3

func (s *Store) isOpen(ctx context.Context) error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return engine.ErrClosed
	}
	return ctx.Err()
}

// rollImported makes the windows anew that imported blocks change. Later ones are made with all others.
func (s *Store) rollImported(ctx context.Context) error {
	for _, id := range slices.Clone(s.unrolled.blocks) {
		b := s.blocks.find(id)
		if b == nil {
			continue
		}
		for _, t := range s.options.Tiers {
			if err := s.rollAnew(ctx, t.Tier, b); err != nil {
				return fmt.Errorf("making the windows of %s of imported block %s: %w", t.Tier, id, err)
			}
		}
		if err := s.unrolled.drop(id); err != nil {
			return err
		}
	}
	return nil
}

// rollAnew makes those windows of a block's series, with all raw samples that there are, that exist already.
func (s *Store) rollAnew(ctx context.Context, tier engine.Tier, b *block.Block) error {
	m := b.Meta()
	first := rollup.EndOf(m.MinTime, tier.Window())
	last := min(rollup.EndOf(m.MaxTime, tier.Window()), s.blocks.rolledThrough(tier))
	for first <= last {
		end := min(rollup.EndOf(first, rollLength), last)
		if err := s.rollAnewBetween(ctx, tier, b, first, end); err != nil {
			return err
		}
		first = end + tier.Window()
	}
	return nil
}

// rollAnewBetween makes one block of the windows that end in the bounds, both inclusive.
func (s *Store) rollAnewBetween(ctx context.Context, tier engine.Tier, b *block.Block, first, last int64) (err error) {
	defer s.revision.changed()
	minT, maxT := rollup.RawBounds(first, last, tier.Window())
	imported, err := b.Select(ctx, nil, minT, maxT)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, imported.Close()) }()
	imported.OnDamage(s.damaged)
	all, err := s.Select(ctx, engine.Selection{Min: minT, Max: maxT, Sorted: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	w, err := block.Create(s.blocks.dir, block.Meta{Tier: tier, Level: 1, Sequence: s.blocks.nextSequence()})
	if err != nil {
		return err
	}
	if err := addAnew(newTierWriter(w, tier), imported, all); err != nil {
		return errors.Join(err, w.Abort())
	}
	return s.publishWindows(w)
}

// addAnew writes windows of the series that were imported, those alone in which an imported sample can lie: of other
// times the raw samples may be gone already.
func addAnew(w *tierWriter, imported *block.Set, all engine.SeriesSet) error {
	var it chunkenc.Iterator
	for imported.Next() {
		found, err := seek(all, imported.Labels())
		if err != nil {
			return err
		}
		if found == nil {
			continue // deleted since
		}
		it = found.Iterator(it)
		chunks := imported.Chunks()
		touched := merge.Interval{Min: rollup.EndOf(chunks[0].Min, w.window), Max: rollup.EndOf(chunks[len(chunks)-1].Max, w.window)}
		if err := addWindows([]*tierWriter{w}, found.lset, it, touched); err != nil {
			return err
		}
	}
	return imported.Err()
}

// seek goes on in a sorted answer to the series with some labels; nil where it has none.
func seek(all engine.SeriesSet, lset labels.Labels) (*found, error) {
	for current := all.At().(*found); ; current = all.At().(*found) {
		if current != nil {
			if c := labels.Compare(current.lset, lset); c == 0 {
				return current, nil
			} else if c > 0 {
				return nil, nil
			}
		}
		if !all.Next() {
			return nil, all.Err()
		}
	}
}
