package chunk

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden file of this version of the format anew")

const goldenFile = "testdata/v1.golden"

// goldenCase is a column whose bytes must never change, nor what they mean.
type goldenCase struct {
	name string
	// old is what is only read: forms that are no longer written, and zstd frames, which are another library's.
	old    bool
	encode func() []byte
	check  func(t *testing.T, src []byte)
}

// old are the columns that the second version packs into fewer bytes.
var old = map[string]bool{"values aside": true, "values near": true}

func goldenValues(name string, vs []float64, form func([]byte, []float64, *scratch) []byte) goldenCase {
	return goldenCase{name, strings.Contains(name, "zstd") || old[name], func() []byte { return form(nil, vs, new(scratch)) }, func(t *testing.T, src []byte) {
		got, err := DecodeValues(nil, src, len(vs))
		require.NoError(t, err)
		require.Equal(t, bitsOfAll(vs), bitsOfAll(got))
	}}
}

func goldenTimes(name string, ts []int64) goldenCase {
	return goldenCase{name, false, func() []byte { return AppendTimes(nil, ts) }, func(t *testing.T, src []byte) {
		got, err := DecodeTimes(nil, src, len(ts))
		require.NoError(t, err)
		require.Equal(t, ts, append([]int64{}, got...))
	}}
}

func goldenWindows(name string, old bool, w Windows) goldenCase {
	return goldenCase{name, old, func() []byte { return AppendWindows(nil, &w) }, func(t *testing.T, src []byte) {
		var got Windows
		require.NoError(t, DecodeWindows(&got, src, len(w.End), AllColumns))
		require.Equal(t, w, got)
	}}
}

// sequence is n numbers of a function.
func sequence[T any](n int, f func(i int) T) []T {
	xs := make([]T, n)
	for i := range xs {
		xs[i] = f(i)
	}
	return xs
}

func goldenCases() []goldenCase {
	plain := func(dst []byte, vs []float64, _ *scratch) []byte { return AppendValues(dst, vs) }
	stale, odd := math.Float64frombits(value.StaleNaN), math.Float64frombits(0x7ff8000000abcdef)
	hs := []*histogram.Histogram{
		{Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 7, Sum: 3.5, PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{4, -2}},
		{Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 9, Sum: 4.5, PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{6, -4}},
		{Sum: stale},
		{
			CounterResetHint: histogram.GaugeType, Schema: histogram.CustomBucketsSchema, Count: 5, Sum: 1,
			PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{2, 1}, CustomValues: []float64{0.5, 10},
		},
	}
	floats := sequence(len(hs), func(i int) *histogram.FloatHistogram { return hs[i].ToFloat(nil) })
	windows := Windows{End: []int64{300_000, 600_000}, FirstT: []int64{15_003, 315_001}, Count: []float64{20, 20}, Last: []float64{7.5, 8.25}}
	return []goldenCase{
		goldenTimes("times none", []int64{}),
		goldenTimes("times one", []int64{-5}),
		goldenTimes("times beat", sequence(100, func(i int) int64 { return 1_700_000_000_000 + int64(i)*15_000 })),
		goldenTimes("times late", sequence(100, func(i int) int64 { return 1_700_000_000_000 + int64(i)*15_000 + int64(i*i%7) })),
		goldenTimes("times gap", sequence(100, func(i int) int64 { return int64(i)*15_000 + int64(i*i%7) + int64(i/70)*1_000_000 })),
		goldenTimes("times twice", sequence(80, func(i int) int64 { return int64(i*i*i*1000 + i*i%3) })),
		goldenValues("values none", nil, plain),
		goldenValues("values constant", []float64{1.5, 1.5}, plain),
		goldenValues("values decimal", sequence(80, func(i int) float64 { return float64(i*i%97) / 100 }), plain),
		goldenValues("values factor", sequence(80, func(i int) float64 { return float64(4096 * (i * i % 97)) }), plain),
		goldenValues("values aside", []float64{1, 2.5, stale, stale, 3, odd, odd, math.Float64frombits(value.NormalNaN), math.Inf(1), 9, math.Copysign(0, -1), 4, 4, 4, 4, 4}, plain),
		goldenValues("values exceptions", sequence(70, func(i int) float64 { return float64(i) + 1000*float64(i/40) }), plain),
		goldenValues("values zstd integers", sequence(480, func(i int) float64 { return float64(i % 12 * (i % 12) * 31) }), plain),
		goldenValues("values xor", []float64{math.Pi, math.Pi, math.E, 1, 0, math.E}, appendXOR),
		goldenValues("values bits", []float64{math.Pi, math.Pi, math.E, odd}, appendBits),
		goldenValues("values zstd", []float64{math.Pi, math.Pi, math.E, odd}, appendZstd),
		goldenValues("values aside 2", []float64{1, 2.5, stale, stale, 3, odd, odd, math.Float64frombits(value.NormalNaN), math.Inf(1), 9, math.Copysign(0, -1), 4, 4, 4, 4, 4}, plain),
		goldenValues("values sparse", sequence(150, func(i int) float64 { return float64(i / 3 * (i / 3) % 1000) }), plain),
		goldenValues("values sparse exceptions", sequence(150, func(i int) float64 { return float64(i/3 + i/60*100_000) }), plain),
		goldenValues("values near", sequence(70, func(i int) float64 { return 0.1*float64(i) + 0.7 }), appendNear),
		{"histograms", false, func() []byte { return AppendHistograms(nil, hs) }, func(t *testing.T, src []byte) {
			got, err := DecodeHistograms(nil, src, len(hs))
			require.NoError(t, err)
			require.Equal(t, images(hs, imageOf), images(got, imageOf))
		}},
		{"float histograms", false, func() []byte { return AppendFloatHistograms(nil, floats) }, func(t *testing.T, src []byte) {
			got, err := DecodeFloatHistograms(nil, src, len(hs))
			require.NoError(t, err)
			require.Equal(t, images(floats, imageOfFloat), images(got, imageOfFloat))
		}},
		{"starts", false, func() []byte { return AppendStarts(nil, []int64{0, 5, 5, 1_700_000_000_000}) }, func(t *testing.T, src []byte) {
			got, rest, err := DecodeStarts(nil, append(src, 9), 4)
			require.NoError(t, err)
			require.Equal(t, []int64{0, 5, 5, 1_700_000_000_000}, got)
			require.Equal(t, []byte{9}, rest)
		}},
		goldenWindows("windows", true, windows),
		goldenWindows("windows relative", false, windows),
		goldenWindows("windows of a counter", false, Windows{
			End: []int64{300_000, 600_000, 900_000}, FirstT: []int64{15_003, 315_001, 615_000}, LastT: []int64{299_999, 600_000, 885_004},
			Count: []float64{20, 20, 19}, Sum: []float64{25.5, 60, 52.25}, Min: []float64{1.25, 2.5, 0.5}, Max: []float64{2.25, 3.5, 4},
			Last: []float64{2.25, 3.5, 2.75}, First: []float64{1.25, 2.5, 4}, Increase: []float64{1, 1, 2.25},
		}),
		goldenWindows("windows of a constant", false, Windows{
			End: []int64{300_000, 600_000}, FirstT: []int64{15_003, 315_001}, LastT: []int64{299_999, 600_000}, Count: []float64{20, 19}, Sum: []float64{40, 38},
			Min: []float64{2, 2}, Max: []float64{2, 2}, Last: []float64{2, 2}, First: []float64{2, 2}, Increase: []float64{0, 0},
		}),
		goldenWindows("windows in bits", false, Windows{
			End: []int64{300_000, 600_000}, Min: []float64{1 / 3.0, 2 / 3.0}, Last: []float64{1 / 3.0, 2 / 3.0}, First: []float64{1 / 3.0, math.Nextafter(1/3.0, 0)},
		}),
	}
}

