package fast

import (
	"math"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
)

// patience is how many points are looked at between two looks at the context.
const patience = 1 << 20

// overTime is the function of the plan: it fills in the row of a series, and tells how many of the values there are.
func (e *evaluation) overTime() func(lset labels.Labels, row []float64) (n int, err error) {
	f, w := *e.function, &window{reader: &e.reader}
	f.notes, f.back, f.offset = &e.notes, e.back, e.offset
	ahead := int64(math.MinInt64)
	if e.step <= e.back {
		ahead = e.at(e.steps - 1)
	}
	return func(lset labels.Labels, row []float64) (n int, err error) {
		f.metric = lset
		w.restart(ahead)
		work := 0
		for step := range row {
			row[step] = Absent
			until := e.at(step)
			if err := w.slide(until-e.back, until); err != nil {
				return 0, err
			}
			if w.hi == w.lo {
				continue
			}
			if err := e.tally.pass(w.hi - w.lo); err != nil {
				return 0, err
			}
			if work += w.hi - w.lo; work > patience {
				if err := done(e.ctx); err != nil {
					return 0, err
				}
				work = 0
			}
			e.tally.total[step] += int64(w.hi - w.lo)
			e.tally.read[step] += int64(w.fresh())
			if v, ok := f.value(&f, w, until); ok {
				row[step] = v
				n++
			}
		}
		if f.counter && n > 0 {
			f.checkName()
		}
		return n, e.holdRow(n, w.hi-w.lo)
	}
}

// holdRow counts the row of a series, while its last window is still held.
func (e *evaluation) holdRow(n, window int) error {
	if err := e.tally.pass(n + window); err != nil {
		return err
	}
	return e.tally.hold(n)
}

// name is that of the metric.
func (f *function) name() string { return f.metric.Get(model.MetricNameLabel) }

// checkName tells of a metric that is no counter by its name, as upstream does.
func (f *function) checkName() {
	name := f.name()
	if name == "" || name == f.notes.lastName {
		return
	}
	for _, ending := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, ending) {
			return
		}
	}
	f.notes.lastName = name
	f.notes.add(annotations.NewPossibleNonCounterInfo(name, f.position))
}

// lookup fills in the row of a series with the last value before each step, no older than the lookback.
func (e *evaluation) lookup(_ labels.Labels, row []float64) (n int, err error) {
	r := &e.reader
	if has, is := r.it.(stepped); is {
		if values := has.Steps(e.at(0), e.step, len(row)); values != nil {
			return e.copied(values, row)
		}
	}
	at, value := int64(math.MinInt64), Absent
	for step := range row {
		until := e.at(step)
		oldest := until - e.back + 1
		for {
			r.skip(oldest)
			pending := r.times[r.at:]
			if k := ahead(pending, until+1); k > 0 {
				at, value = pending[k-1], r.values[r.at+k-1]
				r.consume(k)
			}
			if r.at < len(r.times) {
				break
			}
			if more, err := r.more(oldest, until); err != nil {
				return 0, err
			} else if !more {
				break
			}
		}
		row[step] = Absent
		if at >= oldest && !isAbsent(value) {
			row[step] = value
			n++
			e.tally.total[step]++
			e.tally.read[step]++
		}
	}
	return n, e.tally.hold(n)
}

// copied fills in a row with values that are there for each step.
func (e *evaluation) copied(values, row []float64) (n int, err error) {
	for step, v := range values {
		if row[step] = v; !isAbsent(v) {
			n++
			e.tally.total[step]++
			e.tally.read[step]++
		}
	}
	e.reader.read += int64(len(values))
	return n, e.tally.hold(n)
}
