package fast

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// DeclinedError is that something was met which upstream has to evaluate.
type DeclinedError struct{ Why string }

func (e *DeclinedError) Error() string { return e.Why }

// What is declined while series are read: histograms, and series of which each has values at few of many steps, as rows
// have room for all.
var (
	errHistograms = &DeclinedError{"native histograms"}
	errSparse     = &DeclinedError{"many series with few values"}
)

// Arrays is an iterator that has its samples in arrays. Floats gives samples in order of time from a time on, but none
// that it gave before, as many as it has together: the arrays are of one length, but starts may be empty, and hold until
// the next call. The type is ValNone at the end, and after an error; the arrays are nil where it is not ValFloat.
type Arrays interface {
	Floats(from int64) (times []int64, values []float64, starts []int64, kind chunkenc.ValueType)
}

// stepped is an iterator that may have a sample for each of some times and no others: Steps gives their values, stale
// markers included, and is at the end then; else it gives nil.
type stepped interface {
	Steps(start, step int64, n int) []float64
}

// Meter is told what an evaluation reads, and ends it by an error.
type Meter interface {
	Series(lset labels.Labels) error
	Samples(n int64) error
}

// reader gives the samples of one series after the other as arrays, stale markers included.
type reader struct {
	ctx   context.Context
	meter Meter
	it    chunkenc.Iterator

	// times and values are what was read last, and at the place of the first sample that is not consumed yet. starts is
	// empty where no counter tells since when it counts.
	times  []int64
	values []float64
	starts []int64
	at     int

	ended bool
	last  int64 // the time of the last sample that was read
	read  int64 // samples that the meter was not told of yet
	batch batch
}

// batch is memory for samples of an iterator that has them one by one.
type batch struct {
	times  []int64
	values []float64
	starts []int64
}

// gathered is how many samples of an iterator are read at one time.
const gathered = 128

func (r *reader) open(s storage.Series) {
	r.it = s.Iterator(r.it)
	r.times, r.values, r.starts, r.at, r.last, r.ended = nil, nil, nil, 0, math.MinInt64, false
}

// consume goes on by n samples that the evaluation looks at.
func (r *reader) consume(n int) {
	r.at += n
	r.read += int64(n)
}

// skip goes on to the first sample at a time or later, of those that are there.
func (r *reader) skip(from int64) {
	if r.at < len(r.times) && r.times[r.at] < from {
		r.at += ahead(r.times[r.at:], from)
	}
}

// ahead is the place of the first time at t or later. It is often near.
func ahead(times []int64, t int64) int {
	for at := range min(8, len(times)) {
		if times[at] >= t {
			return at
		}
	}
	at, _ := slices.BinarySearch(times, t)
	return at
}

// more reads samples from a time on when all that were read are consumed; false where there are none. Those that an
// iterator has one by one are read up to the first one after until.
func (r *reader) more(from, until int64) (bool, error) {
	if r.ended {
		return false, nil
	}
	if err := r.settle(); err != nil {
		return false, err
	}
	var kind chunkenc.ValueType
	if has, is := r.it.(Arrays); is {
		r.times, r.values, r.starts, kind = has.Floats(from)
	} else {
		r.times, r.values, r.starts, kind = r.gather(from, until)
	}
	r.at = 0
	switch kind {
	case chunkenc.ValNone:
		r.times, r.ended = nil, true
		return false, r.it.Err()
	case chunkenc.ValFloat:
		r.last = r.times[len(r.times)-1]
		return true, nil
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
	}
	return false, errHistograms
}

// gather reads samples of an iterator that has them one by one. Of floats and a histogram it tells the histogram alone.
func (r *reader) gather(from, until int64) (times []int64, values []float64, starts []int64, kind chunkenc.ValueType) {
	b := &r.batch
	b.times, b.values, b.starts = b.times[:0], b.values[:0], b.starts[:0]
	if from > r.last {
		kind = r.it.Seek(from)
	} else {
		kind = r.it.Next()
	}
	for ; kind == chunkenc.ValFloat; kind = r.it.Next() {
		t, v := r.it.At()
		b.times, b.values, b.starts = append(b.times, t), append(b.values, v), append(b.starts, r.it.AtST())
		if t > until || len(b.times) == gathered {
			return b.times, b.values, b.starts, kind
		}
	}
	if kind != chunkenc.ValNone {
		return nil, nil, nil, kind
	}
	if len(b.times) > 0 {
		kind = chunkenc.ValFloat
	}
	return b.times, b.values, b.starts, kind
}

// settle tells the meter what was read, and looks whether the evaluation is to go on.
func (r *reader) settle() error {
	if err := done(r.ctx); err != nil {
		return err
	}
	n := r.read
	r.read = 0
	if n == 0 {
		return nil
	}
	return r.meter.Samples(n)
}
