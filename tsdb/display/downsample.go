package display

import (
	"cmp"
	"slices"

	"github.com/novacron/novacron/tsdb/query"
)

// reduce leaves out what a chart of MaxPoints cannot show. Only lines and heatmaps over time are reduced.
func reduce(a Answer, o Options) Answer {
	if o.MaxPoints == 0 || a.Instant {
		return a
	}
	switch {
	case o.View == Heatmap:
		return eachNth(a, o.MaxPoints)
	case o.View != TimeSeries:
		return a
	case hasHistograms(a.Rows):
		return eachNth(a, o.MaxPoints)
	}
	return Downsample(a, o.MaxPoints, aligned(o.Format))
}

// aligned tells whether a format gives all series the same times.
func aligned(f Format) bool { return f == UPlot || f == ECharts || f == Grafana || f == CSVWide }

// Downsample keeps at most n times of each series, 4 at least, so that a line looks the same. One series keeps the points
// that LTTB chooses; of several each keeps the least and the greatest value of every bucket, and its first and last point.
// All series have the same buckets. Gaps stay where the answer's step tells them.
//
// Where shared is set, all series get the same times, of which a bucket has two: the values are exact, and may be moved
// within their bucket.
func Downsample(a Answer, n int, shared bool) Answer {
	n = max(n, leastPoints)
	if needed(a, shared) <= n {
		return a
	}
	rows := make([]query.Row, len(a.Rows))
	switch {
	case len(a.Rows) == 1:
		rows[0] = query.Row{Labels: a.Rows[0].Labels, Points: withGaps(a.Rows[0].Points, n, a.Step, lttb)}
	case shared:
		rows = onSlots(a.Rows, n)
	default:
		from, to := bounds(a.Rows)
		for i, row := range a.Rows {
			rows[i] = query.Row{Labels: row.Labels, Points: withGaps(row.Points, n, a.Step, func(points []query.Point, n int) []query.Point {
				return minMax(points, n, from, to)
			})}
		}
	}
	a.Rows = rows
	a.Step = 0 // points are further apart now, and gaps are marked
	return a
}

// needed is how many points the longest series has, or how many times all of them, with markers of gaps.
func needed(a Answer, shared bool) int {
	if shared {
		return len(withBreaks(allTimes(a.Rows), a.Step))
	}
	n := 0
	for _, row := range a.Rows {
		n = max(n, len(row.Points)+len(gaps(row.Points, a.Step)))
	}
	return n
}

// bounds are the first and the last time of any series.
func bounds(rows []query.Row) (from, to int64) {
	first := true
	for _, row := range rows {
		if len(row.Points) == 0 {
			continue
		}
		a, b := row.Points[0].T, lastPoint(row).T
		if first {
			from, to, first = a, b, false
		}
		from, to = min(from, a), max(to, b)
	}
	return from, to
}

// withGaps chooses points and marks the gaps between them, all in all at most n. Where there are more gaps than a quarter of
// that, they are too many to be seen and are not marked.
func withGaps(points []query.Point, n int, step int64, choose func([]query.Point, int) []query.Point) []query.Point {
	marks := gaps(points, step)
	if len(points)+len(marks) <= n {
		return merged(points, marks)
	}
	if len(marks) > n/4 || n-len(marks) < leastPoints {
		return choose(points, n)
	}
	return merged(choose(points, n-len(marks)), marks)
}

// gaps are markers of the times in which a series has nothing for longer than a step.
func gaps(points []query.Point, step int64) []query.Point {
	if step <= 0 || len(points) == 0 {
		return nil
	}
	var marks []query.Point
	for i, p := range points[1:] {
		if p.T-points[i].T > step {
			marks = append(marks, query.Point{T: points[i].T + step, V: gap})
		}
	}
	return marks
}

func merged(a, b []query.Point) []query.Point {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b query.Point) int { return cmp.Compare(a.T, b.T) })
	return all
}

// marked has markers of gaps among the points of each series, for formats in which lines have times of their own.
func marked(a Answer) Answer {
	rows := slices.Clone(a.Rows)
	for i, row := range rows {
		if marks := gaps(row.Points, a.Step); len(marks) > 0 {
			rows[i].Points = merged(row.Points, marks)
		}
	}
	a.Rows = rows
	return a
}

// minMax keeps the first and the last point, and of those between the least and the greatest of each bucket, of which there
// are (n-2)/2 of equal length from one time to another. Of a bucket with NaN alone the first is kept.
func minMax(points []query.Point, n int, from, to int64) []query.Point {
	if len(points) <= n {
		return points
	}
	kept := []query.Point{points[0]}
	b := buckets{from, to, (n - 2) / 2}
	inner := points[1 : len(points)-1]
	for len(inner) > 0 {
		end := b.end(inner)
		first, second := pick(inner[:end])
		kept = append(kept, inner[first])
		if second != first {
			kept = append(kept, inner[second])
		}
		inner = inner[end:]
	}
	return append(kept, points[len(points)-1])
}

// buckets are n parts of equal length of the time from one to another, both inclusive.
type buckets struct {
	from, to int64
	n        int
}

// of is the bucket of a time.
func (b buckets) of(t int64) int {
	if b.to <= b.from {
		return 0
	}
	return min(b.n-1, int(float64(t-b.from)/float64(b.to-b.from)*float64(b.n)))
}

// end is how many of the points, which begin in a bucket, are in it.
func (b buckets) end(points []query.Point) int {
	bucket := b.of(points[0].T)
	for i, p := range points {
		if b.of(p.T) != bucket {
			return i
		}
	}
	return len(points)
}

// pick is where the least and the greatest value are, in order of time. NaN is neither, unless there is nothing else.
func pick(points []query.Point) (first, second int) {
	least, greatest := 0, 0
	for i, p := range points {
		if !(points[least].V <= p.V) && p.V == p.V {
			least = i
		}
		if !(points[greatest].V >= p.V) && p.V == p.V {
			greatest = i
		}
	}
	return min(least, greatest), max(least, greatest)
}

// eachNth keeps every so manieth time of all, and the last: histograms have no extremes to keep. A series without any of
// these times keeps its last point, so that none goes missing.
func eachNth(a Answer, n int) Answer {
	times := allTimes(a.Rows)
	if len(times) <= n {
		return a
	}
	every := (len(times) - 1 + n - 2) / (n - 1)
	keep := map[int64]bool{times[len(times)-1]: true}
	for i := 0; i < len(times); i += every {
		keep[times[i]] = true
	}
	rows := make([]query.Row, len(a.Rows))
	for i, row := range a.Rows {
		rows[i].Labels = row.Labels
		for _, p := range row.Points {
			if keep[p.T] {
				rows[i].Points = append(rows[i].Points, p)
			}
		}
		if len(rows[i].Points) == 0 {
			rows[i].Points = []query.Point{lastPoint(row)}
		}
	}
	a.Rows, a.Step = rows, a.Step*int64(every)
	return a
}
