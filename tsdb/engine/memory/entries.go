package memory

import (
	"cmp"
	"slices"

	"github.com/nakabonne/tstorage"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// entry is one sample: a float, or one of the histograms is set.
type entry struct {
	t, st int64 // st is since when it counts, 0 for unknown
	v     float64
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

func (s entry) isHistogram() bool { return s.whole != nil || s.float != nil }

// isPlain tells whether tstorage can hold all of the sample.
func (s entry) isPlain() bool { return !s.isHistogram() && s.st == 0 }

// continues tells whether a histogram counts on from another, of the same kind and without a reset between them.
func (s entry) continues(before entry) bool {
	switch {
	case s.whole != nil && before.whole != nil:
		return counts(s.whole.CounterResetHint, s.whole.Sum, before.whole.Sum) && !s.whole.ToFloat(nil).DetectReset(before.whole.ToFloat(nil))
	case s.float != nil && before.float != nil:
		return counts(s.float.CounterResetHint, s.float.Sum, before.float.Sum) && !s.float.DetectReset(before.float)
	}
	return false
}

// counts tells whether two histograms can be compared: the later is no gauge, and neither is a stale marker.
func counts(hint histogram.CounterResetHint, sum, before float64) bool {
	return hint != histogram.GaugeType && !value.IsStaleNaN(sum) && !value.IsStaleNaN(before)
}

// entries is a log of samples in the order of writing. What was written is never changed in place, so that readers can
// keep a view of it.
type entries struct {
	all []entry
	// tidy is the length of the start that is in order of time, with each time once.
	tidy int
}

// add writes a sample. The log is put in order when the untidy rest outgrows the start, so that many samples of one
// time take room once.
func (l *entries) add(s entry) {
	ordered := l.tidy == len(l.all) && (l.tidy == 0 || l.all[l.tidy-1].t < s.t)
	l.all = append(l.all, s)
	if ordered {
		l.tidy++
	} else if len(l.all) > 2*l.tidy+64 {
		l.all = l.ordered()
		l.tidy = len(l.all)
	}
}

// ordered are the samples in order of time, of each time the last written.
func (l *entries) ordered() []entry {
	if l.tidy == len(l.all) {
		return l.all
	}
	sorted := slices.Clone(l.all)
	slices.SortStableFunc(sorted, byTime)
	kept := sorted[:0]
	for i, s := range sorted {
		if i+1 == len(sorted) || sorted[i+1].t != s.t {
			kept = append(kept, s)
		}
	}
	return kept
}

func byTime(a, b entry) int { return cmp.Compare(a.t, b.t) }

// run is a view of a part: what later writes do to the part does not change it.
type run struct {
	number int64
	points []*tstorage.DataPoint
	late   []entry // of the log, in order of time
	before *entry  // of the log, right before all others; nil where a row or nothing is there
}

// run views the samples of a part with offsets in the bounds, both inclusive.
func (w *window) run(p *part, lo, hi int64) (run, error) {
	r := run{number: w.number}
	var err error
	if r.points, err = w.points(p, lo, hi); err != nil || len(p.log.all) == 0 {
		return r, err
	}
	late := p.log.ordered()
	first, _ := slices.BinarySearchFunc(late, entry{t: join(w.number, lo)}, byTime)
	end, found := slices.BinarySearchFunc(late, entry{t: join(w.number, hi)}, byTime)
	if found {
		end++
	}
	r.late = late[first:end]
	if first > 0 {
		_, offset := split(late[first-1].t)
		between, err := w.points(p, offset+1, lo-1)
		if err != nil {
			return r, err
		}
		if len(between) == 0 {
			r.before = &late[first-1]
		}
	}
	return r, nil
}

func (r run) empty() bool { return len(r.points) == 0 && len(r.late) == 0 }

// appendTo appends the samples in order of time. An entry of the log goes before a row with its time: rows are newer
// than all before them when they are written, so such an entry came later.
func (r run) appendTo(dst []entry) []entry {
	late := r.late
	for _, point := range r.points {
		t := join(r.number, point.Timestamp-firstOffset)
		for ; len(late) > 0 && late[0].t < t; late = late[1:] {
			dst = append(dst, late[0])
		}
		if len(late) == 0 || late[0].t != t {
			dst = append(dst, entry{t: t, v: point.Value})
		}
	}
	return append(dst, late...)
}
