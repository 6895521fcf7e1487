package merge

import (
	"slices"

	"github.com/novacron/novacron/tsdb/chunk"
)

// WithStarts puts the start times of its samples in front of a chunk of NewDense, NewHistograms or NewFloatHistograms.
// Where none is known the chunk stays as it is.
func WithStarts(c Chunk, starts []int64) Chunk {
	if !slices.ContainsFunc(starts, func(st int64) bool { return st != 0 }) {
		return c
	}
	if with, ok := c.Kind.WithStarts(); ok {
		c.Kind, c.Values = with, append(chunk.AppendStarts(nil, starts), c.Values...)
	}
	return c
}

// JoinStarts appends the start times of more samples to those of n samples, where either may be empty: not known.
func JoinStarts(starts []int64, n int, more []int64, samples int) []int64 {
	if len(starts) == 0 && len(more) == 0 {
		return starts
	}
	starts = append(starts, make([]int64, n-len(starts))...)
	starts = append(starts, more...)
	return append(starts, make([]int64, samples-len(more))...)
}

// decodeStarts decodes a chunk with start times in front.
func (c *Chunk) decodeStarts(buf *buffer, columns chunk.Columns) (got Columns, err error) {
	plain := *c
	plain.Kind = c.Kind.Plain()
	if buf.starts, plain.Values, err = chunk.DecodeStarts(buf.starts[:0], c.Values, c.Count); err != nil {
		return got, err
	}
	got, err = plain.decodeKind(buf, columns)
	got.Starts = buf.starts
	return got, err
}
