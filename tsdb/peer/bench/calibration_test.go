package bench

import (
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWorkload holds that the samples are those that newWorkload describes: by the share of the kinds, and by what
// Prometheus's chunks of 120 samples take, with the eight bytes that one takes in the index of a block.
func TestWorkload(t *testing.T) {
	const scrapes, samplesPerChunk = 1200, 120
	w := newWorkload(perHost, perHost, 1_672_531_200_000, 1)
	chunks := make([]*chunkenc.XORChunk, perHost)
	appenders := make([]chunkenc.Appender, perHost)
	bytes, values := 0, []float64(nil)
	for n := range scrapes {
		var at int64
		at, values = w.scrape(0, n, values)
		for i, v := range values {
			if n%samplesPerChunk == 0 {
				if chunks[i] != nil {
					bytes += len(chunks[i].Bytes()) + 8
				}
				chunks[i] = chunkenc.NewXORChunk()
				var err error
				appenders[i], err = chunks[i].Appender()
				require.NoError(t, err)
			}
			appenders[i].Append(0, at, v)
		}
	}
	assert.InDelta(t, 3.05, float64(bytes)/perHost/(scrapes-samplesPerChunk), 0.06, "bytes for a sample")

	counts := map[kind]int{}
	for i := range perHost {
		counts[kindOf(i)]++
	}
	assert.Equal(t, perHost*60/100, counts[counterEvents]+counts[counterBytes]+counts[counterSeconds])
	assert.Equal(t, perHost*25/100, counts[gaugeQueue]+counts[gaugeBytes]+counts[gaugePercent])
	assert.Equal(t, perHost*15/100, counts[constant])
}
