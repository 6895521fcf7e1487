// Package merge reads the samples of one series from many places as one: chunks of blocks, chunks of the head, and
// columns in memory, where of samples with the same time the one of the highest rank stays.
package merge

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
)

// Chunk is a run of samples of one series, encoded as Kind says. Its slices may lie in a mapped file: they hold only
// as long as what they came from is open.
type Chunk struct {
	Kind chunk.Kind
	// Min and Max are the times of the first and of the last sample in milliseconds; of windows, their ends.
	Min, Max int64
	// Count is the number of samples.
	Count int
	// Times is the encoded time column of a dense chunk, empty for all other kinds.
	Times []byte
	// Values is the payload.
	Values []byte
	// Raw is set when the samples are not encoded; Kind, Times and Values are then not looked at.
	Raw *Columns
	// Origin is where the chunk is stored, nil when its bytes need no check. TimesAt and ValuesAt are the places of
	// both columns there and Series the place of the series: names that only the origin understands.
	Origin            Origin
	TimesAt, ValuesAt uint64
	Series            uint32
}

// Origin is a store of chunks that checks bytes when they are read and tells where damage is.
type Origin interface {
	// Check compares the bytes of the chunk's values with their checksum.
	Check(c *Chunk) error
	// Times decodes the time column after checking it, into buf or into a slice that other readers see too: the
	// caller changes nothing in it.
	Times(c *Chunk, buf []int64) ([]int64, error)
	// Damaged says where the chunk is that cannot be decoded, and counts it.
	Damaged(c *Chunk, why error) error
}

// Columns are samples of one type: Times, and the one of the other slices that Type names. Times ascend.
type Columns struct {
	Type       chunkenc.ValueType
	Times      []int64
	Values     []float64
	Histograms []*histogram.Histogram
	Floats     []*histogram.FloatHistogram
	// Windows are of a rollup; Type is then ValNone and Times their ends.
	Windows *chunk.Windows
	// Starts says since when the counter of each sample has been counting, 0 where that is not known; empty where it is
	// not known of any.
	Starts []int64
}

// NewRaw makes a chunk of columns that are in memory; false when they are empty.
func NewRaw(columns *Columns) (Chunk, bool) {
	n := len(columns.Times)
	if n == 0 {
		return Chunk{}, false
	}
	return Chunk{Raw: columns, Min: columns.Times[0], Max: columns.Times[n-1], Count: n}, true
}

// slice is the part [from, to) of the columns. Windows stay whole: their rows are counted from the whole.
func (c *Columns) slice(from, to int) Columns {
	part := Columns{Type: c.Type, Times: c.Times[from:to], Windows: c.Windows}
	switch c.Type {
	case chunkenc.ValFloat:
		part.Values = c.Values[from:to]
	case chunkenc.ValHistogram:
		part.Histograms = c.Histograms[from:to]
	case chunkenc.ValFloatHistogram:
		part.Floats = c.Floats[from:to]
	case chunkenc.ValNone:
	}
	if len(c.Starts) > 0 {
		part.Starts = c.Starts[from:to]
	}
	return part
}

// buffer is memory that chunks are decoded into, again and again.
type buffer struct {
	times   []int64
	values  []float64
	starts  []int64
	windows chunk.Windows
}

// decode returns the samples of the chunk. They lie in the buffer, or where other readers see them too.
func (c *Chunk) decode(buf *buffer, columns chunk.Columns) (Columns, error) {
	if c.Raw != nil {
		return *c.Raw, nil
	}
	if c.Origin != nil {
		if err := c.Origin.Check(c); err != nil {
			return Columns{}, err
		}
	}
	got, err := c.decodeKind(buf, columns)
	if err == nil {
		err = c.agrees(&got)
	}
	if err != nil && c.Origin != nil {
		err = c.Origin.Damaged(c, err)
	}
	return got, err
}

func (c *Chunk) decodeKind(buf *buffer, columns chunk.Columns) (got Columns, err error) {
	switch c.Kind {
	case chunk.KindXOR:
		buf.times, buf.values, err = chunk.DecodeXOR(buf.times[:0], buf.values[:0], c.Values)
		return Columns{Type: chunkenc.ValFloat, Times: buf.times, Values: buf.values}, err
	case chunk.KindDense:
		return c.decodeDense(buf)
	case chunk.KindHistogram:
		return c.decodeHistograms(buf)
	case chunk.KindFloatHistogram:
		return c.decodeFloatHistograms(buf)
	case chunk.KindWindows:
		if err = chunk.DecodeWindows(&buf.windows, c.Values, c.Count, columns); err != nil {
			return Columns{}, err
		}
		return Columns{Times: buf.windows.End, Windows: &buf.windows}, nil
	case chunk.KindDenseStarts, chunk.KindHistogramStarts, chunk.KindFloatHistogramStarts:
		return c.decodeStarts(buf, columns)
	}
	return Columns{}, fmt.Errorf("chunk of kind %d: this version knows the kinds %d to %d; read it with the version that wrote it", c.Kind, chunk.KindXOR, chunk.LastKind)
}

func (c *Chunk) decodeDense(buf *buffer) (got Columns, err error) {
	got.Type = chunkenc.ValFloat
	if c.Origin != nil {
		got.Times, err = c.Origin.Times(c, buf.times[:0])
	} else {
		buf.times, err = chunk.DecodeTimes(buf.times[:0], c.Times, c.Count)
		got.Times = buf.times
	}
	if err != nil {
		return got, err
	}
	buf.values, err = chunk.DecodeValues(buf.values[:0], c.Values, c.Count)
	got.Values = buf.values
	return got, err
}

// agrees holds the decoded samples against what the chunk says of itself.
func (c *Chunk) agrees(got *Columns) error {
	n := len(got.Times)
	if n != c.Count || n == 0 {
		return fmt.Errorf("%d samples decoded, %d expected", n, c.Count)
	}
	if got.Times[0] != c.Min || got.Times[n-1] != c.Max {
		return fmt.Errorf("samples from %d to %d decoded, %d to %d expected (milliseconds)", got.Times[0], got.Times[n-1], c.Min, c.Max)
	}
	return nil
}
