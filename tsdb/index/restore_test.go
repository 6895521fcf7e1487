package index

import (
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// restored is a copy of an index that was made by a Restorer.
func restored(t *testing.T, from *Mem) *Mem {
	m := New(Limits{}, time.Now)
	r := m.Restore()
	numbers := map[uint32]uint32{}
	from.Pairs(func(pair, series uint32, name, value string) {
		number, err := r.Pair(name, value, series)
		require.NoError(t, err)
		numbers[pair] = number
	})
	ordinal := uint32(0)
	for id := range from.slots.len() {
		pairs, ok := from.AppendPairs(nil, id)
		if !ok {
			continue
		}
		for i := range pairs {
			pairs[i] = numbers[pairs[i]]
		}
		got, err := r.Series(pairs)
		require.NoError(t, err)
		require.Equal(t, ordinal, got)
		ordinal++
	}
	require.NoError(t, r.Done())
	return m
}

// TestRestoredIndexIsTheSame copies an index that series have left, and finds all others in the copy: by their labels,
// by matchers, and when more come and go.
func TestRestoredIndexIsTheSame(t *testing.T) {
	m := fleet(t, 3000) // more than maxList have some labels
	gone := roaring.New()
	for id := uint32(0); id < 3000; id += 7 {
		gone.Add(id)
	}
	m.Remove(gone)
	got := restored(t, m)
	require.Equal(t, m.Len(), got.Len())
	require.Equal(t, m.Cardinality(5).Series, got.Cardinality(5).Series)
	builder := labels.NewScratchBuilder(10)
	for i := range 3000 {
		lset := fleetSeries(&builder, i)
		_, want := m.Lookup(lset)
		id, found := got.Lookup(lset)
		require.Equal(t, want, found, lset)
		if found {
			back, _ := got.Labels(id)
			require.Equal(t, lset, back)
			require.Equal(t, uint32(1), got.Generation(id))
		}
	}
	for _, matcher := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "job", "node"),
		labels.MustNewMatcher(labels.MatchEqual, "a", "w"),
		labels.MustNewMatcher(labels.MatchEqual, "machine", "host-3"),
		labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-12.*"),
		labels.MustNewMatcher(labels.MatchNotEqual, "env", ""),
	} {
		want, err := m.Select(t.Context(), matcher)
		require.NoError(t, err)
		have, err := got.Select(t.Context(), matcher)
		require.NoError(t, err)
		require.Equal(t, want.GetCardinality(), have.GetCardinality(), matcher)
	}
	all, err := got.Select(t.Context())
	require.NoError(t, err)
	for i := range 3000 {
		if i%7 == 0 {
			_, created, err := got.GetOrCreate(fleetSeries(&builder, i))
			require.NoError(t, err)
			require.True(t, created)
		}
	}
	require.Equal(t, 3000, got.Len())
	got.Remove(all)
	require.Equal(t, 3000-int(all.GetCardinality()), got.Len())
}

// TestRestorerRefuses what no index holds.
func TestRestorerRefuses(t *testing.T) {
	pair := func(r *Restorer, name, value string, series uint32) uint32 {
		p, err := r.Pair(name, value, series)
		require.NoError(t, err)
		return p
	}
	for what, do := range map[string]func(*Restorer) error{
		"no name":   func(r *Restorer) error { _, err := r.Pair("", "a", 1); return err },
		"no value":  func(r *Restorer) error { _, err := r.Pair("a", "", 1); return err },
		"no UTF-8":  func(r *Restorer) error { _, err := r.Pair("a", "\xff", 1); return err },
		"no series": func(r *Restorer) error { _, err := r.Pair("a", "b", 0); return err },
		"a pair twice": func(r *Restorer) error {
			pair(r, "a", "b", 1)
			_, err := r.Pair("a", "b", 1)
			return err
		},
		"an unknown pair": func(r *Restorer) error { _, err := r.Series([]uint32{1}); return err },
		"no labels":       func(r *Restorer) error { _, err := r.Series(nil); return err },
		"names in another order": func(r *Restorer) error {
			a, b := pair(r, "a", "1", 1), pair(r, "b", "1", 1)
			_, err := r.Series([]uint32{b, a})
			return err
		},
		"a series twice": func(r *Restorer) error {
			a := pair(r, "a", "1", 2)
			_, err := r.Series([]uint32{a})
			require.NoError(t, err)
			_, err = r.Series([]uint32{a})
			return err
		},
		"fewer series than announced": func(r *Restorer) error {
			a := pair(r, "a", "1", 2)
			_, err := r.Series([]uint32{a})
			require.NoError(t, err)
			return r.Done()
		},
		"more series than announced": func(r *Restorer) error {
			a, b, c := pair(r, "a", "1", 2), pair(r, "b", "1", 1), pair(r, "b", "2", 1)
			for _, pairs := range [][]uint32{{a}, {a, b}, {a, c}} {
				_, err := r.Series(pairs)
				require.NoError(t, err)
			}
			return r.Done()
		},
	} {
		require.Error(t, do(New(Limits{}, time.Now).Restore()), what)
	}
}
