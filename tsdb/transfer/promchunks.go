package transfer

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/novacron/novacron/tsdb/engine"
)

// promChunkSamples is the most samples of a chunk of Prometheus.
const promChunkSamples = 120

// LeftStarts are the times since when counters count.
const LeftStarts = "start_times"

// promChunks makes the chunks of one series after the other.
type promChunks struct {
	it    chunkenc.Iterator
	metas []chunks.Meta
	app   chunkenc.Appender
	kind  chunkenc.ValueType
	whole histogram.Histogram
	float histogram.FloatHistogram
	// minT and maxT are the times of the first and last sample of all series of the block.
	minT, maxT int64
}

// encode makes the chunks of a series, which hold until the next call.
func (c *promChunks) encode(s engine.Series, stats *promStats, report *Report) ([]chunks.Meta, error) {
	c.metas, c.kind = c.metas[:0], chunkenc.ValNone
	c.it = s.Iterator(c.it)
	for kind := c.it.Next(); kind != chunkenc.ValNone; kind = c.it.Next() {
		if err := c.add(kind); err != nil {
			return nil, err
		}
		stats.Samples++
		if kind == chunkenc.ValFloat {
			stats.Floats++
		} else {
			stats.Histograms++
		}
		if c.it.AtST() != 0 {
			report.leave(LeftStarts, 1)
		}
		t := c.it.AtT()
		c.minT, c.maxT = min(c.minT, t), max(c.maxT, t)
		c.metas[len(c.metas)-1].MaxTime = t
	}
	stats.Chunks += uint64(len(c.metas))
	return c.metas, c.it.Err()
}

// add appends the iterator's sample to the last chunk, or to a new one.
func (c *promChunks) add(kind chunkenc.ValueType) error {
	if n := len(c.metas); kind != c.kind || c.metas[n-1].Chunk.NumSamples() >= promChunkSamples {
		if err := c.begin(kind); err != nil {
			return err
		}
	}
	switch kind {
	case chunkenc.ValHistogram:
		t, h := c.it.AtHistogram(&c.whole)
		made, replaces, app, err := c.app.AppendHistogram(nil, 0, t, h, false)
		return c.took(made, replaces, app, t, err)
	case chunkenc.ValFloatHistogram:
		t, h := c.it.AtFloatHistogram(&c.float)
		made, replaces, app, err := c.app.AppendFloatHistogram(nil, 0, t, h, false)
		return c.took(made, replaces, app, t, err)
	}
	t, v := c.it.At()
	c.app.Append(0, t, v)
	return nil
}

// begin starts a chunk with the iterator's sample.
func (c *promChunks) begin(kind chunkenc.ValueType) (err error) {
	made, err := chunkenc.NewEmptyChunk(encodingOf(kind))
	if err != nil {
		return err
	}
	if c.app, err = made.Appender(); err != nil {
		return err
	}
	c.kind = kind
	c.metas = append(c.metas, chunks.Meta{MinTime: c.it.AtT(), Chunk: made})
	return nil
}

func encodingOf(kind chunkenc.ValueType) chunkenc.Encoding {
	switch kind {
	case chunkenc.ValHistogram:
		return chunkenc.EncHistogram
	case chunkenc.ValFloatHistogram:
		return chunkenc.EncFloatHistogram
	}
	return chunkenc.EncXOR
}

// took goes on with the chunk that an appender of histograms has made in the place of the last one, since its buckets
// did not fit, or behind it, since a counter began again.
func (c *promChunks) took(made chunkenc.Chunk, replaces bool, app chunkenc.Appender, t int64, err error) error {
	if err != nil {
		return err
	}
	c.app = app
	switch {
	case made != nil && replaces:
		c.metas[len(c.metas)-1].Chunk = made
	case made != nil:
		c.metas = append(c.metas, chunks.Meta{MinTime: t, Chunk: made})
	}
	return nil
}
