package block

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/merge"
)

// writeIndex makes the file of an index durable, and frees what its writer holds.
func writeIndex(w *index.Writer, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = w.WriteTo(file)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), w.Close())
}

// mappedIndex is an index in a mapped file.
type mappedIndex struct {
	*index.Reader
	data []byte
}

func openIndex(path string, size int64) (*mappedIndex, error) {
	data, err := mapFile(path, size)
	if err != nil {
		return nil, err
	}
	reader, err := index.Open(data)
	if err != nil {
		return nil, errors.Join(err, unmap([][]byte{data}))
	}
	return &mappedIndex{reader, data}, nil
}

func (m *mappedIndex) close() error { return unmap([][]byte{m.data}) }

// LabelNames lists, sorted, the label names of the series that match and have samples between two times, both
// inclusive; limit 0 is none. Chunks that reach into the bounds count as samples there.
func (b *Block) LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return b.list(ctx, merge.Interval{Min: minT, Max: maxT}, matchers, func(of *roaring.Bitmap) ([]string, error) {
		if b.LookupDamage() == nil {
			return b.index.LabelNames(ctx, limit, of)
		}
		return b.listed(ctx, limit, of, func(lset labels.Labels) (names []string) {
			lset.Range(func(l labels.Label) { names = append(names, l.Name) })
			return names
		})
	})
}

// LabelValues is LabelNames for the values of one label.
func (b *Block) LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return b.list(ctx, merge.Interval{Min: minT, Max: maxT}, matchers, func(of *roaring.Bitmap) ([]string, error) {
		if b.LookupDamage() == nil {
			return b.index.LabelValues(ctx, name, limit, of)
		}
		return b.listed(ctx, limit, of, func(lset labels.Labels) []string {
			if value := lset.Get(name); value != "" {
				return []string{value}
			}
			return nil
		})
	})
}

// list asks for something of the series that match and have chunks in a span; nil stands for all series.
func (b *Block) list(ctx context.Context, span merge.Interval, matchers []*labels.Matcher, ask func(*roaring.Bitmap) ([]string, error)) (found []string, err error) {
	if !span.Overlaps(b.meta.Interval()) {
		return nil, nil
	}
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Release()) }()
	whole := span.Contains(b.meta.Interval()) && len(b.tombstones.Load().stones) == 0
	if whole && len(matchers) == 0 {
		return ask(nil)
	}
	of, _, err := b.find(ctx, matchers)
	if err == nil && !whole {
		of, err = b.live(ctx, of, span)
	}
	if err != nil || of.IsEmpty() {
		return nil, err
	}
	return ask(of)
}

// live keeps the series that have chunks in a span that are not deleted as a whole, and those of which damage hides it.
func (b *Block) live(ctx context.Context, of *roaring.Bitmap, span merge.Interval) (*roaring.Bitmap, error) {
	kept := roaring.New()
	stones := b.tombstones.Load()
	var chunks []Chunk
	var deleted []merge.Interval
	var entry []byte
	for n, all := 0, of.Iterator(); all.HasNext(); n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		series := all.Next()
		var err error
		if entry, err = b.index.Entry(series, entry[:0]); err == nil {
			chunks, err = b.appendChunks(chunks[:0], series, entry, span, nil)
		}
		if err != nil {
			kept.Add(series)
			continue
		}
		deleted = stones.of(deleted, series)
		if slices.ContainsFunc(chunks, func(c Chunk) bool {
			in := merge.Interval{Min: c.Min, Max: c.Max}
			return !slices.ContainsFunc(deleted, func(gone merge.Interval) bool { return gone.Contains(in) })
		}) {
			kept.Add(series)
		}
	}
	return kept, nil
}

// seriesReader is memory for reading series from the index.
type seriesReader struct {
	builder labels.ScratchBuilder
	text    []byte
}

// read returns the labels of a series, which hold for ever, and its entry, which holds as long as the block is held.
// Damage is a *DamageError.
func (r *seriesReader) read(b *Block, ordinal uint32) (labels.Labels, []byte, error) {
	lset, entry, err := b.index.View(&r.builder, ordinal)
	if err == nil {
		r.text, err = checkLabels(entry, lset, r.text)
	}
	if err != nil {
		return labels.EmptyLabels(), nil, b.damagedEntry(ordinal, err)
	}
	return lset, entry, nil
}
