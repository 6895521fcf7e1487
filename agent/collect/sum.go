package collect

import (
	"maps"
	"slices"
)

// SeriesPoints is a series as a source tells it, before it has a canonical name.
type SeriesPoints struct {
	Labels map[string]string
	Points []Point
}

// SumOver keeps some labels and sums, for each time, the series that are then the same. It is for amounts; the order is
// that of the kept labels.
func SumOver(series []SeriesPoints, keep ...string) []SeriesPoints {
	byKey := map[string]SeriesPoints{}
	sums := map[string]map[int64]float64{}
	for _, s := range series {
		labels := map[string]string{}
		for _, name := range keep {
			if value, has := s.Labels[name]; has {
				labels[name] = value
			}
		}
		key := SeriesKey("", labels, "")
		if sums[key] == nil {
			sums[key], byKey[key] = map[int64]float64{}, SeriesPoints{Labels: labels}
		}
		one := byKey[key]
		for _, p := range s.Points {
			if _, has := sums[key][p.Time.UnixNano()]; !has {
				one.Points = append(one.Points, Point{Time: p.Time})
			}
			sums[key][p.Time.UnixNano()] += p.Value
		}
		byKey[key] = one
	}
	var all []SeriesPoints
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		one := byKey[key]
		for i := range one.Points {
			one.Points[i].Value = sums[key][one.Points[i].Time.UnixNano()]
		}
		slices.SortFunc(one.Points, func(a, b Point) int { return a.Time.Compare(b.Time) })
		all = append(all, one)
	}
	return all
}
