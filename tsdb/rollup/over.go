package rollup

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
)

// point is a sample that a window shows.
type point struct {
	t    int64
	v    float64
	kind chunkenc.ValueType
}

// over reads raw samples as a column of windows.
type over struct {
	raw     chunkenc.Iterator
	window  int64
	column  engine.Column
	begun   bool
	ahead   chunkenc.ValueType // of the raw sample that comes next
	row     row                // the window
	counter counting
	// The last histograms of the window, and room for the next ones.
	whole, spare      *histogram.Histogram
	float, spareFloat *histogram.FloatHistogram
	points            [2]point // what the window shows
	count, at         int
}

// Over reads raw samples as windows of some length in milliseconds, as they come: where nobody has made the windows
// yet. Histograms have one column, the last of each window; where a window's last sample is a histogram it shows
// nothing else. The raw samples must be those of whole windows, see RawBounds.
func Over(raw chunkenc.Iterator, window int64, c engine.Column) chunkenc.Iterator {
	return &over{raw: raw, window: window, column: c}
}

// Next implements chunkenc.Iterator.
func (o *over) Next() chunkenc.ValueType {
	if !o.begun {
		o.begun = true
		o.ahead = o.raw.Next()
	}
	if o.at++; o.at < o.count {
		return o.points[o.at].kind
	}
	o.count = 0
	for o.count == 0 && o.ahead != chunkenc.ValNone {
		o.read()
	}
	if o.count == 0 {
		return chunkenc.ValNone
	}
	return o.points[0].kind
}

// Seek implements chunkenc.Iterator. It skips whole windows of raw samples where nothing hangs on them.
func (o *over) Seek(t timestamp) chunkenc.ValueType {
	if o.at < o.count && o.points[o.at].t >= t {
		return o.points[o.at].kind
	}
	if o.column != engine.ColumnCounter {
		from, _ := RawBounds(t, t, o.window)
		if !o.begun || o.ahead != chunkenc.ValNone {
			o.begun = true
			o.ahead = o.raw.Seek(from)
		}
	}
	for kind := o.Next(); kind != chunkenc.ValNone; kind = o.Next() {
		if o.AtT() >= t {
			return kind
		}
	}
	return chunkenc.ValNone
}

// read makes the points of the next window; none where all its samples are stale markers.
func (o *over) read() {
	o.row = row{end: EndOf(o.raw.AtT(), o.window)}
	last := chunkenc.ValNone
	for o.ahead != chunkenc.ValNone && o.raw.AtT() <= o.row.end {
		if o.take(o.ahead) {
			last = o.ahead
		}
		o.ahead = o.raw.Next()
	}
	o.show(last)
}

// take takes in a raw sample; false for stale markers, which do not count.
func (o *over) take(kind chunkenc.ValueType) bool {
	switch kind {
	case chunkenc.ValFloat:
		t, v := o.raw.At()
		if math.Float64bits(v) == value.StaleNaN {
			return false
		}
		if o.row.count > 0 {
			o.row.add(t, v)
		} else {
			o.row = newRow(o.row.end, t, v)
		}
	case chunkenc.ValHistogram:
		_, o.spare = o.raw.AtHistogram(o.spare)
		if math.Float64bits(o.spare.Sum) == value.StaleNaN {
			return false
		}
		unsay(&o.spare.CounterResetHint)
		o.whole, o.spare = o.spare, o.whole
	case chunkenc.ValFloatHistogram:
		_, o.spareFloat = o.raw.AtFloatHistogram(o.spareFloat)
		if math.Float64bits(o.spareFloat.Sum) == value.StaleNaN {
			return false
		}
		unsay(&o.spareFloat.CounterResetHint)
		o.float, o.spareFloat = o.spareFloat, o.float
	}
	return true
}

// unsay takes back what a counter says of the sample before, which may be left out of the windows.
func unsay(hint *histogram.CounterResetHint) {
	if *hint != histogram.GaugeType {
		*hint = histogram.UnknownCounterReset
	}
}

// show lists the points of the window that was read, whose last sample is of a kind.
func (o *over) show(last chunkenc.ValueType) {
	r := &o.row
	o.at, o.count = 0, 1
	p := &o.points[0]
	*p = point{t: r.end, kind: last}
	if last != chunkenc.ValFloat {
		if last == chunkenc.ValNone {
			o.count = 0
		}
		return
	}
	switch o.column {
	case engine.ColumnLast:
		p.v = r.last
	case engine.ColumnCount:
		p.v = r.count
	case engine.ColumnSum:
		p.v = r.sum()
	case engine.ColumnMin:
		p.v = r.low
	case engine.ColumnMax:
		p.v = r.high
	case engine.ColumnCounter:
		first, total := o.counter.next(r)
		p.t, p.v = r.firstT, first
		if r.lastT != r.firstT {
			o.points[1] = point{t: r.lastT, v: total, kind: last}
			o.count = 2
		}
	}
}

// At implements chunkenc.Iterator.
func (o *over) At() (t timestamp, v float64) { return o.points[o.at].t, o.points[o.at].v }

// AtT implements chunkenc.Iterator.
func (o *over) AtT() timestamp { return o.points[o.at].t }

// AtST implements chunkenc.Iterator: windows have no start time.
func (o *over) AtST() timestamp { return 0 }

// AtHistogram implements chunkenc.Iterator.
func (o *over) AtHistogram(into *histogram.Histogram) (timestamp, *histogram.Histogram) {
	if into == nil {
		into = new(histogram.Histogram)
	}
	o.whole.CopyTo(into)
	return o.AtT(), into
}

// AtFloatHistogram implements chunkenc.Iterator.
func (o *over) AtFloatHistogram(into *histogram.FloatHistogram) (timestamp, *histogram.FloatHistogram) {
	if into == nil {
		into = new(histogram.FloatHistogram)
	}
	if o.points[o.at].kind == chunkenc.ValHistogram {
		return o.AtT(), o.whole.ToFloat(into)
	}
	o.float.CopyTo(into)
	return o.AtT(), into
}

// Err implements chunkenc.Iterator.
func (o *over) Err() error { return o.raw.Err() }
