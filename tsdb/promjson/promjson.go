// Package promjson writes labels, samples and histograms as the HTTP API of Prometheus has them in JSON.
package promjson

import (
	"iter"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// AppendString adds a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(b []byte, text string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, text[done:i]...)
		switch {
		case c >= utf8.RuneSelf:
			b = append(b, `\ufffd`...)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, '\\', c)
		}
		i += size
		done = i
	}
	return append(append(b, text[done:]...), '"')
}

// AppendStrings adds a list of them.
func AppendStrings(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, text)
	}
	return append(b, ']')
}

// AppendTime adds milliseconds as seconds.
func AppendTime(b []byte, ms int64) []byte {
	whole, part := ms/1000, ms%1000
	if part < 0 {
		part = -part
		if whole == 0 {
			b = append(b, '-')
		}
	}
	b = strconv.AppendInt(b, whole, 10)
	if part == 0 {
		return b
	}
	return append(b, '.', byte('0'+part/100), byte('0'+part/10%10), byte('0'+part%10))
}

// AppendValue adds a value as a JSON string, since JSON has no number for NaN and infinity.
func AppendValue(b []byte, v float64) []byte {
	return append(AppendNumber(append(b, '"'), v), '"')
}

// AppendLabels adds labels as an object.
func AppendLabels(b []byte, lset labels.Labels) []byte {
	b = append(b, '{')
	first := true
	lset.Range(func(l labels.Label) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = AppendString(append(AppendString(b, l.Name), ':'), l.Value)
	})
	return append(b, '}')
}

// AppendHistogram adds a native histogram: its buckets that are not empty as [bounds, lower, upper, count].
func AppendHistogram(b []byte, h *histogram.FloatHistogram) []byte {
	b = AppendValue(append(b, `{"count":`...), h.Count)
	b = AppendValue(append(b, `,"sum":`...), h.Sum)
	open := `,"buckets":[`
	for it := h.AllBucketIterator(); it.Next(); {
		bucket := it.At()
		if bucket.Count == 0 {
			continue
		}
		b = append(append(append(b, open...), '[', boundsOf(bucket)), ',')
		b = append(AppendValue(b, bucket.Lower), ',')
		b = append(AppendValue(b, bucket.Upper), ',')
		b = append(AppendValue(b, bucket.Count), ']')
		open = ","
	}
	if open == "," {
		b = append(b, ']')
	}
	return append(b, '}')
}

// boundsOf says which bounds belong to a bucket: 0 the upper one, 1 the lower one, 2 none, 3 both.
func boundsOf(bucket histogram.Bucket[float64]) byte {
	switch {
	case bucket.LowerInclusive && bucket.UpperInclusive:
		return '3'
	case bucket.LowerInclusive:
		return '1'
	case bucket.UpperInclusive:
		return '0'
	}
	return '2'
}

// AppendFloatPoint adds a time and a value.
func AppendFloatPoint(b []byte, t int64, v float64) []byte {
	return append(AppendValue(append(AppendTime(append(b, '['), t), ','), v), ']')
}

// AppendHistogramPoint adds a time and a native histogram.
func AppendHistogramPoint(b []byte, t int64, h *histogram.FloatHistogram) []byte {
	return append(AppendHistogram(append(AppendTime(append(b, '['), t), ','), h), ']')
}

// AppendPoints adds a field of a series with its points, after other fields, and nothing where there are none. flow gets what
// there is after each of them, to send it on, and gives back what to go on with.
func AppendPoints[P any](b []byte, field string, points iter.Seq[P], add func([]byte, P) []byte, flow func([]byte) ([]byte, error)) ([]byte, error) {
	first, err := true, error(nil)
	for p := range points {
		if first {
			b = append(append(append(b, `,"`...), field...), `":[`...)
		} else {
			b = append(b, ',')
		}
		first = false
		if b, err = flow(add(b, p)); err != nil {
			return b, err
		}
	}
	if !first {
		b = append(b, ']')
	}
	return b, nil
}

// AppendSample adds an element of a vector.
func AppendSample(b []byte, s promql.Sample) []byte {
	b = AppendLabels(append(b, `{"metric":`...), s.Metric)
	if s.H != nil {
		return append(AppendHistogramPoint(append(b, `,"histogram":`...), s.T, s.H), '}')
	}
	return append(AppendFloatPoint(append(b, `,"value":`...), s.T, s.F), '}')
}

// AppendExemplar adds an exemplar.
func AppendExemplar(b []byte, e exemplar.Exemplar) []byte {
	b = AppendLabels(append(b, `{"labels":`...), e.Labels)
	b = AppendValue(append(b, `,"value":`...), e.Value)
	return append(AppendTime(append(b, `,"timestamp":`...), e.Ts), '}')
}
