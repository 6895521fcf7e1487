package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// MergeOptions are for a merge.
type MergeOptions struct {
	// Range, when set, leaves out all samples out of it; several merges then share out what their blocks have.
	Range *merge.Interval
	// Level is that of the new block; 0 is one more than the highest of the blocks.
	Level int
	// OnDamage decides about what cannot be read: nil leaves it out of the new block. Without it, damage ends the merge.
	OnDamage merge.Skip
}

// Merge makes one block of several of the same tier, or anew of one: of samples with the same time, the one of the
// greatest sequence stays, and of equal ones that of the later block in the list; what was deleted is left out; samples are packed densely. The memory that it takes does not
// grow with the blocks. The blocks stay as they are. When no sample is left it is ErrEmpty.
func Merge(ctx context.Context, parent string, blocks []*Block, options MergeOptions) (meta Meta, err error) {
	if meta, err = mergedMeta(blocks, options); err != nil {
		return Meta{}, err
	}
	span := merge.All
	if options.Range != nil {
		span = *options.Range
	}
	var sets []*Set
	defer func() {
		for _, set := range sets {
			err = errors.Join(err, set.Close())
		}
	}()
	for _, b := range blocks {
		set, err := b.Select(ctx, nil, span.Min, span.Max)
		if err != nil {
			return Meta{}, err
		}
		set.OnDamage(options.OnDamage)
		sets = append(sets, set)
	}
	w, err := Create(parent, meta)
	if err != nil {
		return Meta{}, err
	}
	if err := mergeSeries(w, sets, newPacker(meta.Tier, span, options.OnDamage)); err != nil {
		return Meta{}, errors.Join(fmt.Errorf("merging %d blocks: %w", len(blocks), err), w.Abort())
	}
	return w.Commit()
}

// mergedMeta is what is known of the new block beforehand.
func mergedMeta(blocks []*Block, options MergeOptions) (Meta, error) {
	if len(blocks) == 0 {
		return Meta{}, errors.New("no blocks to merge")
	}
	meta := Meta{Tier: blocks[0].meta.Tier, Level: options.Level, Covers: options.Range}
	for _, b := range blocks {
		from := b.meta
		if from.Tier != meta.Tier {
			return Meta{}, fmt.Errorf("block %s is of tier %s, block %s of %s: only blocks of one tier can be merged", blocks[0].meta.ID, meta.Tier, from.ID, from.Tier)
		}
		if options.Level == 0 {
			meta.Level = max(meta.Level, from.Level+1)
		}
		meta.Sequence = max(meta.Sequence, from.Sequence)
		if from.SealedUntil != nil && (meta.SealedUntil == nil || *meta.SealedUntil < *from.SealedUntil) {
			meta.SealedUntil = from.SealedUntil
		}
		meta.Sources = append(meta.Sources, from.ID)
	}
	slices.SortFunc(meta.Sources, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return meta, nil
}

// mergeSeries writes each series of the sets once.
func mergeSeries(w *Writer, sets []*Set, p *packer) error {
	live := slices.Clone(sets)
	advance := func(set *Set) (more bool, err error) {
		more = set.Next()
		return more, set.Err()
	}
	live, err := keepWith(live, advance)
	if err != nil {
		return err
	}
	var sources []merge.Source
	for len(live) > 0 {
		least := live[0].Labels()
		for _, set := range live[1:] {
			if labels.Compare(set.Labels(), least) < 0 {
				least = set.Labels()
			}
		}
		sources = sources[:0]
		for _, set := range live {
			if labels.Equal(set.Labels(), least) {
				sources = append(sources, set.Source())
			}
		}
		chunks, err := p.pack(sources)
		if err == nil && len(chunks) > 0 {
			err = w.Add(least, chunks)
		}
		if err != nil {
			return fmt.Errorf("series %s: %w", least, err)
		}
		live, err = keepWith(live, func(set *Set) (bool, error) {
			if labels.Equal(set.Labels(), least) {
				return advance(set)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepWith keeps the sets for which the answer is true, until the first error.
func keepWith(sets []*Set, ask func(*Set) (bool, error)) (kept []*Set, err error) {
	return slices.DeleteFunc(sets, func(set *Set) bool {
		if err != nil {
			return false
		}
		var keep bool
		keep, err = ask(set)
		return !keep
	}), err
}
