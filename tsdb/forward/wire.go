package forward

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages are those of https://prometheus.io/docs/specs/prw/remote_write_spec/ (prometheus.WriteRequest) and of
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (io.prometheus.write.v2.Request).

func appendMessage(dst []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), message)
}

func appendText(dst []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), text)
}

func appendDouble(dst []byte, field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, field, protowire.Fixed64Type), math.Float64bits(v))
}

func appendInteger(dst []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), uint64(v))
}

func appendSigned(dst []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), protowire.EncodeZigZag(v))
}

func appendDoubles(dst []byte, field protowire.Number, all []float64) []byte {
	if len(all) == 0 {
		return dst
	}
	dst = protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.BytesType), uint64(8*len(all)))
	for _, v := range all {
		dst = protowire.AppendFixed64(dst, math.Float64bits(v))
	}
	return dst
}

// appendHistogram writes the message of a native histogram, which is the same in both versions but for the start.
func appendHistogram(dst []byte, h *histogram.FloatHistogram, t int64) []byte {
	dst = appendDouble(dst, 2, h.Count)
	dst = appendDouble(dst, 3, h.Sum)
	dst = appendSigned(dst, 4, int64(h.Schema))
	dst = appendDouble(dst, 5, h.ZeroThreshold)
	dst = appendDouble(dst, 7, h.ZeroCount)
	dst = appendSpans(dst, 8, h.NegativeSpans)
	dst = appendDoubles(dst, 10, h.NegativeBuckets)
	dst = appendSpans(dst, 11, h.PositiveSpans)
	dst = appendDoubles(dst, 13, h.PositiveBuckets)
	dst = appendInteger(dst, 14, resetHint(h.CounterResetHint))
	dst = appendInteger(dst, 15, t)
	return appendDoubles(dst, 16, h.CustomValues)
}

func resetHint(hint histogram.CounterResetHint) int64 {
	switch hint {
	case histogram.CounterReset:
		return 1
	case histogram.NotCounterReset:
		return 2
	case histogram.GaugeType:
		return 3
	}
	return 0
}

func appendSpans(dst []byte, field protowire.Number, spans []histogram.Span) []byte {
	for _, s := range spans {
		dst = appendMessage(dst, field, appendInteger(appendSigned(nil, 1, int64(s.Offset)), 2, int64(s.Length)))
	}
	return dst
}

// coder makes requests; what it returns is valid until the next call.
type coder struct{ request, body, series, part, pair []byte }

// version1 makes a prometheus.WriteRequest.
func (c *coder) version1(b batch) []byte {
	c.request = c.request[:0]
	for _, g := range b.groups {
		c.series = c.appendPairs(c.series[:0], g.series.lset)
		for _, one := range g.items {
			if g.histograms {
				c.series = appendMessage(c.series, 4, one.message)
				continue
			}
			c.series = appendMessage(c.series, 2, c.float(one))
		}
		for _, one := range g.exemplars {
			c.part = appendInteger(appendDouble(c.appendPairs(c.part[:0], one.example), 2, one.v), 3, one.t)
			c.series = appendMessage(c.series, 3, c.part)
		}
		c.request = appendMessage(c.request, 1, c.series)
	}
	return c.request
}

func (c *coder) float(one item) []byte {
	c.part = appendInteger(appendDouble(c.part[:0], 1, one.v), 2, one.t)
	return c.part
}

func (c *coder) appendPairs(dst []byte, lset labels.Labels) []byte {
	lset.Range(func(l labels.Label) {
		c.pair = appendText(appendText(c.pair[:0], 1, l.Name), 2, l.Value)
		dst = appendMessage(dst, 1, c.pair)
	})
	return dst
}
