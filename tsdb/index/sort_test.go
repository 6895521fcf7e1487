package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestSortIsLabelsCompare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 30, fewEntries, 5000} {
		m := New(Limits{}, time.Now)
		all := roaring.New()
		for m.Len() < n {
			builder := labels.NewScratchBuilder(4)
			for _, name := range []string{"a", "ab", "b", "c"} {
				if random.IntN(3) > 0 {
					builder.Add(name, fmt.Sprint("v", random.IntN(60)))
				}
			}
			if lset := builder.Labels(); !lset.IsEmpty() {
				id, _, err := m.GetOrCreate(lset)
				require.NoError(t, err)
				all.Add(id)
			}
		}
		all.Add(uint32(n) + 7) // names no series
		sorted := m.Sort(all)
		require.Len(t, sorted, n)
		for i := 1; i < n; i++ {
			before, _ := m.Labels(sorted[i-1])
			after, _ := m.Labels(sorted[i])
			require.Negative(t, labels.Compare(before, after), "%v and %v", before, after)
		}
	}
}
