package chunk

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

// TestMeasures: decimals are taken only where all processors turn them into the same integers.
func TestMeasures(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	for _, c := range []struct {
		want measure
		vs   []float64
	}{
		{0, nil},
		{0, []float64{0, -1, 1 << 53}},
		{2, []float64{1.25, 3, -0.5}},
		{1, []float64{1e14, 0.5}},
		{inBits, []float64{1e15, 0.5}},
		{inBits, []float64{1 << 63}},
		{inBits, []float64{1 << 53, 0.5}},
		{inBits, []float64{math.Copysign(0, -1)}},
		{inBits, []float64{1, stale}},
		{inBits, []float64{math.Inf(1)}},
		{15, []float64{math.Pi}},
		{inBits, []float64{0x1.23456789abcdfp-30}},
	} {
		m := measureOf(c.vs)
		require.Equal(t, c.want, m, "%v", c.vs)
		require.Equal(t, bitsOfAll(c.vs), bitsOfAll(m.values(nil, m.ints(nil, c.vs))))
	}
}

// walked are the windows of a day of a counter, or of a gauge, that moves a little in each of twenty samples.
func walked(gauge bool) Windows {
	r := newRand(7)
	var w Windows
	for v, i := 1e6, int64(0); i < 288; i++ {
		low, high, sum, first, rise := math.Inf(1), math.Inf(-1), 0.0, 0.0, 0.0
		for j := range 20 {
			before := v
			if v += float64(r.IntN(30)); gauge {
				v -= 15
			}
			if j == 0 {
				first = v
			} else if rise += v - before; v < before {
				rise += before
			}
			low, high, sum = min(low, v), max(high, v), sum+v
		}
		w.End = append(w.End, (i+1)*300_000)
		w.FirstT, w.LastT = append(w.FirstT, i*300_000+15_000+r.Int64N(5)), append(w.LastT, (i+1)*300_000-r.Int64N(5))
		w.Count, w.Sum, w.Min, w.Max = append(w.Count, 20), append(w.Sum, sum), append(w.Min, low), append(w.Max, high)
		w.First, w.Last, w.Increase = append(w.First, first), append(w.Last, v), append(w.Increase, rise)
	}
	return w
}

// TestWindowsAreSmall holds that windows take far less than their columns would by themselves.
func TestWindowsAreSmall(t *testing.T) {
	for gauge, percent := range map[bool]int{false: 60, true: 92} {
		w := walked(gauge)
		alone := 0
		for c := ColumnEnd; c < AllColumns; c <<= 1 {
			if c&timeColumns != 0 {
				alone += len(AppendTimes(nil, *w.times(c)))
			} else {
				alone += len(AppendValues(nil, *w.values(c)))
			}
		}
		together := len(AppendWindows(nil, &w))
		t.Logf("gauge %v: %d bytes, %d of each column by itself", gauge, together, alone)
		require.Less(t, 100*together, percent*alone)
	}
}

// TestRelativeWindowsRefuse what their writer does not make.
func TestRelativeWindowsRefuse(t *testing.T) {
	w := Windows{End: []int64{1, 2}, Count: []float64{1, 1}, Last: []float64{3, 4}, First: []float64{3, 4}}
	good := AppendWindows(nil, &w)
	require.NoError(t, DecodeWindows(&Windows{}, good, 2, AllColumns))
	head := func(present, relative Columns, m byte) []byte {
		src := binary.AppendUvarint([]byte{lead(formRelative)}, uint64(present))
		return append(binary.AppendUvarint(src, uint64(relative)), m)
	}
	for what, src := range map[string][]byte{
		"First without Last":     append(head(ColumnFirst, ColumnFirst, 0), 0),
		"a column that is not":   head(0, ColumnSum, 0),
		"End relative":           append(head(ColumnEnd, ColumnEnd, 0), 0),
		"an unknown measure":     head(0, 0, 23),
		"bytes of sums":          append(head(ColumnCount|ColumnSum|ColumnLast, ColumnCount|ColumnSum, 0), 0, 1, 1, 2, lead(0), 0),
		"a column cut short":     good[:len(good)-1],
		"bytes behind the last":  append(good[:len(good):len(good)], 0),
		"another set of columns": head(1<<11, 0, 0),
	} {
		require.ErrorIs(t, DecodeWindows(&Windows{}, src, 2, AllColumns), ErrCorrupt, what)
	}
}
