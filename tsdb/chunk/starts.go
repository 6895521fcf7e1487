package chunk

import "encoding/binary"

// AppendStarts appends the length of a column of start times and the column, which is one of times. It panics for more
// than MaxSamples.
func AppendStarts(dst []byte, starts []int64) []byte {
	column := AppendTimes(nil, starts)
	return append(binary.AppendUvarint(dst, uint64(len(column))), column...)
}

// DecodeStarts appends the n start times in front of src to dst, and returns what stands behind them. Errors wrap
// ErrCorrupt; dst is then returned as it came.
func DecodeStarts(dst []int64, src []byte, n int) (starts []int64, rest []byte, err error) {
	in := open("starts", src, n)
	column := in.take(in.uvarint())
	if in.err != nil {
		return dst, nil, in.err
	}
	starts, err = DecodeTimes(dst, column, n)
	return starts, in.b, err
}