// TestGolden holds the format: what was written once is read, and written again in the same bytes.
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	golden := readGolden(t)
	for _, c := range goldenCases() {
		t.Run(c.name, func(t *testing.T) {
			src, ok := golden[c.name]
			require.True(t, ok, "not in %s", goldenFile)
			c.check(t, src)
			if !c.old {
				require.Equal(t, hex.EncodeToString(src), hex.EncodeToString(c.encode()))
			}
		})
	}
	require.Len(t, golden, len(goldenCases()))
}

func writeGolden(t *testing.T) {
	kept := readGolden(t)
	var text strings.Builder
	for _, c := range goldenCases() {
		src := kept[c.name]
		if src == nil || !c.old {
			src = c.encode()
		}
		fmt.Fprintf(&text, "%s: %x\n", c.name, src)
	}
	require.NoError(t, os.WriteFile(goldenFile, []byte(text.String()), 0o600))
}

func readGolden(t testing.TB) map[string][]byte {
	f, err := os.Open(goldenFile)
	require.NoError(t, err)
	defer f.Close()
	golden := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), ": ")
		golden[name], err = hex.DecodeString(text)
		require.NoError(t, err)
	}
	return golden
}

// TestFormsAreChosen shows that each form is the smallest for something.
func TestFormsAreChosen(t *testing.T) {
	r := newRand(3)
	for form, vs := range map[byte][]float64{
		formConstant: {1.1, 1.1},
		formDecimal:  sequence(100, func(i int) float64 { return float64(r.IntN(1000)) / 10 }),
		formXOR: sequence(200, func(i int) float64 {
			return math.Float64frombits(0x3ff3b2a1c0ffee00 + uint64(i/7)*uint64(0x0001234567891000)*uint64(i/7%3))
		}),
		formBits: sequence(200, func(int) float64 { return 100 + r.Float64() }),
		formZstd: sequence(200, func(i int) float64 { return []float64{math.Pi, math.E, 1 / 3.0, 1 / 7.0}[r.IntN(4)] }),
		formNear: walk(r, 200, 0, func(v float64) float64 { return v + float64(r.IntN(300))/100 }),
	} {
		require.Equal(t, form, AppendValues(nil, vs)[0]&15, "form %d", form)
	}
	src := AppendValues(nil, sequence(480, func(i int) float64 { return float64(i % 12 * (i % 12) * 31) }))
	require.Equal(t, byte(flagZstd), src[2]&flagZstd, "integers in a zstd frame")
}
