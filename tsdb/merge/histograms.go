package merge

import (
	"encoding/binary"
	"errors"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
)

// The payload of a chunk of histograms is the length of its time column as a uvarint, that column, and the histograms:
// other than floats they seldom share their times with so many series that a column apart would pay.

// NewHistograms encodes histograms into a chunk of their own; both slices have the same length, at least one and at
// most chunk.MaxSamples. What the first one says of a histogram before it is left out.
func NewHistograms(times []int64, hs []*histogram.Histogram) Chunk {
	columns := Columns{Histograms: hs}
	columns.giveUpFirstHint()
	return bounds(Chunk{Kind: chunk.KindHistogram, Values: chunk.AppendHistograms(timesFirst(times), columns.Histograms)}, times)
}

// NewFloatHistograms is NewHistograms for histograms with float counts.
func NewFloatHistograms(times []int64, hs []*histogram.FloatHistogram) Chunk {
	columns := Columns{Floats: hs}
	columns.giveUpFirstHint()
	return bounds(Chunk{Kind: chunk.KindFloatHistogram, Values: chunk.AppendFloatHistograms(timesFirst(times), columns.Floats)}, times)
}

// NewDense encodes floats into a dense chunk; both slices have the same length, at least one and at most
// chunk.MaxSamples. What it makes is appended to the two buffers, which the chunk then holds.
func NewDense(timesBuf, valuesBuf []byte, times []int64, values []float64) Chunk {
	return bounds(Chunk{
		Kind: chunk.KindDense, Times: chunk.AppendTimes(timesBuf, times), Values: chunk.AppendValues(valuesBuf, values),
	}, times)
}

// NewWindows encodes windows of a rollup, at least one and at most chunk.MaxSamples.
func NewWindows(windows *chunk.Windows) Chunk {
	return bounds(Chunk{Kind: chunk.KindWindows, Values: chunk.AppendWindows(nil, windows)}, windows.End)
}

func bounds(c Chunk, times []int64) Chunk {
	c.Min, c.Max, c.Count = times[0], times[len(times)-1], len(times)
	return c
}

func timesFirst(times []int64) []byte {
	column := chunk.AppendTimes(nil, times)
	return append(binary.AppendUvarint(nil, uint64(len(column))), column...)
}

var errShort = errors.New("the chunk of histograms ends within its time column")

// cutTimes takes the time column off a payload of histograms.
func (c *Chunk) cutTimes(buf *buffer) (rest []byte, err error) {
	size, n := binary.Uvarint(c.Values)
	if n <= 0 || size > uint64(len(c.Values)-n) {
		return nil, errShort
	}
	column := c.Values[n : n+int(size)]
	buf.times, err = chunk.DecodeTimes(buf.times[:0], column, c.Count)
	return c.Values[n+len(column):], err
}

func (c *Chunk) decodeHistograms(buf *buffer) (got Columns, err error) {
	rest, err := c.cutTimes(buf)
	if err != nil {
		return got, err
	}
	hs, err := chunk.DecodeHistograms(nil, rest, c.Count)
	if err == nil && len(hs) != len(buf.times) {
		err = errors.New("the chunk holds fewer histograms than times")
	}
	return Columns{Type: chunkenc.ValHistogram, Times: buf.times, Histograms: hs}, err
}

func (c *Chunk) decodeFloatHistograms(buf *buffer) (got Columns, err error) {
	rest, err := c.cutTimes(buf)
	if err != nil {
		return got, err
	}
	hs, err := chunk.DecodeFloatHistograms(nil, rest, c.Count)
	if err == nil && len(hs) != len(buf.times) {
		err = errors.New("the chunk holds fewer histograms than times")
	}
	return Columns{Type: chunkenc.ValFloatHistogram, Times: buf.times, Floats: hs}, err
}
