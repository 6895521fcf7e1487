package display

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// randomAnswer has series of floats with the same grid of times, gaps, and every sort of value.
func randomAnswer(most int) *rapid.Generator[Answer] {
	return rapid.Custom(func(t *rapid.T) Answer {
		a := Answer{Step: 15 * second}
		points := rapid.IntRange(1, most).Draw(t, "points")
		for i := range rapid.IntRange(0, 4).Draw(t, "series") {
			names := rapid.MapOfN(rapid.SampledFrom([]string{"__name__", "a", "time", "value", "series", "label_time", "le"}),
				rapid.StringMatching(`[a-z"\\ {}=,\n<>é]{1,5}`), 0, 4).Draw(t, "labels")
			names["nr"] = strconv.Itoa(i)
			r := query.NewRow(names, nil)
			for k := range points {
				if v := rapid.OneOf(rapid.Float64Range(-5, 5), rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), gap, math.Inf(1), math.Inf(-1), 0})).Draw(t, "v"); !isGap(v) {
					r.Points = append(r.Points, query.Point{T: start + int64(k)*15*second, V: v})
				}
			}
			a.Rows = append(a.Rows, r)
		}
		return a
	})
}

func rendered(t require.TestingT, a Answer, o Options) []byte {
	var out bytes.Buffer
	require.NoError(t, Render(&out, a, o))
	return out.Bytes()
}

// samePoints compares values as such: NaN is NaN.
func samePoints(t require.TestingT, want, got []query.Point) {
	require.Len(t, got, len(want))
	for i, p := range want {
		require.Equal(t, p.T, got[i].T)
		if !math.IsNaN(p.V) || !math.IsNaN(got[i].V) {
			require.Equal(t, p.V, got[i].V, "at %d", p.T)
		}
	}
}

// TestPrometheusReads has Prometheus's own types read the matrix.
func TestPrometheusReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(20).Draw(t, "answer"))
		var got struct {
			Data struct {
				ResultType string
				Result     model.Matrix
			}
		}
		require.NoError(t, json.Unmarshal(rendered(t, a, Options{Format: Prometheus}), &got))
		require.Equal(t, "matrix", got.Data.ResultType)
		require.Len(t, got.Data.Result, len(a.Rows))
		for i, r := range a.Rows {
			names := map[string]string{}
			for name, value := range got.Data.Result[i].Metric {
				names[string(name)] = string(value)
			}
			require.Equal(t, r.Labels.Map(), names)
			var points []query.Point
			for _, p := range got.Data.Result[i].Values {
				points = append(points, query.Point{T: int64(p.Timestamp), V: float64(p.Value)})
			}
			samePoints(t, r.Points, points)
		}
	})
}

// TestColumnsRead has uPlot's columns, ECharts' rows, Grafana's fields and wide CSV say the same.
func TestColumnsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(20).Draw(t, "answer"))
		want := align(a.Rows, a.Step)
		require.True(t, slices.IsSorted(want.times))
		require.Len(t, slices.Compact(slices.Clone(want.times)), len(want.times))
		for i, r := range a.Rows { // no value is lost, and none is made
			var back []query.Point
			for k, v := range want.series[i].values {
				if !isGap(v) {
					back = append(back, query.Point{T: want.times[k], V: v})
				}
			}
			samePoints(t, r.Points, back)
		}

		var chart struct{ Data [][]*float64 }
		require.NoError(t, json.Unmarshal(rendered(t, a, Options{Format: UPlot}), &chart))
		require.Len(t, chart.Data, len(a.Rows)+1)
		var set struct{ Dataset struct{ Source [][]*float64 } }
		require.NoError(t, json.Unmarshal(rendered(t, a, Options{Format: ECharts}), &set))
		require.Len(t, set.Dataset.Source, len(want.times))
		for k, at := range want.times {
			require.Equal(t, float64(at), *chart.Data[0][k])
			for i, s := range want.series {
				if !finite(s.values[k]) {
					require.Nil(t, chart.Data[i+1][k])
					require.Nil(t, set.Dataset.Source[k][i+1])
					continue
				}
				require.Equal(t, s.values[k], *chart.Data[i+1][k])
				require.Equal(t, s.values[k], *set.Dataset.Source[k][i+1])
			}
		}
		wideReads(t, rendered(t, a, Options{Format: CSVWide}), want)
		grafanaReads(t, rendered(t, a, Options{Format: Grafana}), want)
	})
}

func wideReads(t require.TestingT, text []byte, want columns) {
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, len(want.times)+1)
	for k, line := range lines[1:] {
		at, err := time.Parse(time.RFC3339Nano, line[0])
		require.NoError(t, err)
		require.Equal(t, want.times[k], at.UnixMilli())
		for i, s := range want.series {
			if isGap(s.values[k]) {
				require.Empty(t, line[i+1])
				continue
			}
			v, err := strconv.ParseFloat(line[i+1], 64)
			require.NoError(t, err)
			samePoints(t, []query.Point{{V: s.values[k]}}, []query.Point{{V: v}})
		}
	}
}

// dataFrame is a frame as Grafana's SDK reads it.
type dataFrame struct {
	Schema struct {
		Meta   struct{ Type string }
		Fields []struct {
			Name, Type string
			Labels     map[string]string
		}
	}
	Data struct {
		Values   [][]*float64
		Entities []*struct{ NaN, Inf, NegInf []int }
	}
}

