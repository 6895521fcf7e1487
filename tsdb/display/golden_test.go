package display

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

const second = 1000

// start is 2026-01-31T12:00:00Z.
const start = 1_769_860_800_000

// row is a series with a value each 15 s from the start; a gap leaves one out.
func row(names map[string]string, values ...float64) query.Row {
	r := query.NewRow(names, nil)
	for i, v := range values {
		if !isGap(v) {
			r.Points = append(r.Points, query.Point{T: start + int64(i)*15*second, V: v})
		}
	}
	return r
}

func nativeHistogram(scale float64) *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		Schema: 0, ZeroThreshold: 0.001, ZeroCount: scale, Count: 6 * scale, Sum: 10 * scale,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{2 * scale, 3 * scale},
	}
}

// answers are one of every sort.
func answers() map[string]Answer {
	odd := map[string]string{"__name__": "odd", "time": "t", "value": "a \"b\",\\\n<é>", "series": "s"}
	lines := []query.Row{
		row(map[string]string{"__name__": "mem_bytes", "vm": "a"}, 1, 2.5, gap, gap, 1e21),
		row(map[string]string{"__name__": "mem_bytes", "vm": "b"}, math.NaN(), math.Inf(1), math.Inf(-1), gap, -0.000001),
		row(odd, 7, 7, 8, gap, 8),
	}
	native := query.NewRow(map[string]string{"__name__": "lat_seconds"}, []query.Point{{T: start, H: nativeHistogram(1)}, {T: start + 15*second, H: nativeHistogram(2)}})
	classic := []query.Row{
		row(map[string]string{"le": "+Inf", "vm": "a"}, 6, 7), row(map[string]string{"le": "0.1", "vm": "a"}, 1, 2),
		row(map[string]string{"le": "1", "vm": "a"}, 4, 1.5), row(map[string]string{"vm": "no bucket"}, 4),
	}
	return map[string]Answer{
		"lines":   {Rows: lines, Step: 15 * second, Unit: "bytes", Warnings: []string{"1 of 2 hosts did not answer"}, Infos: []string{"not a counter"}},
		"one":     {Rows: lines[:1], Step: 15 * second},
		"vector":  {Rows: []query.Row{row(map[string]string{"vm": "a"}, 3), row(map[string]string{"vm": "b"}, math.NaN()), row(nil, 4)}, Instant: true},
		"range":   {Rows: lines[:2], Instant: true}, // mem_bytes[1m]
		"native":  {Rows: []query.Row{native}, Step: 15 * second, Unit: "seconds"},
		"instant": {Rows: []query.Row{query.NewRow(map[string]string{"vm": "a"}, native.Points[:1])}, Instant: true},
		"classic": {Rows: classic, Step: 15 * second},
		"states":  {Rows: []query.Row{row(map[string]string{"vm": "a"}, 1, 1, 0, 0, gap, 0, 1), row(map[string]string{"vm": "b"}, gap, 1, math.NaN(), math.NaN())}, Step: 15 * second},
		"stale":   {Rows: []query.Row{query.NewRow(nil, []query.Point{{T: start, V: gap}, {T: start + 15*second, V: 1}})}, Step: 15 * second},
		"empty":   {Step: 15 * second},
	}
}

// shown are the answers that are rendered in each view.
var shown = map[View][]string{
	Auto: {"vector", "range", "native", "instant"}, TimeSeries: {"lines", "one", "stale", "empty", "native"}, Gauge: {"lines", "empty"}, Bar: {"lines", "vector", "empty"},
	Heatmap: {"native", "classic", "empty"}, Histogram: {"native", "classic", "empty"}, Table: {"lines", "native", "empty"}, States: {"states", "empty"},
}

// TestGolden compares every view of every text format with what it was, or says why there is none. UPDATE=1 writes the files.
func TestGolden(t *testing.T) {
	for _, format := range Formats() {
		if format == string(Parquet) {
			continue // is no text: see TestParquet
		}
		t.Run(format, func(t *testing.T) {
			var all bytes.Buffer
			for _, view := range Views() {
				for _, name := range shown[View(view)] {
					fmt.Fprintf(&all, "== %s, view %s\n", name, view)
					var out bytes.Buffer
					err := Render(&out, answers()[name], Options{Format: Format(format), View: View(view), Top: 2})
					if err != nil {
						require.Zero(t, out.Len(), "bytes before the error")
						fmt.Fprintf(&out, "error: %v\n", err)
					} else if !strings.HasPrefix(format, "csv") {
						require.True(t, json.Valid(out.Bytes()), "%s", out.String())
					}
					all.Write(out.Bytes())
				}
			}
			compare(t, format+".txt", all.Bytes())
		})
	}
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "UPDATE=1 takes it over")
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		`format: "gif" is none: use prometheus`:            {Format: "gif"},
		`view: "pie" is none: use auto, timeseries`:        {Format: CSV, View: "pie"},
		"max_points: 3: allowed are 0 (all) and 4 or more": {Format: CSV, MaxPoints: 3},
		"top: -1": {Format: CSV, Top: -1},
		"csv-wide has no view gauge: it has timeseries; gauge is in":      {Format: CSVWide, View: Gauge},
		"prometheus has no view state: it has timeseries, table, gauge, ": {Format: Prometheus, View: States},
	} {
		require.ErrorContains(t, o.Check(), want)
		require.ErrorContains(t, Render(&bytes.Buffer{}, Answer{}, o), want)
	}
	for _, format := range Formats() {
		require.NotEmpty(t, Format(format).ContentType())
		require.NotNil(t, renderers[Format(format)])
		for _, view := range append(views[Format(format)], "", Auto) {
			require.NoError(t, Options{Format: Format(format), View: view}.Check())
		}
	}
}

// TestWriterFails has every format give the error of its writer.
func TestWriterFails(t *testing.T) {
	many := make([]float64, 5000)
	for _, format := range Formats() {
		for room := range 2 {
			err := Render(&full{room: room * 100}, Answer{Rows: []query.Row{row(nil, many...)}}, Options{Format: Format(format)})
			require.ErrorIs(t, err, errFull, format)
		}
	}
}

var errFull = fmt.Errorf("full")

type full struct{ room int }

func (w *full) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestName(t *testing.T) {
	require.Equal(t, `up{a="1", b="\""}`, Name(labels.FromStrings("__name__", "up", "a", "1", "b", `"`)))
	require.Equal(t, "up", Name(labels.FromStrings("__name__", "up")))
	require.Equal(t, "{}", Name(labels.EmptyLabels()))
	require.Equal(t, []string{"a", "label_label_time", "label_time"}, columnNames([]string{"time", "value"}, []string{"a", "time", "label_time"}))
}
