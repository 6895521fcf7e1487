package index

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestRefsWhileOthersComeAndGo: what still is the series that was found has the labels that were asked for, and stands
// in their order.
func TestRefsWhileOthersComeAndGo(t *testing.T) {
	m := New(Limits{}, time.Now)
	churn := func(rng *rand.Rand) {
		lset := labels.FromStrings("even", strconv.FormatBool(rng.IntN(2) == 0), "n", strconv.Itoa(rng.IntN(200)))
		_, _, err := m.GetOrCreate(lset)
		require.NoError(t, err)
		m.Remove(roaring.BitmapOf(rng.Uint32N(60), rng.Uint32N(60)))
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for rng := rand.New(rand.NewPCG(1, 2)); ; {
			select {
			case <-stop:
				return
			default:
				churn(rng)
			}
		}
	})
	defer others.Wait()
	defer close(stop)
	even := labels.MustNewMatcher(labels.MatchEqual, "even", "true")
	for range 3000 {
		refs, err := m.Refs(t.Context(), true, even)
		require.NoError(t, err)
		before := labels.EmptyLabels()
		for _, r := range refs {
			lset, ok := m.Labels(r.ID)
			if !ok || m.Generation(r.ID) != r.Generation {
				continue // it is gone by now
			}
			require.Equal(t, "true", lset.Get("even"))
			require.Negative(t, labels.Compare(before, lset), "%s before %s", before, lset)
			before = lset
		}
	}
}