func grafanaReads(t require.TestingT, text []byte, want columns) {
	var frames []dataFrame
	require.NoError(t, json.Unmarshal(text, &frames))
	require.Len(t, frames, 1)
	f := frames[0]
	require.Equal(t, "timeseries-wide", f.Schema.Meta.Type)
	require.Len(t, f.Data.Values, len(f.Schema.Fields))
	if len(want.series) == 0 {
		require.Empty(t, f.Schema.Fields)
		return
	}
	require.Equal(t, "time", f.Schema.Fields[0].Type)
	for i, s := range want.series {
		require.Equal(t, labels.NewBuilder(s.labels).Del(nameLabel).Labels().Map(), f.Schema.Fields[i+1].Labels)
		got := make([]float64, len(want.times))
		for k, v := range f.Data.Values[i+1] {
			if got[k] = gap; v != nil {
				got[k] = *v
			}
		}
		if len(f.Data.Entities) > 0 && f.Data.Entities[i+1] != nil {
			for _, k := range f.Data.Entities[i+1].NaN {
				got[k] = math.NaN()
			}
			for _, k := range f.Data.Entities[i+1].Inf {
				got[k] = math.Inf(1)
			}
			for _, k := range f.Data.Entities[i+1].NegInf {
				got[k] = math.Inf(-1)
			}
		}
		for k, v := range s.values {
			require.Equal(t, isGap(v), isGap(got[k]))
			samePoints(t, []query.Point{{V: v}}, []query.Point{{V: got[k]}})
		}
	}
}

// TestLongReads has CSV and Parquet give back every value with its labels.
func TestLongReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(20).Draw(t, "answer"))
		names := labelNames(a.Rows)
		lines, err := csv.NewReader(bytes.NewReader(rendered(t, a, Options{Format: CSV}))).ReadAll()
		require.NoError(t, err)
		require.Equal(t, append([]string{"time", "value"}, columnNames([]string{"time", "value"}, names)...), lines[0])
		file := parquetRows(t, rendered(t, a, Options{Format: Parquet}))
		require.Equal(t, lines[0], file.names)
		lines = lines[1:]
		require.Len(t, file.rows, len(lines))
		n := 0
		for _, r := range a.Rows {
			for _, p := range r.Points {
				line, cells := lines[n], file.rows[n]
				n++
				at, err := time.Parse(time.RFC3339Nano, line[0])
				require.NoError(t, err)
				v, err := strconv.ParseFloat(line[1], 64)
				require.NoError(t, err)
				samePoints(t, []query.Point{p}, []query.Point{{T: at.UnixMilli(), V: v}})
				samePoints(t, []query.Point{p}, []query.Point{{T: cells[0].Int64(), V: cells[1].Double()}})
				for i, name := range names {
					require.Equal(t, r.Labels.Get(name), line[i+2])
					require.Equal(t, !r.Labels.Has(name), cells[i+2].IsNull())
					if r.Labels.Has(name) {
						require.Equal(t, r.Labels.Get(name), string(cells[i+2].ByteArray()))
					}
				}
			}
		}
	})
}

// parquetContent is a file as the library reads it.
type parquetContent struct {
	names []string
	rows  []parquet.Row
	meta  map[string]string
}

func parquetRows(t require.TestingT, text []byte) parquetContent {
	file, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
	require.NoError(t, err)
	c := parquetContent{meta: map[string]string{}}
	for _, field := range file.Schema().Fields() {
		c.names = append(c.names, field.Name())
	}
	for _, kv := range file.Metadata().KeyValueMetadata {
		c.meta[kv.Key] = kv.Value
	}
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 64)
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				c.rows = append(c.rows, r.Clone())
			}
			if err != nil || n == 0 {
				break
			}
		}
		require.NoError(t, rows.Close())
	}
	return c
}

func TestParquet(t *testing.T) {
	a := answers()["lines"]
	file := parquetRows(t, rendered(t, a, Options{Format: Parquet}))
	require.Equal(t, map[string]string{"novacron.unit": "bytes", "novacron.warnings": "1 of 2 hosts did not answer", "novacron.infos": "not a counter"}, file.meta)
	for view, names := range shown {
		for _, name := range names {
			if view == TimeSeries && name == "native" || view == Auto {
				continue
			}
			o := Options{Format: Parquet, View: view}
			file := parquetRows(t, rendered(t, answers()[name], o))
			lines, err := csv.NewReader(bytes.NewReader(rendered(t, answers()[name], Options{Format: CSV, View: view}))).ReadAll()
			require.NoError(t, err)
			require.Equal(t, lines[0], file.names, "%s %s", view, name)
			require.Len(t, file.rows, len(lines)-1, "%s %s", view, name)
		}
	}
	many := Answer{Rows: []query.Row{row(map[string]string{"a": "b"}, make([]float64, parquetGroup+parquetBatch+1)...)}}
	require.Len(t, parquetRows(t, rendered(t, many, Options{Format: Parquet})).rows, parquetGroup+parquetBatch+1)
}

// TestEveryView has every view of every format be valid, or say why there is none.
func TestEveryView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := randomAnswer(12).Draw(t, "answer")
		a.Instant = rapid.Bool().Draw(t, "instant")
		a.Step = rapid.SampledFrom([]int64{0, 15 * second}).Draw(t, "step")
		o := Options{
			Format: Format(rapid.SampledFrom(Formats()).Draw(t, "format")), View: View(rapid.SampledFrom(Views()).Draw(t, "view")),
			MaxPoints: rapid.SampledFrom([]int{0, 4, 7, 100}).Draw(t, "max"), Top: rapid.IntRange(0, 3).Draw(t, "top"),
		}
		var out bytes.Buffer
		if err := Render(&out, a, o); err != nil {
			require.Zero(t, out.Len())
			require.Regexp(t, `has no view|is the bound of|the bound of a bucket|no histograms`, strings.ReplaceAll(err.Error(), "\n", " "))
			return
		}
		if o.Format != CSV && o.Format != CSVWide && o.Format != Parquet {
			require.True(t, json.Valid(out.Bytes()), out.String())
		}
	})
}
