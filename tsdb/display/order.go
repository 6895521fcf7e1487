package display

import (
	"slices"

	"github.com/novacron/novacron/tsdb/query"
)

// distinctTimes are the times of points in any order, each once.
func distinctTimes(points []query.Point) []int64 {
	times := timesOf(points)
	slices.Sort(times)
	return slices.Compact(times)
}
