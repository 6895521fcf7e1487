package index

import (
	"context"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// pollEvery is how many steps of a long loop go by between two looks at the context, and the most postings that are
// read before those who make series get their turn.
const pollEvery = 1024

// Select returns the series that all matchers match, by Prometheus's rules: a missing label has the empty value. It
// sees every series that was made before the call. Without a matcher it returns all. The bitmap is the caller's.
func (m *Mem) Select(ctx context.Context, matchers ...*labels.Matcher) (*roaring.Bitmap, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	return evaluate(ctx, memSource{m}, matchers)
}

// memSource is a Mem whose life is held for reading.
type memSource struct{ *Mem }

var _ source = memSource{}

func (m memSource) every() (*roaring.Bitmap, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.all.Clone(), nil
}

func (m memSource) having(name string) (*roaring.Bitmap, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := m.dict.names[name]; n != nil {
		return n.series.Clone(), nil
	}
	return roaring.New(), nil
}

func (m memSource) equal(ctx context.Context, name string, values []string) (*roaring.Bitmap, error) {
	m.mu.RLock()
	pairs := make([]uint32, 0, len(values))
	for _, value := range values {
		if p := m.dict.find(name, value); p != 0 {
			pairs = append(pairs, p)
		}
	}
	m.mu.RUnlock()
	var g gather
	if err := m.gather(ctx, &g, pairs); err != nil {
		return nil, err
	}
	return g.bitmap(), nil
}

// gather adds the series of pairs.
func (m memSource) gather(ctx context.Context, g *gather, pairs []uint32) error {
	for batch := range slices.Chunk(pairs, pollEvery) {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.gatherBatch(g, batch)
	}
	return nil
}

func (m memSource) gatherBatch(g *gather, pairs []uint32) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var one [1]uint32
	for _, p := range pairs {
		ids, bitmap := m.dict.ids(m.dict.pairs.at(p), &one)
		if bitmap != nil {
			g.addBitmap(bitmap)
		} else {
			g.add(ids...)
		}
	}
	g.unite() // before the bitmaps may change
}

func (m memSource) union(ctx context.Context, name, prefix string, fits func(string) bool) (*roaring.Bitmap, error) {
	var sorted, recent []uint32
	if prefix == "" {
		sorted, recent = m.valuesOf(name)
	} else {
		sorted, recent = m.ordered(name)
		sorted = m.dict.prefixed(sorted, prefix)
	}
	var g gather
	fitting := make([]uint32, 0, pollEvery)
	for _, pairs := range [][]uint32{sorted, recent} {
		for batch := range slices.Chunk(pairs, pollEvery) {
			fitting = fitting[:0]
			for _, p := range batch {
				if value := m.dict.value(p); strings.HasPrefix(value, prefix) && fits(value) {
					fitting = append(fitting, p)
				}
			}
			if err := m.gather(ctx, &g, fitting); err != nil {
				return nil, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return g.bitmap(), nil
}

// prefixed is the range of sorted pairs whose values begin with a prefix.
func (d *dictionary) prefixed(sorted []uint32, prefix string) []uint32 {
	from, _ := d.search(sorted, prefix)
	sorted = sorted[from:]
	return sorted[:sort.Search(len(sorted), func(i int) bool { return !strings.HasPrefix(d.value(sorted[i]), prefix) })]
}

func (m memSource) filter(ctx context.Context, ids *roaring.Bitmap, name string, fits func(string) bool) (*roaring.Bitmap, error) {
	m.mu.RLock()
	n := m.dict.names[name]
	m.mu.RUnlock()
	var g gather
	known := map[uint32]bool{0: fits("")}
	batch := make([]uint32, pollEvery)
	for it := ids.ManyIterator(); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found := it.NextMany(batch)
		if found == 0 {
			return g.bitmap(), nil
		}
		for _, id := range batch[:found] {
			p := m.pair(id, n)
			fit, asked := known[p]
			if !asked {
				fit = fits(m.dict.value(p))
				known[p] = fit
			}
			if fit {
				g.add(id)
			}
		}
	}
}

// pair is the one of a series for a name, 0 if it has none.
func (m *Mem) pair(id uint32, n *name) uint32 {
	record, ok := m.record(id)
	if !ok || n == nil {
		return 0
	}
	pairs := pairsOf(record)
	for p, more := pairs.next(); more; p, more = pairs.next() {
		if m.dict.pairs.at(p).name == n.id {
			return p
		}
	}
	return 0
}

func (m memSource) count(name string, values []string) (all, series int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.dict.names[name]
	switch {
	case n == nil:
		return 0, 0, nil
	case values == nil:
		return n.values(), int(n.series.GetCardinality()), nil
	}
	for _, value := range values {
		series += int(m.dict.pairs.at(m.dict.find(name, value)).count())
	}
	return n.values(), min(series, math.MaxInt32), nil
}
