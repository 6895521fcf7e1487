package chunk

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// someWindows draws columns of one length, some of them empty.
func someWindows(t *rapid.T) (Windows, int) {
	var w Windows
	n := rapid.IntRange(0, 300).Draw(t, "rows")
	for c := ColumnEnd; c < AllColumns; c <<= 1 {
		switch {
		case rapid.IntRange(0, 4).Draw(t, "absent") == 0:
		case c&timeColumns != 0:
			*w.times(c) = resized(someTimes(t), n)
		default:
			*w.values(c) = resized(someValues(t), n)
		}
	}
	if len(w.First) > 0 && len(w.Last) > 0 && rapid.Bool().Draw(t, "counter") {
		w.Increase = make([]float64, n)
		for i := range w.Increase {
			if w.Increase[i] = w.Last[i] - w.First[i]; rapid.IntRange(0, 20).Draw(t, "reset") == 0 {
				w.Increase[i] = rapid.SampledFrom([]float64{0, 1, math.Copysign(0, -1), math.NaN()}).Draw(t, "increase")
			}
		}
	}
	return w, n
}

func resized[T any](xs []T, n int) []T {
	for len(xs) < n {
		var zero T
		xs = append(xs, zero)
	}
	return xs[:n]
}

func TestWindowsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, n := someWindows(t)
		asked := Columns(rapid.Uint16().Draw(t, "asked"))
		src := AppendWindows([]byte("front"), &w)[5:]
		got := Windows{End: []int64{1, 2, 3}, Increase: []float64{1}}
		require.NoError(t, DecodeWindows(&got, src, n, asked))
		for c := ColumnEnd; c < AllColumns; c <<= 1 {
			switch {
			case c&timeColumns != 0 && c&asked == 0:
				require.Empty(t, *got.times(c))
			case c&timeColumns != 0:
				require.Equal(t, append([]int64{}, *w.times(c)...), append([]int64{}, *got.times(c)...))
			case c&asked == 0:
				require.Empty(t, *got.values(c))
			default:
				require.Equal(t, bitsOfAll(*w.values(c)), bitsOfAll(*got.values(c)))
			}
		}
		require.ErrorIs(t, DecodeWindows(&got, append(src, 0), n, AllColumns), ErrCorrupt)
		require.ErrorIs(t, DecodeWindows(&got, src[:len(src)-1], n, AllColumns), ErrCorrupt)
	})
}

// A counter that never began again takes nothing for its increases.
func TestIncreaseIsSmall(t *testing.T) {
	r := newRand(5)
	var w Windows
	for v := 0.0; len(w.Last) < 288; {
		first := v
		v = round(v+r.Float64()*20, 100)
		w.First, w.Last, w.Increase = append(w.First, first), append(w.Last, v), append(w.Increase, v-first)
	}
	with := len(AppendWindows(nil, &w))
	increase := w.Increase
	w.Increase = nil
	require.Less(t, with-len(AppendWindows(nil, &w)), 20)
	w.Increase = increase
	w.Increase[7]++
	require.Less(t, len(AppendWindows(nil, &w))-with, 40)
}

func TestWindowsOfUnequalLength(t *testing.T) {
	require.PanicsWithValue(t, "chunk: a column of windows has 2 rows, those before 1", func() {
		AppendWindows(nil, &Windows{End: []int64{1}, Last: []float64{1, 2}})
	})
}

// A broken column does not keep one from reading the others.
func TestWindowsAlone(t *testing.T) {
	src := AppendWindows(nil, &Windows{End: []int64{1, 2}, Last: []float64{3, 4}, Sum: []float64{1.5, 9}})
	at := len(src) - 1 // in the last column stored, Last
	src[at-2] = 0xff
	var got Windows
	require.NoError(t, DecodeWindows(&got, src, 2, ColumnEnd|ColumnSum))
	require.Equal(t, Windows{End: []int64{1, 2}, Sum: []float64{1.5, 9}}, got)
	require.ErrorContains(t, DecodeWindows(&got, src, 2, ColumnLast), "column 7 of windows: corrupt chunk: values at byte ")
}
