package durable

import (
	"cmp"
	"slices"
	"sync"
)

// point is a sample of a known series.
type point struct {
	t int64
	v float64
}

// lates holds the samples that came after a later one of their series, and those that replace another of the same
// time. They are few: late data of clouds, second deliveries.
type lates struct {
	mu     sync.Mutex
	series map[uint32]*lateSeries
}

// lateSeries are the late samples of one series; sorted is false after one was added.
type lateSeries struct {
	points []point
	sorted bool
}

func newLates() *lates { return &lates{series: map[uint32]*lateSeries{}} }

func (l *lates) add(id uint32, p point) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.series[id]
	if s == nil {
		s = &lateSeries{}
		l.series[id] = s
	}
	s.points = append(s.points, p)
	s.sorted = false
}

// sort brings the points in order of time, the last one written of each time alone.
func (s *lateSeries) sort() {
	if s.sorted {
		return
	}
	slices.SortStableFunc(s.points, func(a, b point) int { return cmp.Compare(a.t, b.t) })
	kept := s.points[:0]
	for i, p := range s.points {
		if i+1 == len(s.points) || s.points[i+1].t != p.t {
			kept = append(kept, p)
		}
	}
	s.points, s.sorted = kept, true
}

// between copies the points of a series in the bounds, both inclusive, in order of time.
func (l *lates) between(id uint32, minT, maxT int64) (ts []int64, vs []float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.series[id]
	if s == nil {
		return nil, nil
	}
	s.sort()
	for _, p := range s.points {
		if minT <= p.t && p.t <= maxT {
			ts, vs = append(ts, p.t), append(vs, p.v)
		}
	}
	return ts, vs
}

// drop forgets what lies in the bounds, of one series or, where id is negative, of all.
func (l *lates) drop(id int64, minT, maxT int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id >= 0 {
		l.dropFrom(uint32(id), minT, maxT)
		return
	}
	for id := range l.series {
		l.dropFrom(id, minT, maxT)
	}
}

func (l *lates) dropFrom(id uint32, minT, maxT int64) {
	s := l.series[id]
	if s == nil {
		return
	}
	s.points = slices.DeleteFunc(s.points, func(p point) bool { return minT <= p.t && p.t <= maxT })
	if len(s.points) == 0 {
		delete(l.series, id)
	}
}

// has tells whether a series has late samples.
func (l *lates) has(id uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.series[id] != nil
}
