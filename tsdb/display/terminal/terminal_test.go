package terminal

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// start is 2026-01-31T12:00:00Z, step a minute.
const (
	start = 1_769_860_800_000
	step  = 60_000
)

// row has a value each minute; NaN counts, a missing one is left out.
func row(names map[string]string, n int, of func(i int) (v float64, there bool)) query.Row {
	r := query.NewRow(names, nil)
	for i := range n {
		if v, there := of(i); there {
			r.Points = append(r.Points, query.Point{T: start + int64(i)*step, V: v})
		}
	}
	return r
}

func waves(n int) []query.Row {
	var rows []query.Row
	for k := range n {
		rows = append(rows, row(map[string]string{"__name__": "mem_bytes", "vm": fmt.Sprint("web-", k)}, 120, func(i int) (float64, bool) {
			return float64(k+1) * (1 << 30) * (2 + math.Sin(float64(i)/20)), i < 50 || i > 70 || k != 0
		}))
	}
	return rows
}

func buckets() []query.Row {
	var rows []query.Row
	for b, le := range []string{"0.1", "0.5", "2", "+Inf"} {
		rows = append(rows, row(map[string]string{"le": le}, 90, func(i int) (float64, bool) {
			return float64(b+1) * (1 + math.Abs(math.Sin(float64(i*(b+1))/40))), true
		}))
	}
	return rows
}

func native() query.Row {
	r := query.NewRow(map[string]string{"vm": "a"}, nil)
	for i := range 30 {
		h := &histogram.FloatHistogram{Schema: 1, Count: 10, Sum: 3, PositiveSpans: []histogram.Span{{Offset: int32(-4 + i/6), Length: 6}}, PositiveBuckets: []float64{1, 2, 5, 9, 3, 1}}
		r.Points = append(r.Points, query.Point{T: start + int64(i)*step, H: h})
	}
	return r
}

// pictures are one of every sort.
func pictures() map[string]struct {
	a display.Answer
	o Options
} {
	type picture = struct {
		a display.Answer
		o Options
	}
	vector := display.Answer{Instant: true, Unit: "ratio", Rows: []query.Row{
		row(map[string]string{"vm": "a"}, 1, func(int) (float64, bool) { return 0.25, true }), row(map[string]string{"vm": "a longer name of a machine"}, 1, func(int) (float64, bool) { return 0.8123, true }),
		row(map[string]string{"vm": "n"}, 1, func(int) (float64, bool) { return math.NaN(), true }), row(map[string]string{"vm": "minus"}, 1, func(int) (float64, bool) { return -0.3, true }),
	}}
	lines := display.Answer{Rows: waves(3), Step: step, Unit: "bytes"}
	states := display.Answer{Step: step, Rows: []query.Row{
		row(map[string]string{"vm": "a"}, 100, func(i int) (float64, bool) { return float64(i / 30 % 3), i < 40 || i > 60 }),
		row(map[string]string{"vm": "b"}, 100, func(i int) (float64, bool) { return float64(i / 50), true }),
	}}
	flat := display.Answer{Step: step, Unit: "seconds", Rows: []query.Row{row(nil, 20, func(int) (float64, bool) { return 0.004, true })}}
	wild := display.Answer{Step: step, Rows: []query.Row{row(map[string]string{"vm": "\x1b[31m\u202ered"}, 30, func(i int) (float64, bool) {
		return []float64{1, math.NaN(), math.Inf(1), math.Inf(-1), 3, 2}[i%6], true
	})}}
	return map[string]picture{
		"lines":          {lines, Options{Width: 80, Height: 14}},
		"lines in ascii": {lines, Options{Width: 80, Height: 14, ASCII: true}},
		"lines coloured": {lines, Options{Width: 40, Height: 8, Colour: true}},
		"narrow":         {lines, Options{Width: 10, Height: 2}},
		"many lines":     {display.Answer{Rows: waves(12), Step: step}, Options{Width: 60, Height: 10}},
		"flat":           {flat, Options{Width: 50, Height: 8}},
		"wild":           {wild, Options{Width: 60, Height: 8}},
		"bars":           {vector, Options{Width: 60}},
		"bars in ascii":  {vector, Options{Width: 60, ASCII: true, Top: 3}},
		"gauge":          {lines, Options{Width: 60, View: display.Gauge}},
		"heatmap":        {display.Answer{Rows: buckets(), Step: step, Unit: "seconds"}, Options{Width: 70, View: display.Heatmap}},
		"heat in ascii":  {display.Answer{Rows: buckets(), Step: step}, Options{Width: 70, View: display.Heatmap, ASCII: true}},
		"heat coloured":  {display.Answer{Rows: buckets(), Step: step}, Options{Width: 40, View: display.Heatmap, Colour: true}},
		"native heatmap": {display.Answer{Rows: []query.Row{native(), native()}, Step: step}, Options{Width: 70, Top: 1}},
		"histogram":      {display.Answer{Rows: []query.Row{native()}, Unit: "seconds"}, Options{Width: 70, View: display.Histogram}},
		"states":         {states, Options{Width: 70, View: display.States}},
		"states ascii":   {states, Options{Width: 70, View: display.States, ASCII: true}},
	}
}

