package chunk

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"
)

// Decoders must neither panic nor take more room than they should, whatever they read; and what they can read must
// survive being written and read again.

// fuzzedCount keeps n near what a chunk may have, so that its check is met, too.
func fuzzedCount(n uint16) int { return int(n) % 2000 }

func FuzzTimes(f *testing.F) {
	for _, ts := range [][]int64{nil, {1}, {1, 2, 3}, {math.MinInt64, math.MaxInt64, 0}, beat(newRand(1), 200, 9)} {
		f.Add(AppendTimes(nil, ts), uint16(len(ts)))
	}
	f.Fuzz(func(t *testing.T, src []byte, count uint16) {
		n := fuzzedCount(count)
		ts, err := DecodeTimes(nil, src, n)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Len(t, ts, n)
		again, err := DecodeTimes(nil, AppendTimes(nil, ts), n)
		require.NoError(t, err)
		require.Equal(t, ts, again)
	})
}

func FuzzStarts(f *testing.F) {
	for _, starts := range [][]int64{nil, {1}, {7, 7, 7}, {0, math.MaxInt64, 0}} {
		f.Add(append(AppendStarts(nil, starts), "what follows"...), uint16(len(starts)))
	}
	f.Fuzz(func(t *testing.T, src []byte, count uint16) {
		n := fuzzedCount(count)
		starts, rest, err := DecodeStarts(nil, src, n)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Len(t, starts, n)
		require.LessOrEqual(t, len(rest), len(src))
		again, rest, err := DecodeStarts(nil, AppendStarts(nil, starts), n)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, starts, again)
	})
}

func FuzzValues(f *testing.F) {
	for i, w := range workloads() {
		vs := w.make(newRand(uint64(i)), 150)
		f.Add(AppendValues(nil, vs), uint16(len(vs)))
		vs[7], vs[50] = math.NaN(), math.Copysign(0, -1)
		f.Add(AppendValues(nil, vs), uint16(len(vs)))
		s := new(scratch)
		f.Add(appendXOR(nil, vs, s), uint16(len(vs)))
		f.Add(appendBits(nil, vs, s), uint16(len(vs)))
		f.Add(appendZstd(nil, vs, s), uint16(len(vs)))
		f.Add(appendNear(nil, vs, s), uint16(len(vs)))
	}
	f.Fuzz(func(t *testing.T, src []byte, count uint16) {
		n := fuzzedCount(count)
		vs, err := DecodeValues(nil, src, n)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Len(t, vs, n)
		again, err := DecodeValues(nil, AppendValues(nil, vs), n)
		require.NoError(t, err)
		require.Equal(t, bitsOfAll(vs), bitsOfAll(again))
	})
}

// FuzzEncode takes values rather than bytes of a column.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint8(0))
	f.Fuzz(func(t *testing.T, raw []byte, form uint8) {
		var vs []float64
		for ; len(raw) >= 8; raw = raw[8:] {
			in := input{b: raw}
			vs = append(vs, math.Float64frombits(in.uint64()))
		}
		if len(vs) == 0 {
			return
		}
		s := new(scratch)
		src := [...]func([]byte, []float64, *scratch) []byte{
			func(dst []byte, vs []float64, _ *scratch) []byte { return AppendValues(dst, vs) }, appendXOR, appendBits, appendZstd,
		}[form%4](nil, vs, s)
		got, err := DecodeValues(nil, src, len(vs))
		require.NoError(t, err)
		require.Equal(t, bitsOfAll(vs), bitsOfAll(got))
	})
}

func FuzzHistograms(f *testing.F) {
	hs := filling(20, 5)
	f.Add(AppendHistograms(nil, hs), uint16(len(hs)))
	hs = append(hs, &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{1, 2}})
	f.Add(AppendHistograms(nil, hs), uint16(len(hs)))
	f.Fuzz(func(t *testing.T, src []byte, count uint16) {
		n := fuzzedCount(count) % 200
		hs, err := DecodeHistograms(nil, src, n)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Len(t, hs, n)
		again, err := DecodeHistograms(nil, AppendHistograms(nil, hs), n)
		require.NoError(t, err)
		require.Equal(t, images(hs, imageOf), images(again, imageOf))
	})
}

func FuzzFloatHistograms(f *testing.F) {
	var hs []*histogram.FloatHistogram
	for _, h := range filling(20, 5) {
		hs = append(hs, h.ToFloat(nil))
	}
	f.Add(AppendFloatHistograms(nil, hs), uint16(len(hs)))
	f.Fuzz(func(t *testing.T, src []byte, count uint16) {
		n := fuzzedCount(count) % 200
		hs, err := DecodeFloatHistograms(nil, src, n)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Len(t, hs, n)
		again, err := DecodeFloatHistograms(nil, AppendFloatHistograms(nil, hs), n)
		require.NoError(t, err)
		require.Equal(t, images(hs, imageOfFloat), images(again, imageOfFloat))
	})
}

func FuzzWindows(f *testing.F) {
	f.Add(AppendWindows(nil, &Windows{End: []int64{1, 2}, Last: []float64{3, 4}, Sum: []float64{1.5, 9}}), uint16(2), uint16(AllColumns))
	for _, c := range goldenCases() { // both forms
		if strings.HasPrefix(c.name, "windows") {
			f.Add(readGoldenOf(f, c.name), uint16(2), uint16(AllColumns))
			f.Add(readGoldenOf(f, c.name), uint16(3), uint16(AllColumns))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, count, columns uint16) {
		n := fuzzedCount(count)
		var w, again Windows
		if err := DecodeWindows(&w, src, n, Columns(columns)); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		if n == 0 {
			return
		}
		require.NoError(t, DecodeWindows(&again, AppendWindows(nil, &w), n, Columns(columns)))
		for c := ColumnEnd; c < AllColumns; c <<= 1 {
			if c&timeColumns != 0 {
				require.Equal(t, append([]int64{}, *w.times(c)...), append([]int64{}, *again.times(c)...))
			} else {
				require.Equal(t, bitsOfAll(*w.values(c)), bitsOfAll(*again.values(c)))
			}
		}
	})
}

// readGoldenOf is the bytes of a golden case.
func readGoldenOf(tb testing.TB, name string) []byte { return readGolden(tb)[name] }
