package httpapi

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// appendString adds a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, text string) []byte {
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

func appendStrings(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, text)
	}
	return append(b, ']')
}

// appendTime adds milliseconds as seconds.
func appendTime(b []byte, ms int64) []byte {
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

// appendValue adds a value as a JSON string, since JSON has no number for NaN and infinity.
func appendValue(b []byte, v float64) []byte {
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return append(strconv.AppendFloat(append(b, '"'), v, form, -1, 64), '"')
}

func appendLabels(b []byte, lset labels.Labels) []byte {
	b = append(b, '{')
	first := true
	lset.Range(func(l labels.Label) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(append(appendString(b, l.Name), ':'), l.Value)
	})
	return append(b, '}')
}

// appendHistogram adds a native histogram: its buckets that are not empty as [bounds, lower, upper, count].
func appendHistogram(b []byte, h *histogram.FloatHistogram) []byte {
	b = appendValue(append(b, `{"count":`...), h.Count)
	b = appendValue(append(b, `,"sum":`...), h.Sum)
	open := `,"buckets":[`
	for it := h.AllBucketIterator(); it.Next(); {
		bucket := it.At()
		if bucket.Count == 0 {
			continue
		}
		b = append(append(append(b, open...), '[', boundsOf(bucket)), ',')
		b = append(appendValue(b, bucket.Lower), ',')
		b = append(appendValue(b, bucket.Upper), ',')
		b = append(appendValue(b, bucket.Count), ']')
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

func appendFloatPoint(b []byte, t int64, v float64) []byte {
	return append(appendValue(append(appendTime(append(b, '['), t), ','), v), ']')
}

func appendHistogramPoint(b []byte, t int64, h *histogram.FloatHistogram) []byte {
	return append(appendHistogram(append(appendTime(append(b, '['), t), ','), h), ']')
}

func appendSample(b []byte, s promql.Sample) []byte {
	b = appendLabels(append(b, `{"metric":`...), s.Metric)
	if s.H != nil {
		return append(appendHistogramPoint(append(b, `,"histogram":`...), s.T, s.H), '}')
	}
	return append(appendFloatPoint(append(b, `,"value":`...), s.T, s.F), '}')
}

func appendExemplar(b []byte, e exemplar.Exemplar) []byte {
	b = appendLabels(append(b, `{"labels":`...), e.Labels)
	b = appendValue(append(b, `,"value":`...), e.Value)
	return append(appendTime(append(b, `,"timestamp":`...), e.Ts), '}')
}

// series sends one series of a matrix.
func (a *answer) series(s promql.Series) error {
	a.buf = appendLabels(append(a.buf, `{"metric":`...), s.Metric)
	open := `,"values":[`
	for _, p := range s.Floats {
		a.buf = appendFloatPoint(append(a.buf, open...), p.T, p.F)
		open = ","
		if err := a.flow(); err != nil {
			return err
		}
	}
	if open == "," {
		a.buf = append(a.buf, ']')
	}
	open = `,"histograms":[`
	for _, p := range s.Histograms {
		a.buf = appendHistogramPoint(append(a.buf, open...), p.T, p.H)
		open = ","
		if err := a.flow(); err != nil {
			return err
		}
	}
	if open == "," {
		a.buf = append(a.buf, ']')
	}
	a.buf = append(a.buf, '}')
	return nil
}
