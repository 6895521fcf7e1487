package chunk_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
)

// grow appends samples, moving the chunk to larger buffers with junk in them. Repeat, asked first, changes no byte.
func grow(t require.TestingT, ts []int64, vs []float64) []byte {
	data := growWith(t, ts, vs, func(*chunk.XOR, int, int64, float64) bool { return false })
	require.Equal(t, data, growWith(t, ts, vs, (*chunk.XOR).Repeat))
	return data
}

func growWith(t require.TestingT, ts []int64, vs []float64, repeat func(x *chunk.XOR, size int, t int64, v float64) bool) []byte {
	var x chunk.XOR
	buf := make([]byte, 40)
	for i := range ts {
		if repeat(&x, len(buf), ts[i], vs[i]) {
			continue
		}
		for !x.Append(buf, ts[i], vs[i]) {
			larger := make([]byte, len(buf)*2)
			for j := range larger {
				larger[j] = 0xA5
			}
			copy(larger, buf)
			buf = larger
		}
	}
	require.Equal(t, len(ts), x.Len())
	data := x.AppendTo(nil, buf)
	require.Len(t, data, x.Size())
	return data
}

func TestXORKeepsEveryBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		ts, vs := make([]int64, n), make([]float64, n)
		at := rapid.Int64Range(-1<<60, 1<<60).Draw(t, "start")
		for i := range n {
			ts[i] = at
			at += rapid.OneOf(rapid.Just(int64(15_000)), rapid.Int64Range(14_990, 15_010), rapid.Int64Range(1, 1<<50)).Draw(t, "step")
			vs[i] = math.Float64frombits(rapid.OneOf(
				rapid.Just(math.Float64bits(1)), rapid.Uint64(), rapid.Just(uint64(0x7ff0000000000002)),
				rapid.Map(rapid.IntRange(0, 1000), func(i int) uint64 { return math.Float64bits(float64(i)) }),
			).Draw(t, "value"))
		}
		data := grow(t, ts, vs)
		gotT, gotV, err := chunk.DecodeXOR(nil, nil, data)
		require.NoError(t, err)
		require.Equal(t, ts, gotT)
		require.Len(t, gotV, n)
		for i := range vs {
			require.Equal(t, math.Float64bits(vs[i]), math.Float64bits(gotV[i]))
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		_, _, err = chunk.DecodeXOR(nil, nil, data[:cut])
		require.Error(t, err)
	})
}

func FuzzDecodeXOR(f *testing.F) {
	f.Add(grow(f, []int64{1, 16, 31}, []float64{1, 2.5, math.NaN()}))
	f.Fuzz(func(t *testing.T, src []byte) {
		ts, vs, err := chunk.DecodeXOR(nil, nil, src)
		require.Len(t, vs, len(ts))
		if err == nil {
			require.LessOrEqual(t, len(ts), len(src)*4)
		}
	})
}

// series makes n samples 15 s apart with a little jitter: a counter that grows by whole numbers.
func series(n int) ([]int64, []float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	ts, vs := make([]int64, n), make([]float64, n)
	sum := 1e6
	for i := range n {
		ts[i] = 1_700_000_000_000 + int64(i)*15_000 + rng.Int64N(5)
		sum += float64(rng.IntN(1000))
		vs[i] = sum
	}
	return ts, vs
}

func BenchmarkXORAppend(b *testing.B) {
	ts, vs := series(120)
	buf := make([]byte, 4096)
	for b.Loop() {
		var x chunk.XOR
		for i := range ts {
			x.Append(buf, ts[i], vs[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ts)), "ns/sample")
}

func BenchmarkXORDecode(b *testing.B) {
	ts, vs := series(120)
	data := grow(b, ts, vs)
	b.ReportMetric(float64(len(data))/float64(len(ts)), "bytes/sample")
	for b.Loop() {
		gotT, _, err := chunk.DecodeXOR(ts[:0], vs[:0], data)
		if err != nil || len(gotT) != 120 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ts)), "ns/sample")
}

// BenchmarkXORDecodeEvents decodes chunks of counters that rise in one scrape of four, as most counters do.
func BenchmarkXORDecodeEvents(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	chunks := make([][]byte, 500)
	var ts []int64
	var vs []float64
	for i := range chunks {
		ts, vs = ts[:0], vs[:0]
		value := float64(rng.IntN(1e6))
		for j := range int64(120) {
			ts = append(ts, 1_700_000_000_000+j*15_000+rng.Int64N(5))
			if rng.IntN(4) == 0 {
				value += float64(rng.IntN(50))
			}
			vs = append(vs, value)
		}
		chunks[i] = grow(b, ts, vs)
	}
	for b.Loop() {
		for _, c := range chunks {
			if _, _, err := chunk.DecodeXOR(ts[:0], vs[:0], c); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(chunks)*120), "ns/sample")
}