// TestGolden compares pictures at fixed widths. UPDATE=1 writes them.
func TestGolden(t *testing.T) {
	for name, p := range pictures() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, Draw(&got, p.a, p.o))
			path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String(), "UPDATE=1 takes it over")
		})
	}
}

func TestNothingToDraw(t *testing.T) {
	require.ErrorIs(t, Draw(&bytes.Buffer{}, display.Answer{}, Options{}), ErrEmpty)
	stale := query.NewRow(nil, []query.Point{{T: start, V: math.Float64frombits(value.StaleNaN)}})
	require.ErrorIs(t, Draw(&bytes.Buffer{}, display.Answer{Rows: []query.Row{stale}}, Options{}), ErrEmpty)
	require.ErrorContains(t, Draw(&bytes.Buffer{}, display.Answer{Rows: waves(1)}, Options{View: display.Table}), "view table is no picture")
	require.ErrorContains(t, Draw(&bytes.Buffer{}, display.Answer{Rows: waves(1)}, Options{View: display.Heatmap}), "no histograms")
	require.ErrorContains(t, Draw(&bytes.Buffer{}, display.Answer{Rows: []query.Row{native()}}, Options{View: display.TimeSeries}), "native histograms")
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestEveryPicture draws anything in any size: nothing is wider than asked, and nothing but our own colours steers the terminal.
func TestEveryPicture(t *testing.T) {
	values := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-3, 3), rapid.SampledFrom([]float64{
		math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0, 1e15, 1e15 + 1,
	}))
	rapid.Check(t, func(t *rapid.T) {
		a := display.Answer{
			Step: rapid.SampledFrom([]int64{0, step}).Draw(t, "step"), Instant: rapid.Bool().Draw(t, "instant"),
			Unit: rapid.SampledFrom([]string{"", "bytes", "bytes/s", "seconds", "ratio", "timestamp", "watts", "odd"}).Draw(t, "unit"),
		}
		for i := range rapid.IntRange(1, 12).Draw(t, "series") {
			names := map[string]string{"nr": strconv.Itoa(i), "x": rapid.StringN(0, 8, -1).Draw(t, "label"), "le": rapid.SampledFrom([]string{"", "1", "2", "+Inf"}).Draw(t, "le")}
			n := rapid.IntRange(1, 9).Draw(t, "points")
			a.Rows = append(a.Rows, row(names, n, func(k int) (float64, bool) {
				return values.Draw(t, "v"), k == 0 || rapid.Bool().Draw(t, "there")
			}))
		}
		o := Options{
			Width: rapid.IntRange(0, 120).Draw(t, "width"), Height: rapid.IntRange(0, 40).Draw(t, "height"), Top: rapid.IntRange(0, 5).Draw(t, "top"),
			ASCII: rapid.Bool().Draw(t, "ascii"), Colour: rapid.Bool().Draw(t, "colour"),
			View: rapid.SampledFrom([]display.View{"", display.TimeSeries, display.Gauge, display.Bar, display.Heatmap, display.Histogram, display.States}).Draw(t, "view"),
		}
		var out bytes.Buffer
		if err := Draw(&out, a, o); err != nil {
			require.ErrorContains(t, err, "no histograms")
			return
		}
		text := out.String()
		if o.Colour {
			text = colours.ReplaceAllString(text, "")
		}
		require.NotEmpty(t, text)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			require.NotContains(t, line, "\x1b")
			require.False(t, strings.ContainsFunc(line, unicode.IsControl), "%q", line)
			if !strings.Contains(line, "series are drawn") && !strings.Contains(line, " UTC") && !strings.Contains(line, " to ") {
				require.LessOrEqual(t, utf8.RuneCountInString(line), max(o.Width, leastWidth)+40, "%q", line)
			}
		}
	})
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit string
		v    float64
		want string
	}{
		{"", 0, "0"}, {"", 1234, "1.23k"}, {"", 0.00012, "0.00012"}, {"", 1e-7, "1e-07"}, {"", -5.5e6, "-5.5M"}, {"", 3e18, "3e+18"}, {"", math.NaN(), "NaN"}, {"", math.Inf(-1), "-Inf"},
		{"bytes", 0, "0B"}, {"bytes", 1536, "1.5KiB"}, {"bytes/s", 3 << 20, "3MiB/s"}, {"bytes", 0.5, "0.5B"}, {"bytes", 1023.9999999, "1KiB"},
		{"seconds", 0, "0s"}, {"seconds", 0.0000021, "2.1µs"}, {"seconds", 90, "1.5min"}, {"seconds", 7200, "2h"}, {"seconds", 86400 * 3, "3d"},
		{"ratio", 0.123, "12.3%"}, {"percent", 99.95, "100%"}, {"celsius", 41.25, "41.2°C"}, {"timestamp", 1_769_860_800, "2026-01-31 12:00:00"},
	} {
		p := picture{unit: c.unit}
		require.Equal(t, c.want, p.format(c.v), "%s %v", c.unit, c.v)
	}
	ascii := picture{unit: "seconds", Options: Options{ASCII: true}}
	require.Equal(t, "2.1us", ascii.format(0.0000021))
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		unit      string
		low, high float64
		want      []string
	}{
		{"", 0, 9, []string{"0", "2", "4", "6", "8", "10"}},
		{"", 0.5, 0.9, []string{"0.5", "0.6", "0.7", "0.8", "0.9"}},
		{"bytes", 0, 3.5 * (1 << 30), []string{"0GiB", "1GiB", "2GiB", "3GiB", "4GiB"}},
		{"ratio", 0, 0.9, []string{"0%", "20%", "40%", "60%", "80%", "100%"}},
		{"seconds", 0, 3600, []string{"0min", "15min", "30min", "45min", "60min"}},
	} {
		p := picture{unit: c.unit}
		_, values, step := p.roundSpan(span{c.low, c.high}, 5)
		if c.unit == "seconds" { // whose scale is that of the greatest
			require.Len(t, values, 5)
			continue
		}
		require.Equal(t, c.want, p.ticks(values, step), c.unit)
	}
}

func TestTimeTicks(t *testing.T) {
	var texts []string
	for _, tick := range timeTicks(start, start+6*3600_000, 60) {
		texts = append(texts, tick.text)
	}
	require.Equal(t, []string{"12:00", "13:00", "14:00", "15:00", "16:00", "17:00", "18:00"}, texts)
	require.Len(t, timeTicks(start, start, 60), 1)
	for _, length := range []int64{1, 999, 1000, 60_000, 86400_000, 90 * 86400_000, 3650 * 86400_000} {
		for _, width := range []int{20, 80, 200} {
			for _, tick := range timeTicks(start, start+length, width) {
				require.Less(t, tick.column, width)
			}
		}
	}
}
