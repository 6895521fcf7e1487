package chunk

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// someTimes draws times of one of many kinds, with gaps.
func someTimes(t *rapid.T) []int64 {
	n := rapid.IntRange(0, 600).Draw(t, "n")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	var ts []int64
	switch rapid.SampledFrom([]string{"beat", "late", "any", "bounds"}).Draw(t, "kind") {
	case "beat":
		ts = beat(r, n, 0)
	case "late":
		ts = beat(r, n, 1<<r.IntN(16))
	case "any":
		for range n {
			ts = append(ts, int64(r.Uint64())>>r.IntN(64))
		}
	case "bounds":
		for range n {
			ts = append(ts, []int64{math.MinInt64, math.MaxInt64, 0, -1, 1}[r.IntN(5)])
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "gaps") {
		gap := int64(r.Uint64()) >> r.IntN(64)
		for i := r.IntN(n + 1); i < n; i++ {
			ts[i] += gap
		}
	}
	return ts
}

func TestTimesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := someTimes(t)
		src := AppendTimes([]byte("front"), ts)
		require.Equal(t, "front", string(src[:5]))
		got, err := DecodeTimes([]int64{42}, src[5:], len(ts))
		require.NoError(t, err)
		require.Equal(t, append([]int64{42}, ts...), got)
		for _, cut := range [][]byte{src[5 : len(src)-1], append(src[5:], 0)} {
			got, err = DecodeTimes([]int64{42}, cut, len(ts))
			require.ErrorIs(t, err, ErrCorrupt)
			require.Equal(t, []int64{42}, got)
		}
	})
}

func TestTimesAreSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		late int64
		gap  bool
		most int
	}{
		{0, false, 12},
		{0, true, 80},
		{3, false, 480*2/8 + 40},
		{3, true, 480*3/8 + 40},
		{15, false, 480*4/8 + 40},
	} {
		ts := beat(r, 480, c.late)
		if c.gap {
			for i := 200; i < len(ts); i++ {
				ts[i] += 150_000
			}
		}
		require.LessOrEqual(t, len(AppendTimes(nil, ts)), c.most, "%+v", c)
	}
}

func TestTooMany(t *testing.T) {
	require.Panics(t, func() { AppendTimes(nil, make([]int64, MaxSamples+1)) })
	require.Panics(t, func() { AppendValues(nil, make([]float64, MaxSamples+1)) })
	for _, n := range []int{-1, MaxSamples + 1} {
		_, err := DecodeTimes(nil, AppendTimes(nil, []int64{1}), n)
		require.ErrorIs(t, err, ErrCorrupt)
		_, err = DecodeValues(nil, AppendValues(nil, []float64{1}), n)
		require.ErrorIs(t, err, ErrCorrupt)
	}
	most := make([]float64, MaxSamples)
	for i := range most {
		most[i] = float64(i * i % 1000)
	}
	got, err := DecodeValues(nil, AppendValues(nil, most), MaxSamples)
	require.NoError(t, err)
	require.Equal(t, most, got)
}
