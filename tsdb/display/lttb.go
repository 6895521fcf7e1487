package display

import (
	"math"

	"github.com/novacron/novacron/tsdb/query"
)

// lttb keeps n points of a line, the first and the last among them, such that it looks the same: of each of n-2 buckets the
// point that makes the largest triangle with the one kept before and the middle of the bucket after. It is
// Largest-Triangle-Three-Buckets of S. Steinarsson, Downsampling Time Series for Visual Representation, 2013.
// A bucket in which nothing makes a triangle, such as one of NaN, keeps its first point; an infinite value is kept.
func lttb(points []query.Point, n int) []query.Point {
	if len(points) <= n {
		return points
	}
	kept := append(make([]query.Point, 0, n), points[0])
	size := float64(len(points)-2) / float64(n-2)
	start := func(bucket int) int { return 1 + int(float64(bucket)*size) }
	for b := range n - 2 {
		from, to := start(b), start(b+1)
		next := points[to:min(start(b+2), len(points))]
		if b == n-3 {
			to, next = len(points)-1, points[len(points)-1:]
		}
		kept = append(kept, largest(points[from:to], kept[len(kept)-1], middle(next)))
	}
	return append(kept, points[len(points)-1])
}

// largest is the point that makes the largest triangle with two others.
func largest(points []query.Point, a, c query.Point) query.Point {
	best, most := points[0], -1.0
	for _, p := range points {
		if math.IsInf(p.V, 0) {
			return p
		}
		area := math.Abs(float64(a.T-c.T)*(p.V-a.V) - float64(a.T-p.T)*(c.V-a.V))
		if area > most {
			best, most = p, area
		}
	}
	return best
}

// middle is the mean of the points that have a finite value, by time and by value.
func middle(points []query.Point) query.Point {
	var t, v, n float64
	for _, p := range points {
		if finite(p.V) {
			t, v, n = t+float64(p.T-points[0].T), v+p.V/float64(len(points)), n+1
		}
	}
	if n == 0 {
		return points[0]
	}
	return query.Point{T: points[0].T + int64(t/n), V: v * float64(len(points)) / n}
}
