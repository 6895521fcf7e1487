package rpc

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

// TestHistogramsThatJSONDoesNotHave: those with NaN or infinities go packed, and stand as NaN for who does not read that.
func TestHistogramsThatJSONDoesNotHave(t *testing.T) {
	row := query.NewRow(map[string]string{"a": "b"}, nil)
	for i, sum := range []float64{2, math.NaN(), math.Inf(1), 1} {
		p := query.Point{T: int64(i)}
		require.NoError(t, json.Unmarshal([]byte(`{"CounterResetHint":3,"Schema":-53,"Count":3,"CustomValues":[1,5],`+
			`"PositiveSpans":[{"Offset":0,"Length":2}],"PositiveBuckets":[1,2]}`), &p.H))
		p.H.Sum = sum
		row.Points = append(row.Points, p)
	}
	row.Points[3].H.PositiveBuckets[1] = math.NaN()
	s, err := seriesOf(row)
	require.NoError(t, err)
	require.Len(t, s.GetHistograms(), 1)
	require.Contains(t, s.GetHistograms()[0], `"Sum":2`)
	require.Len(t, s.GetPackedHistograms(), 3)
	assert.Zero(t, s.GetValues()[0])
	for i, p := range row.Points[1:] {
		assert.True(t, math.IsNaN(s.GetValues()[i+1]))
		var got query.Point
		require.NoError(t, query.UnpackHistogram(s.GetPackedHistograms()[uint32(i+1)], &got))
		assert.True(t, p.H.Equals(got.H), "%v", got.H)
		assert.Equal(t, p.H.CounterResetHint, got.H.CounterResetHint)
	}
	require.Error(t, query.UnpackHistogram([]byte{0xff}, &query.Point{}))
}
