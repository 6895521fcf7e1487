package httpapi

import (
	"slices"

	"github.com/prometheus/prometheus/promql"

	"github.com/novacron/novacron/tsdb/promjson"
)

// series sends one series of a matrix.
func (a *answer) series(s promql.Series) error {
	a.buf = promjson.AppendLabels(append(a.buf, `{"metric":`...), s.Metric)
	if err := a.floats(s.Floats); err != nil {
		return err
	}
	flow := func(b []byte) ([]byte, error) {
		a.buf = b
		err := a.flow()
		return a.buf, err
	}
	var err error
	if a.buf, err = promjson.AppendPoints(a.buf, "histograms", slices.Values(s.Histograms), appendHistogram, flow); err != nil {
		return err
	}
	a.buf = append(a.buf, '}')
	return nil
}

// floats sends the values of a series.
func (a *answer) floats(points []promql.FPoint) error {
	if len(points) == 0 {
		return nil
	}
	a.buf = append(a.buf, `,"values":[`...)
	for i, p := range points {
		if i > 0 {
			a.buf = append(a.buf, ',')
		}
		a.buf = a.points.AppendFloat(a.buf, i, p.T, p.F)
		if err := a.flow(); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, ']')
	return nil
}

func appendHistogram(b []byte, p promql.HPoint) []byte {
	return promjson.AppendHistogramPoint(b, p.T, p.H)
}
