package metric_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// TestSharesAreFair: they come to the limit and never above, nobody is starved, who has what fits keeps it with room to
// grow, and who has more gets no less.
func TestSharesAreFair(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		active := rapid.SliceOfN(rapid.Uint64Range(0, 5000), 1, 30).Draw(r, "active")
		limit := rapid.Uint64Range(0, 100_000).Draw(r, "limit")
		n := uint64(len(active))
		var have, sum uint64
		shares := metric.Divide(limit, active)
		require.Len(r, shares, len(active))
		for i, share := range shares {
			sum += share
			have += active[i]
			require.GreaterOrEqual(r, share, limit/2/n)
			for j := range shares {
				if active[i] >= active[j] {
					require.GreaterOrEqual(r, share+1, shares[j], "%v", shares) // but for what does not divide
				}
			}
		}
		require.LessOrEqual(r, sum, limit)
		require.Less(r, limit-sum, n)
		if have+n <= limit/2 {
			for i, share := range shares {
				require.Greater(r, share, active[i])
			}
		}
		for i, share := range shares {
			require.False(r, sum+n <= limit && share < active[i], "%v of %v", shares, active)
		}
	})
	assert.Nil(t, metric.Divide(10, nil))
	assert.Equal(t, []uint64{50, 50}, metric.Divide(100, []uint64{0, 0}))
	assert.Equal(t, []uint64{72, 27}, metric.Divide(100, []uint64{70, 10}), "a runaway leaves room for others")
	assert.Equal(t, []uint64{75, 25}, metric.Divide(100, []uint64{1000, 10}))
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	many := map[string]uint64{}
	for i := range 1001 {
		many["m"+strings.Repeat("x", i%100)+string(rune('a'+i/100))] = 1
	}
	for want, l := range map[string]*novacronv1.MetricLimits{
		"cluster_series": {ClusterSeries: 1 << 60},
		"no name":        {Metrics: map[string]uint64{"a b": 1}},
		"label job":      {Jobs: map[string]uint64{"": 1}},
		"at most 1000":   {Metrics: many},
		"a: 11":          {Metrics: map[string]uint64{"a": 1152921504606846976}},
	} {
		require.ErrorContains(t, metric.ValidateLimits(l), want)
	}
	require.NoError(t, metric.ValidateLimits(&novacronv1.MetricLimits{SeriesPerHost: 10, Metrics: map[string]uint64{"a": 0}}))
}
