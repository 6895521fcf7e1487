package chunk

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// layout is what histograms must share for their buckets to stand in columns.
type layout struct {
	schema             int32
	threshold          uint64 // the bits of the zero threshold
	positive, negative []histogram.Span
	nPositive          int // buckets, which need not be as many as the spans say
	nNegative          int
	custom             []float64
}

func (l *layout) buckets() int { return l.nPositive + l.nNegative }

func (l *layout) same(o *layout) bool {
	return l.schema == o.schema && l.threshold == o.threshold && l.nPositive == o.nPositive && l.nNegative == o.nNegative &&
		slices.Equal(l.positive, o.positive) && slices.Equal(l.negative, o.negative) &&
		slices.EqualFunc(l.custom, o.custom, func(a, b float64) bool { return bitsOf(a) == bitsOf(b) })
}

func appendLayout(dst []byte, l *layout) []byte {
	dst = appendVarint(dst, int64(l.schema))
	dst = binary.LittleEndian.AppendUint64(dst, l.threshold)
	for _, spans := range [][]histogram.Span{l.positive, l.negative} {
		dst = binary.AppendUvarint(dst, uint64(len(spans)))
		for _, s := range spans {
			dst = appendVarint(dst, int64(s.Offset))
			dst = binary.AppendUvarint(dst, uint64(s.Length))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(l.nPositive))
	dst = binary.AppendUvarint(dst, uint64(l.nNegative))
	dst = binary.AppendUvarint(dst, uint64(len(l.custom)))
	for _, v := range l.custom {
		dst = binary.LittleEndian.AppendUint64(dst, bitsOf(v))
	}
	return dst
}

func readLayout(in *input) layout {
	l := layout{schema: int32(in.within("schema", math.MinInt32, math.MaxInt32)), threshold: in.uint64()}
	l.positive = readSpans(in)
	l.negative = readSpans(in)
	l.nPositive = in.count("positive buckets", len(in.b)) // each is a column, which takes bytes
	l.nNegative = in.count("negative buckets", len(in.b))
	if n := in.count("custom bounds", len(in.b)/8); n > 0 {
		l.custom = make([]float64, n)
		for i := range l.custom {
			l.custom[i] = math.Float64frombits(in.uint64())
		}
	}
	return l
}

func readSpans(in *input) []histogram.Span {
	n := in.count("spans", len(in.b)/2)
	if n == 0 {
		return nil
	}
	spans := make([]histogram.Span, n)
	for i := range spans {
		spans[i].Offset = int32(in.within("offset", math.MinInt32, math.MaxInt32))
		length := in.uvarint()
		if length > math.MaxUint32 {
			in.fail("a span of %d buckets, at most %d", length, uint32(math.MaxUint32))
		}
		spans[i].Length = uint32(length)
	}
	return spans
}

// within reads a signed number of a range.
func (in *input) within(what string, low, high int64) int64 {
	x := in.varint()
	if x < low || x > high {
		in.fail("%s %d, it is %d to %d", what, x, low, high)
		return 0
	}
	return x
}
