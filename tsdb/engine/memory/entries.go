package memory

import (
	"cmp"
	"slices"

	"github.com/nakabonne/tstorage"
	"github.com/prometheus/prometheus/model/histogram"
)

// entry is one sample: a float, or one of the histograms is set.
type entry struct {
	t     int64
	v     float64
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

func (s entry) isHistogram() bool { return s.whole != nil || s.float != nil }

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
	log    entries
	lo, hi int64 // bounds of the log's entries, inclusive
}

// run views the samples of a part with offsets in the bounds, both inclusive.
func (w *window) run(p *part, lo, hi int64) (run, error) {
	points, err := w.points(p, lo, hi)
	return run{w.number, points, p.log, join(w.number, lo), join(w.number, hi)}, err
}

func (r run) empty() bool {
	return len(r.points) == 0 && !slices.ContainsFunc(r.log.all, func(s entry) bool { return r.lo <= s.t && s.t <= r.hi })
}

// appendTo appends the samples in order of time. An entry of the log goes before a row with its time: rows are newer
// than all before them when they are written, so such an entry came later.
func (r run) appendTo(dst []entry) []entry {
	late := r.log.ordered()
	first, _ := slices.BinarySearchFunc(late, entry{t: r.lo}, byTime)
	late = late[first:]
	for _, point := range r.points {
		t := join(r.number, point.Timestamp-firstOffset)
		for ; len(late) > 0 && late[0].t < t; late = late[1:] {
			dst = append(dst, late[0])
		}
		if len(late) == 0 || late[0].t != t {
			dst = append(dst, entry{t: t, v: point.Value})
		}
	}
	for ; len(late) > 0 && late[0].t <= r.hi; late = late[1:] {
		dst = append(dst, late[0])
	}
	return dst
}
