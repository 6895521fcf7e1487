package durable

import (
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// startStore knows since when the counters of young floats have been counting, for the series that say so.
type startStore struct {
	mu     sync.Mutex
	series map[uint32]*startSeries
}

// startSeries are the starts of one series. Most samples have the start of the one before, so what is kept is where it
// changes.
type startSeries struct {
	newest int64 // time of the newest sample
	steps  []step
}

// step says that samples from a time on have a start; before the first step it is not known.
type step struct{ t, start int64 }

func newStartStore() *startStore { return &startStore{series: map[uint32]*startSeries{}} }

// set gives the sample of a time a start, 0 for not known. Newest tells that no other sample is as late.
func (st *startStore) set(id uint32, t, start int64, newest bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.series[id]
	if s == nil {
		if start == 0 {
			return
		}
		s = &startSeries{newest: t}
		st.series[id] = s
	}
	s.newest = max(s.newest, t)
	if newest {
		s.from(t, start)
	} else {
		s.only(t, start)
	}
}

// from gives all samples from a time on a start; what is known of later times is forgotten.
func (s *startSeries) from(t, start int64) {
	before := s.after(t - 1)
	if t == math.MinInt64 {
		before = 0
	}
	s.steps = s.steps[:before]
	if s.value(before) != start {
		s.steps = append(s.steps, step{t, start})
	}
}

// only gives the sample of a time a start, and no other.
func (s *startSeries) only(t, start int64) {
	at := s.after(t)
	known := s.value(at)
	if known == start {
		return
	}
	rest := slices.Clone(s.steps[at:])
	s.from(t, start)
	if t < math.MaxInt64 && (len(rest) == 0 || rest[0].t != t+1) {
		s.from(t+1, known)
	}
	for _, next := range rest {
		s.from(next.t, next.start)
	}
}

// after is the place of the first step behind a time.
func (s *startSeries) after(t int64) int {
	return sort.Search(len(s.steps), func(i int) bool { return s.steps[i].t > t })
}

// value is the start of samples in front of the step at a place.
func (s *startSeries) value(at int) int64 {
	if at == 0 {
		return 0
	}
	return s.steps[at-1].start
}

// of returns the starts of the samples of ascending times, nil where none is known.
func (st *startStore) of(id uint32, times []int64) []int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.series[id]
	if s == nil || len(times) == 0 {
		return nil
	}
	at, end := s.after(times[0]), s.after(times[len(times)-1])
	if at == end && s.value(at) == 0 {
		return nil
	}
	starts := make([]int64, len(times))
	for i, t := range times {
		for at < end && s.steps[at].t <= t {
			at++
		}
		starts[i] = s.value(at)
	}
	return starts
}

// prune forgets what concerns only samples before a time.
func (st *startStore) prune(before int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for id, s := range st.series {
		if s.newest < before {
			delete(st.series, id)
			continue
		}
		if at := s.after(before); at > 1 {
			s.steps = slices.Clone(s.steps[at-1:])
		}
	}
}

// forget drops a series.
func (st *startStore) forget(id uint32) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.series, id)
}

// has tells whether starts of a series are kept.
func (st *startStore) has(id uint32) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.series[id] != nil
}

// setStart keeps the start of a float that is about to be stored. The page is locked.
func (h *head) setStart(s *series, id uint32, t, start int64) {
	h.spanAt(t) // so that nothing prunes it
	last, _ := s.open.Last()
	s.marks |= started
	h.starts.set(id, t, start, !s.has(alive) || t > last)
}

// withStarts replaces chunks of floats whose starts are known by their samples. The page is locked.
func (h *head) withStarts(id uint32, chunks []merge.Chunk) {
	for i := range chunks {
		ts, vs, err := chunk.DecodeXOR(nil, nil, chunks[i].Values)
		if err != nil {
			continue // whoever decodes the chunk tells
		}
		if starts := h.starts.of(id, ts); starts != nil {
			chunks[i], _ = merge.NewRaw(&merge.Columns{Type: chunkenc.ValFloat, Times: ts, Values: vs, Starts: starts})
		}
	}
}
