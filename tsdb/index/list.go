package index

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// LabelNames lists, sorted, the names of the labels of some series, of all for nil; limit 0 is none.
func (m *Mem) LabelNames(ctx context.Context, limit int, ids *roaring.Bitmap) ([]string, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	m.mu.RLock()
	defer m.mu.RUnlock()
	found := []string{}
	for _, name := range slices.Sorted(maps.Keys(m.dict.names)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if limit > 0 && len(found) == limit {
			break
		}
		if ids == nil || m.dict.names[name].series.Intersects(ids) {
			found = append(found, name)
		}
	}
	return found, nil
}

// LabelValues lists, sorted, the values that some series, or all for nil, have for a label; limit 0 is none.
func (m *Mem) LabelValues(ctx context.Context, name string, limit int, ids *roaring.Bitmap) ([]string, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	pairs, err := m.valuePairs(ctx, name, ids)
	if err != nil {
		return nil, err
	}
	values := make([]string, 0, min(len(pairs), max(limit, 16)))
	for batch := range slices.Chunk(pairs, pollEvery) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		had := m.had(batch, ids)
		for i, p := range batch {
			if !had[i] {
				continue
			}
			if values = append(values, strings.Clone(m.dict.value(p))); len(values) == limit {
				return values, nil
			}
		}
	}
	return values, nil
}

// valuePairs are, in the order of their values, the pairs of a name that the series might have: those that they have
// where there are fewer series than values, all otherwise.
func (m *Mem) valuePairs(ctx context.Context, name string, ids *roaring.Bitmap) ([]uint32, error) {
	m.mu.RLock()
	n := m.dict.names[name]
	all := 0
	if n != nil {
		all = n.values()
	}
	m.mu.RUnlock()
	if ids == nil || ids.GetCardinality() >= uint64(all) {
		sorted, recent := m.ordered(name)
		if len(recent) == 0 {
			return sorted, nil
		}
		return m.dict.merged(sorted, recent), nil
	}
	seen := map[uint32]bool{}
	steps := 0
	for it := ids.Iterator(); it.HasNext(); steps++ {
		if steps%pollEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p := m.pair(it.Next(), n); p != 0 {
			seen[p] = true
		}
	}
	return m.dict.byValue(slices.Collect(maps.Keys(seen))), nil
}

// had tells for each of some pairs whether one of the series has it.
func (m *Mem) had(pairs []uint32, ids *roaring.Bitmap) []bool {
	had := make([]bool, len(pairs))
	m.mu.RLock()
	defer m.mu.RUnlock()
	var one [1]uint32
	for i, p := range pairs {
		list, bitmap := m.dict.ids(m.dict.pairs.at(p), &one)
		switch {
		case ids == nil:
			had[i] = true
		case bitmap != nil:
			had[i] = bitmap.Intersects(ids)
		default:
			had[i] = slices.ContainsFunc(list, ids.Contains)
		}
	}
	return had
}
