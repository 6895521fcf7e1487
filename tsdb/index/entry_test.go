package index

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestEntry holds that an entry read alone is the one read with the labels.
func TestEntry(t *testing.T) {
	sets := sortedSets([]labels.Labels{
		labels.FromStrings("__name__", "a"), labels.FromStrings("__name__", "a", "b", "c"), labels.FromStrings("b", "c", "d", "e", "f", "g"),
	})
	r, err := Open(fileOf(t, t.TempDir(), sets))
	require.NoError(t, err)
	for i, lset := range sets {
		entry, err := r.Entry(uint32(i), []byte("entry "))
		require.NoError(t, err)
		require.Equal(t, "entry "+lset.String(), string(entry))
	}
	_, err = r.Entry(3, nil)
	require.ErrorIs(t, err, ErrCorrupt)
}
