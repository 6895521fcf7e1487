package cloudwatch

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

func TestCombine(t *testing.T) {
	none := math.NaN()
	for name, c := range map[string]struct {
		how    combine
		values []float64
		want   float64
		ok     bool
	}{
		"one":                             {first, []float64{3}, 3, true},
		"one that is missing":             {first, []float64{none}, 0, false},
		"both":                            {total, []float64{1, 2}, 3, true},
		"a sum that lacks a part":         {total, []float64{1, none}, 0, false},
		"what is not failed":              {complement, []float64{1}, 0, true},
		"what is not idle":                {restOfPeriod, []float64{240}, 60, true},
		"idle for longer than a period":   {restOfPeriod, []float64{300.2}, 0, true},
		"reads and writes":                {latency, []float64{3, 1, 10, 10}, 0.2, true},
		"only writes":                     {latency, []float64{none, 1, none, 10}, 0.1, true},
		"time of reads of unknown number": {latency, []float64{3, 1, none, 10}, 0.1, true},
		"no operation":                    {latency, []float64{0, 0, 0, 0}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, ok := c.how(c.values, 5*time.Minute)
			require.Equal(t, c.ok, ok)
			if ok {
				require.InDelta(t, c.want, v, 1e-12)
			}
		})
	}
}

// TestPointsMeetByTheirPeriods combines series that have not all of their periods in common.
func TestPointsMeetByTheirPeriods(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 7, 1, 12, minute, 0, 0, time.UTC) }
	r := gauge("x", average("mem_cached", "Kilobytes"), average("mem_buffered", "Bytes")).by(total)
	points := r.points([][]collect.Point{{{Time: at(5), Value: 1}, {Time: at(10), Value: 2}}, {{Time: at(10), Value: 3}, {Time: at(15), Value: 4}}}, 5*time.Minute)
	require.Equal(t, []collect.Point{{Time: at(10), Value: 2051}}, points)
}
