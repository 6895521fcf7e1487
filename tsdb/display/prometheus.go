package display

import (
	"bufio"

	"github.com/prometheus/prometheus/promql"

	"github.com/novacron/novacron/tsdb/promjson"
	"github.com/novacron/novacron/tsdb/query"
)

// prometheus writes what the HTTP API of Prometheus answers: a matrix, or a vector of the last values. NaN and infinities are
// kept. See https://prometheus.io/docs/prometheus/latest/querying/api/.
func prometheus(w *bufio.Writer, a Answer, o Options) error {
	j := &jsonOut{w: w}
	vector := a.Instant || o.View == Gauge || o.View == Bar
	if o.View == Gauge || o.View == Bar {
		a = Latest(a, o)
	}
	kind := "matrix"
	if vector {
		kind = "vector"
	}
	j.raw(`{"status":"success","data":{"resultType":"` + kind + `","result":`)
	j.list(len(a.Rows), func(i int) {
		if row := a.Rows[i]; vector {
			p := lastPoint(row)
			j.add(func(b []byte) []byte {
				return promjson.AppendSample(b, promql.Sample{Metric: row.Labels, T: p.T, F: p.V, H: p.H})
			})
			return
		}
		j.raw(`{"metric":`)
		j.labels(a.Rows[i].Labels)
		j.points("values", a.Rows[i].Points, false)
		j.points("histograms", a.Rows[i].Points, true)
		j.raw("}")
	})
	j.raw("}")
	j.notes(a)
	j.raw("}\n")
	return nil
}

// points writes those that are histograms, or those that are not; nothing where there are none.
func (j *jsonOut) points(field string, points []query.Point, histograms bool) {
	wanted := func(yield func(query.Point) bool) {
		for _, p := range points {
			if !stale(p) && (p.H != nil) == histograms && !yield(p) {
				return
			}
		}
	}
	flow := func(b []byte) ([]byte, error) {
		_, err := j.w.Write(b)
		return b[:0], err
	}
	j.add(func(b []byte) []byte {
		place := -1
		add := func(b []byte, p query.Point) []byte {
			if p.H != nil {
				return promjson.AppendHistogramPoint(b, p.T, p.H)
			}
			place++
			return j.values.AppendFloat(b, place, p.T, p.V)
		}
		b, _ = promjson.AppendPoints(b, field, wanted, add, flow) // the writer keeps its error for Flush
		return b
	})
}
