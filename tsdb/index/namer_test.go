package index

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestNamer names series while others are removed and made, whose pairs get the numbers of old ones.
func TestNamer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := New(Limits{}, time.Now)
	n := m.Namer()
	for range 3000 {
		switch rng.IntN(3) {
		case 0:
			lset := labels.FromStrings("a", strconv.Itoa(rng.IntN(5)), "b", strconv.Itoa(rng.IntN(50)))
			if rng.IntN(3) == 0 {
				lset = labels.FromStrings("b", strconv.Itoa(rng.IntN(50)), "c", "1", "d", "2")
			}
			_, _, err := m.GetOrCreate(lset)
			require.NoError(t, err)
		case 1:
			if rng.IntN(3) == 0 {
				m.Remove(roaring.BitmapOf(rng.Uint32N(40), rng.Uint32N(40)))
			}
		}
		id := rng.Uint32N(40)
		want, there := m.Labels(id)
		got, ok := n.Labels(id)
		require.Equal(t, there, ok)
		require.True(t, labels.Equal(want, got), "%s, not %s", got, want)
	}
}
