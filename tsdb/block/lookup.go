package block

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/index"
)

// soundness is whether series can be found by the tables of the index. It is looked at once, before the first question:
// a damaged table would leave series out, or name others, without an error.
type soundness struct {
	once   sync.Once
	damage error
}

// tableStep is how much of a table is read before its memory is given back. It is a multiple of the size of pages.
const tableStep = 1 << 20

// LookupDamage is what is wrong with the tables by which series are found, nil where they are as they were written. The
// caller holds the block.
func (b *Block) LookupDamage() error {
	b.sound.once.Do(func() {
		for _, table := range b.index.Lookup() {
			if sum := b.index.sum(table); sum != table.Sum {
				b.sound.damage = b.quarantine.add(&DamageError{Block: b.meta.ID, File: indexName, Offset: int64(table.Offset),
					Err: fmt.Errorf("section %s: checksum %08x, expected %08x: series are found one by one", table.Name, sum, table.Sum)})
				return
			}
		}
	})
	return b.sound.damage
}

// sum adds up a table, a piece after the other, none of which stays in memory for it.
func (m *mappedIndex) sum(table index.Table) (sum uint32) {
	for from, end := table.Offset, table.Offset+table.Size; from < end; {
		piece := from - from%tableStep
		to := min(piece+tableStep, end)
		sum = crc32.Update(sum, castagnoli, m.data[from:to])
		_ = unix.Madvise(m.data[piece:to], unix.MADV_DONTNEED) // the kernel keeps the file's pages
		from = to
	}
	return sum
}

// find is the series that match. Where the tables of the index are damaged, it asks every series for its labels, and
// tells the damage that it meets.
func (b *Block) find(ctx context.Context, matchers []*labels.Matcher) (found *roaring.Bitmap, damage []error, err error) {
	if len(matchers) == 0 || b.LookupDamage() == nil {
		found, err = b.index.Select(ctx, matchers...)
		return found, nil, err
	}
	found, damage = roaring.New(), []error{b.LookupDamage()}
	err = b.eachSeries(ctx, nil, func(ordinal uint32, lset labels.Labels, bad error) {
		if bad != nil {
			damage = append(damage, bad)
		} else if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			found.Add(ordinal)
		}
	})
	return found, damage, err
}

// eachSeries reads the labels of some series, of all for nil.
func (b *Block) eachSeries(ctx context.Context, of *roaring.Bitmap, use func(ordinal uint32, lset labels.Labels, bad error)) error {
	var reader seriesReader
	for ordinal := range uint32(b.index.Len()) {
		if ordinal%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if of == nil || of.Contains(ordinal) {
			lset, _, err := reader.read(b, ordinal)
			use(ordinal, lset, err)
		}
	}
	return nil
}

// listed are the words that the labels of some series, of all for nil, have; sorted, limit 0 is none.
func (b *Block) listed(ctx context.Context, limit int, of *roaring.Bitmap, words func(labels.Labels) []string) ([]string, error) {
	all := []string{}
	err := b.eachSeries(ctx, of, func(_ uint32, lset labels.Labels, bad error) {
		if bad == nil {
			all = append(all, words(lset)...)
		}
	})
	slices.Sort(all)
	if all = slices.Compact(all); limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, err
}
