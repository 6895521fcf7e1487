package wire

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/federate"
)

// TestHistogramsOfNoShapeAreNotTaken, neither of what a shard has computed nor of its raw series.
func TestHistogramsOfNoShapeAreNotTaken(t *testing.T) {
	one := []histogram.Span{{Length: 1}}
	for name, test := range map[string]struct {
		h   histogram.FloatHistogram
		why string
	}{
		"as it should be":   {histogram.FloatHistogram{PositiveSpans: one, PositiveBuckets: []float64{2}}, ""},
		"of a difference":   {histogram.FloatHistogram{Count: -3, ZeroCount: -1, PositiveSpans: one, PositiveBuckets: []float64{-2}}, ""},
		"custom":            {histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{1}, PositiveSpans: one, PositiveBuckets: []float64{2}}, ""},
		"too few buckets":   {histogram.FloatHistogram{PositiveSpans: []histogram.Span{{Length: 5}}, PositiveBuckets: []float64{2}}, "spans need 5 buckets"},
		"too many buckets":  {histogram.FloatHistogram{NegativeBuckets: []float64{2}}, "spans need 0 buckets"},
		"a long span":       {histogram.FloatHistogram{PositiveSpans: []histogram.Span{{Length: math.MaxUint32}}}, "at most 1048576"},
		"far away":          {histogram.FloatHistogram{PositiveSpans: []histogram.Span{{Offset: math.MinInt32, Length: 1}}, PositiveBuckets: []float64{2}}, "at most 1048576"},
		"an unknown schema": {histogram.FloatHistogram{Schema: 77}, "schema"},
		"no threshold":      {histogram.FloatHistogram{ZeroThreshold: math.NaN()}, "threshold is NaN"},
		"below zero":        {histogram.FloatHistogram{ZeroThreshold: -1}, "threshold is -1"},
		"bounds in no order": {histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, CustomValues: []float64{2, 1}, PositiveSpans: one, PositiveBuckets: []float64{2},
		}, "custom"},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(err error) {
				t.Helper()
				if test.why == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, test.why)
				assert.NotErrorAs(t, err, new(*federate.RefusedError))
			}
			row := rowTo(0, federate.Row{Values: []float64{absent}, Histograms: []*histogram.FloatHistogram{&test.h}}, false)
			c := newCollector(federate.Evaluation{Exprs: []string{"h"}})
			check(c.add(&agentv1.EvaluateResponse{Series: []*agentv1.EvaluatedSeries{row}}, 1))
			pack, builder := packer{histTimes: []int64{3}, histograms: []*histogram.FloatHistogram{&test.h}}, labels.NewScratchBuilder(0)
			check((&received{}).add(&builder, &agentv1.SelectResponse{Series: []*agentv1.RawSeries{pack.piece(nil)}}))
		})
	}
}
