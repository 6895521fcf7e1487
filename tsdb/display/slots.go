package display

import (
	"math"

	"github.com/novacron/novacron/tsdb/query"
)

// never stands for a time that there is none of.
const never = math.MinInt64

// slots are times that many series share: the first of all, two for each bucket between, and the last of all.
type slots struct {
	buckets
	times []int64 // of the answer, in order
	// first and last are those of the bucket's times that are inside, never where it has none.
	first, last []int64
}

// onSlots gives all series at most n times. A bucket has its first and its last time; a series has its least and its
// greatest value there, in the order in which they came, and its only value at both. A bucket in which no series has
// anything has one time, with gaps.
func onSlots(rows []query.Row, n int) []query.Row {
	s := newSlots(allTimes(rows), n)
	placed := make([]query.Row, len(rows))
	for i, row := range rows {
		placed[i] = query.Row{Labels: row.Labels, Points: s.place(row.Points)}
	}
	return placed
}

func newSlots(times []int64, n int) *slots {
	s := &slots{times: times, buckets: buckets{times[0], times[len(times)-1], (n - 2) / 2}}
	s.first, s.last = make([]int64, s.n), make([]int64, s.n)
	for b := range s.first {
		s.first[b], s.last[b] = never, never
	}
	for _, t := range times[1 : len(times)-1] {
		b := s.of(t)
		if s.first[b] == never {
			s.first[b] = t
		}
		s.last[b] = t
	}
	return s
}

// place is a series on the slots, with a gap at each that it has nothing for.
func (s *slots) place(points []query.Point) []query.Point {
	from, to := s.times[0], s.times[len(s.times)-1]
	placed := []query.Point{{T: from, V: gap}}
	if len(points) > 0 && points[0].T == from {
		placed[0], points = points[0], points[1:]
	}
	end := query.Point{T: to, V: gap}
	if n := len(points); n > 0 && points[n-1].T == to {
		end, points = points[n-1], points[:n-1]
	}
	for b := range s.n {
		var inside []query.Point
		if len(points) > 0 && s.of(points[0].T) == b {
			n := s.end(points)
			inside, points = points[:n], points[n:]
		}
		placed = append(placed, s.bucket(b, inside)...)
	}
	return append(placed, end)
}

// bucket are the points at the times of a bucket.
func (s *slots) bucket(b int, inside []query.Point) []query.Point {
	at := []query.Point{{T: s.first[b], V: gap}, {T: s.last[b], V: gap}}
	if s.first[b] == never { // nobody has anything
		at = []query.Point{{T: s.middle(b), V: gap}}
	}
	if len(inside) > 0 {
		first, second := pick(inside)
		at[0].V, at[1].V = inside[first].V, inside[second].V
	}
	if len(at) == 2 && at[0].T == at[1].T { // one time, and so one value
		return at[:1]
	}
	return at
}

// middle is a time within a bucket.
func (s *slots) middle(b int) int64 {
	return s.from + int64((float64(b)+0.5)/float64(s.n)*float64(s.to-s.from))
}
