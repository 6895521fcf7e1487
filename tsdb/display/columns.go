package display

import (
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query"
)

// columns are series with the same times.
type columns struct {
	times  []int64
	series []columnOf
}

// columnOf is one series: a value, or a gap, for each of the times.
type columnOf struct {
	labels labels.Labels
	values []float64
}

// align gives all series the times of all. Where all of them have nothing for longer than a step, a time with gaps alone
// says so: a chart would draw a line over it.
func align(rows []query.Row, step int64) columns {
	c := columns{times: withBreaks(allTimes(rows), step)}
	for _, row := range rows {
		c.series = append(c.series, columnOf{row.Labels, spread(row.Points, c.times)})
	}
	return c
}

// allTimes are the times of any series, in order.
func allTimes(rows []query.Row) []int64 {
	if sharesTimes(rows) {
		return timesOf(rows[0].Points)
	}
	all := map[int64]struct{}{}
	for _, row := range rows {
		for _, p := range row.Points {
			all[p.T] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// sharesTimes tells whether every series has the times of the first: the common case, without gaps.
func sharesTimes(rows []query.Row) bool {
	if len(rows) == 0 {
		return false
	}
	for _, row := range rows[1:] {
		if !slices.EqualFunc(row.Points, rows[0].Points, func(a, b query.Point) bool { return a.T == b.T }) {
			return false
		}
	}
	return true
}

func timesOf(points []query.Point) []int64 {
	times := make([]int64, len(points))
	for i, p := range points {
		times[i] = p.T
	}
	return times
}

// withBreaks adds a time after each that is followed by nothing for longer than a step, where that is known.
func withBreaks(times []int64, step int64) []int64 {
	if step <= 0 {
		return times
	}
	full := make([]int64, 0, len(times))
	for i, t := range times {
		if i > 0 && t-times[i-1] > step {
			full = append(full, times[i-1]+step)
		}
		full = append(full, t)
	}
	return full
}

// spread puts points, which are in order, on times, which have all of theirs.
func spread(points []query.Point, times []int64) []float64 {
	values := make([]float64, len(times))
	for i, t := range times {
		values[i] = gap
		if len(points) > 0 && points[0].T == t {
			values[i], points = points[0].V, points[1:]
		}
	}
	return values
}
