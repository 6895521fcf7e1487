package index

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// someMatchers are all patterns for each of two labels.
func someMatchers() (matchers []*labels.Matcher) {
	for _, name := range []string{"a", "b"} {
		for _, value := range someValues {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, value), labels.MustNewMatcher(labels.MatchNotEqual, name, value))
		}
		for _, pattern := range somePatterns {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, name, pattern), labels.MustNewMatcher(labels.MatchNotRegexp, name, pattern))
		}
	}
	return matchers
}

// TestManySeriesLikeAScan has values with many series, so that their ids are bitmaps, and lists again as series leave.
func TestManySeriesLikeAScan(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	m := New(Limits{}, time.Now)
	live := map[uint32]labels.Labels{}
	matchers := someMatchers()
	for _, size := range []int{9000, 2500, 6000, 300, 0} {
		for len(live) < size {
			lset := randomLabels(random)
			id, _, err := m.GetOrCreate(lset)
			require.NoError(t, err)
			live[id] = lset
		}
		leave := roaring.New()
		for id := range live {
			if len(live) > size {
				leave.Add(id)
				delete(live, id)
			}
		}
		m.Remove(leave)
		require.Equal(t, size, m.Len())
		sets := make([]labels.Labels, 0, size)
		for _, lset := range live {
			sets = append(sets, lset)
		}
		onDisk := map[uint32]labels.Labels{}
		for i, lset := range sortedSets(sets) {
			onDisk[uint32(i)] = lset
		}
		r, err := Open(fileOf(t, t.TempDir(), sets))
		require.NoError(t, err)
		for i, one := range matchers {
			both := []*labels.Matcher{one, matchers[(i*31+7)%len(matchers)]}
			found, err := m.Select(t.Context(), both...)
			require.NoError(t, err)
			require.True(t, naive(live, both).Equals(found), "memory, %d series: %v", size, both)
			found, err = r.Select(t.Context(), both...)
			require.NoError(t, err)
			require.True(t, naive(onDisk, both).Equals(found), "file, %d series: %v", size, both)
		}
	}
	require.Zero(t, m.dict.live)
}

func randomLabels(random *rand.Rand) labels.Labels {
	builder := labels.NewScratchBuilder(3)
	for _, name := range []string{"a", "b"} {
		if value := someValues[random.IntN(len(someValues))]; value != "" {
			builder.Add(name, value)
		}
	}
	builder.Add("i", string(rune('a'+random.IntN(26)))+string(rune('a'+random.IntN(26)))+string(rune('a'+random.IntN(26))))
	return builder.Labels()
}
