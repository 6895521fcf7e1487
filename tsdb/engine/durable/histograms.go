package durable

import (
	"cmp"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
)

// histogramPoint is a native histogram of a known series: one of both is set.
type histogramPoint struct {
	t     int64
	start int64 // since when it counts; 0 where that is not known
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

// histogramStore holds the young native histograms, in order of time, one for each time.
type histogramStore struct {
	mu     sync.RWMutex
	series map[uint32][]histogramPoint
}

func newHistogramStore() *histogramStore {
	return &histogramStore{series: map[uint32][]histogramPoint{}}
}

func find(points []histogramPoint, t int64) (int, bool) {
	// Most come in order.
	if n := len(points); n == 0 || points[n-1].t < t {
		return n, false
	}
	return slices.BinarySearchFunc(points, t, func(p histogramPoint, t int64) int { return cmp.Compare(p.t, t) })
}

// add stores a histogram, which nobody changes any more. Floats of the series, of which one may stand between two
// histograms, have times up to lastFloat.
func (h *histogramStore) add(id uint32, p histogramPoint, lastFloat int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	points := h.series[id]
	at, same := find(points, p.t)
	if same {
		// Readers may hold the slice: it is replaced, not changed.
		points = slices.Clone(points)
		points[at] = p
	} else if at == len(points) {
		points = append(points, p)
	} else {
		points = slices.Insert(slices.Clone(points), at, p)
	}
	compare(points, at, lastFloat)
	compare(points, at+1, lastFloat)
	h.series[id] = points
}

// interrupt makes room for a float at a time: a histogram of that time is forgotten, and the next one does not say
// anything of those before.
func (h *histogramStore) interrupt(id uint32, t int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	points := h.series[id]
	at, same := find(points, t)
	if at == len(points) {
		return
	}
	points = slices.Clone(points)
	if same {
		points = slices.Delete(points, at, at+1)
	}
	if at < len(points) {
		points[at].unsay()
	}
	h.series[id] = points
}

// between returns the histograms of a series in the bounds, both inclusive. They are not to be changed.
func (h *histogramStore) between(id uint32, minT, maxT int64) []histogramPoint {
	h.mu.RLock()
	defer h.mu.RUnlock()
	points := h.series[id]
	from, _ := find(points, minT)
	to, same := find(points, maxT)
	if same {
		to++
	}
	return points[min(from, to):to:to]
}

// drop forgets what lies in the bounds, of some series or, where ids is nil, of all.
func (h *histogramStore) drop(ids func(uint32) bool, minT, maxT int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, points := range h.series {
		if ids != nil && !ids(id) {
			continue
		}
		from, _ := find(points, minT)
		to, same := find(points, maxT)
		if same {
			to++
		}
		if from >= to {
			continue
		}
		if from == 0 && to == len(points) {
			delete(h.series, id)
			continue
		}
		kept := slices.Concat(points[:from], points[to:])
		if from < len(kept) {
			kept[from].unsay()
		}
		h.series[id] = kept
	}
}

// has tells whether a series has histograms.
func (h *histogramStore) has(id uint32) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.series[id]) > 0
}
