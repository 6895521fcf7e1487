package block

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/merge"
)

// foundBy are the ordinals that a selection finds, and how often damage was told.
func foundBy(t *testing.T, b *Block, m *labels.Matcher) (found []uint32, told int) {
	set, err := b.Select(t.Context(), []*labels.Matcher{m}, merge.All.Min, merge.All.Max)
	require.NoError(t, err)
	set.OnDamage(func(damage error) error {
		require.ErrorAs(t, damage, new(*DamageError))
		told++
		return nil
	})
	for set.Next() {
		require.True(t, m.Matches(set.Labels().Get(m.Name)), set.Labels().String())
		found = append(found, set.Ordinal())
	}
	require.NoError(t, set.Err())
	require.NoError(t, set.Close())
	return found, told
}

// TestDamagedTables turns bits in the tables by which series are found: the same series are found by their labels, but
// those whose labels are damaged, and that is told.
func TestDamagedTables(t *testing.T) {
	dir, _, _ := spoiled(t)
	whole := open(t, dir)
	series := whole.index.Len()
	var matchers []*labels.Matcher
	lset(0).Range(func(l labels.Label) {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value), labels.MustNewMatcher(labels.MatchNotRegexp, l.Name, l.Value+"|x"))
	})
	random := randomOf(4)
	for _, table := range whole.index.Lookup() {
		for range 30 {
			bad := filepath.Join(t.TempDir(), filepath.Base(dir))
			copyBlock(t, dir, bad)
			path := filepath.Join(bad, indexName)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			text[int(table.Offset)+random("byte", int(table.Size))] ^= 1 << random("bit", 8)
			require.NoError(t, os.WriteFile(path, text, 0o600))
			b := open(t, bad)
			require.ErrorContains(t, b.LookupDamage(), table.Name)
			for _, m := range matchers {
				want, told := foundBy(t, whole, m)
				require.Zero(t, told)
				got, told := foundBy(t, b, m)
				require.Positive(t, told)
				require.Subset(t, want, got)
				require.GreaterOrEqual(t, told, 1+len(want)-len(got), "of each series that is missing it is told")
				if table.Name == "postings" {
					require.Equal(t, want, got, "the labels are whole")
				}
				values, err := b.LabelValues(t.Context(), m.Name, merge.All.Min, merge.All.Max, 0)
				require.NoError(t, err)
				all, err := whole.LabelValues(t.Context(), m.Name, merge.All.Min, merge.All.Max, 0)
				require.NoError(t, err)
				require.Subset(t, all, values)
			}
			require.Equal(t, series, b.index.Len())
		}
	}
}
