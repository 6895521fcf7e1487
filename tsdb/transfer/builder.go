package transfer

import (
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/novacron/novacron/tsdb/merge"
)

// builder makes the chunks of one series from samples in order of time.
type builder struct {
	chunks []merge.Chunk
	times  []int64
	floats []float64
	whole  []*histogram.Histogram
	parts  []*histogram.FloatHistogram
	// bounds of all samples since reset.
	minT, maxT int64
	count      int64
}

func (b *builder) reset() {
	b.chunks, b.count = b.chunks[:0], 0
	b.clear()
}

func (b *builder) clear() {
	b.times, b.floats, b.whole, b.parts = b.times[:0], b.floats[:0], b.whole[:0], b.parts[:0]
}

func (b *builder) float(t int64, v float64) {
	b.begin(t, len(b.floats))
	b.floats = append(b.floats, v)
}

func (b *builder) histogram(t int64, h *histogram.Histogram) {
	b.begin(t, len(b.whole))
	b.whole = append(b.whole, h)
}

func (b *builder) floatHistogram(t int64, h *histogram.FloatHistogram) {
	b.begin(t, len(b.parts))
	b.parts = append(b.parts, h)
}

// begin ends the chunk where it is full or of another type, and adds a time; same is how many samples of the type it
// has.
func (b *builder) begin(t int64, same int) {
	if n := len(b.times); n >= chunkSamples || n != same {
		b.end()
	}
	if b.count == 0 {
		b.minT = t
	}
	b.maxT = t
	b.count++
	b.times = append(b.times, t)
}

// end makes a chunk of what was collected.
func (b *builder) end() {
	switch {
	case len(b.times) == 0:
		return
	case len(b.floats) > 0:
		b.chunks = append(b.chunks, merge.NewDense(nil, nil, b.times, b.floats))
	case len(b.whole) > 0:
		b.chunks = append(b.chunks, merge.NewHistograms(b.times, b.whole))
	default:
		b.chunks = append(b.chunks, merge.NewFloatHistograms(b.times, b.parts))
	}
	b.clear()
}

// finish returns the chunks, which hold until the next reset.
func (b *builder) finish() []merge.Chunk {
	b.end()
	return b.chunks
}
