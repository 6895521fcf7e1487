package collect

import (
	"maps"
	"math"
	"strconv"
	"time"
)

// LinearBounds are the upper bounds of all but the last bucket of a distribution with n finite ones of equal width.
func LinearBounds(n int, width, offset float64) []float64 {
	bounds := make([]float64, 0, n+1)
	for i := 0; i <= n; i++ {
		bounds = append(bounds, offset+width*float64(i))
	}
	return bounds
}

// ExponentialBounds are the same with finite buckets each growth times as wide as the one before.
func ExponentialBounds(n int, growth, scale float64) []float64 {
	bounds := make([]float64, 0, n+1)
	for i := 0; i <= n; i++ {
		bounds = append(bounds, scale*math.Pow(growth, float64(i)))
	}
	return bounds
}

// Distribution is a histogram of Google's: Counts has one more than Bounds, less those at its end that are 0.
type Distribution struct {
	Bounds []float64
	Counts []int64
	Count  int64
	Mean   float64
}

// Add sums two distributions with the same bounds.
func (d Distribution) Add(other Distribution) Distribution {
	sum := Distribution{Bounds: other.Bounds, Count: d.Count + other.Count}
	if sum.Count > 0 {
		sum.Mean = (d.Mean*float64(d.Count) + other.Mean*float64(other.Count)) / float64(sum.Count)
	}
	sum.Counts = make([]int64, max(len(d.Counts), len(other.Counts)))
	for _, counts := range [][]int64{d.Counts, other.Counts} {
		for i, n := range counts {
			sum.Counts[i] += n
		}
	}
	return sum
}

// Metrics are the series of a histogram of Prometheus's: cumulative buckets by their upper bound, sum and count. The
// bounds and the mean are converted to the base unit.
func (d Distribution) Metrics(name string, labels map[string]string, source string, at time.Time, c Conversion) []Metric {
	make1 := func(suffix string, labels map[string]string, v float64) Metric {
		return Metric{Name: name + suffix, Type: TypeCounter, Labels: labels, Source: source, Value: v, Timestamp: at}
	}
	var all []Metric
	var below int64
	for i, bound := range d.Bounds {
		if i < len(d.Counts) {
			below += d.Counts[i]
		}
		all = append(all, make1("_bucket", withLabel(labels, "le", strconv.FormatFloat(c.Apply(bound), 'g', -1, 64)), float64(below)))
	}
	return append(all,
		make1("_bucket", withLabel(labels, "le", "+Inf"), float64(d.Count)),
		make1("_sum", labels, c.Apply(d.Mean*float64(d.Count))),
		make1("_count", labels, float64(d.Count)),
	)
}

func withLabel(labels map[string]string, name, value string) map[string]string {
	next := make(map[string]string, len(labels)+1)
	maps.Copy(next, labels)
	next[name] = value
	return next
}
