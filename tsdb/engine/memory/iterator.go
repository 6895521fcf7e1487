package memory

import (
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// iterator walks over the samples of one series. Histograms leave it as copies.
type iterator struct {
	samples []entry
	at      int    // -1 before the first
	before  *entry // the histogram right before the first sample, if there is one
}

var _ chunkenc.Iterator = (*iterator)(nil)

func (it *iterator) reset(runs []run) {
	it.samples, it.at, it.before = it.samples[:0], -1, runs[0].before
	for _, r := range runs {
		it.samples = r.appendTo(it.samples)
	}
}

func (it *iterator) Next() chunkenc.ValueType {
	if it.at < len(it.samples) {
		it.at++
	}
	return it.kind()
}

func (it *iterator) Seek(t int64) chunkenc.ValueType {
	rest := it.samples[max(it.at, 0):]
	it.at = max(it.at, 0) + sort.Search(len(rest), func(i int) bool { return rest[i].t >= t })
	return it.kind()
}

// kind is the kind of the sample that the iterator stands at.
func (it *iterator) kind() chunkenc.ValueType {
	switch {
	case it.at >= len(it.samples):
		return chunkenc.ValNone
	case it.samples[it.at].whole != nil:
		return chunkenc.ValHistogram
	case it.samples[it.at].float != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func (it *iterator) At() (int64, float64) { return it.samples[it.at].t, it.samples[it.at].v }

func (it *iterator) AtHistogram(into *histogram.Histogram) (int64, *histogram.Histogram) {
	s := it.samples[it.at]
	if into == nil {
		into = &histogram.Histogram{}
	}
	s.whole.CopyTo(into)
	if it.continues() {
		into.CounterResetHint = histogram.NotCounterReset
	}
	return s.t, into
}

func (it *iterator) AtFloatHistogram(into *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	s := it.samples[it.at]
	if into == nil {
		into = &histogram.FloatHistogram{}
	}
	if s.whole != nil {
		s.whole.ToFloat(into)
	} else {
		s.float.CopyTo(into)
	}
	if it.continues() {
		into.CounterResetHint = histogram.NotCounterReset
	}
	return s.t, into
}

func (it *iterator) AtT() int64  { return it.samples[it.at].t }
func (it *iterator) AtST() int64 { return it.samples[it.at].st }
func (it *iterator) Err() error  { return nil }

// continues tells whether the histogram that the iterator stands at counts on from the one right before it.
func (it *iterator) continues() bool {
	switch {
	case it.at > 0:
		return it.samples[it.at].continues(it.samples[it.at-1])
	case it.before != nil:
		return it.samples[0].continues(*it.before)
	}
	return false
}
