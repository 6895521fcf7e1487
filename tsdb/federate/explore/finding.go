package explore

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Finding says of a metric which label made it grow or, where it did not grow, which makes it large.
type Finding struct {
	Metric, Label string
	// Values are those of the label, Left the series without it.
	Values, Series, SeriesBefore, Left uint64
	// GrowthShare is how much of the growth is gone without the label, 0 to 1; 0 where there is none.
	GrowthShare float64
	Estimated   bool
	Since       time.Duration
}

// worthTelling is the least part of a metric's series that are gone without a label that is told.
const worthTelling = 0.5

// candidate is what may be found.
type candidate struct {
	Finding
	// partial says that some series lack the label. One with it and one without may be one when it is dropped, so that
	// what is left is less than counting both.
	partial bool
}

// candidates are all labels of a metric, by what counting tells of them, the best first.
func candidates(metric string, total Row, byLabel []Row) (all []candidate) {
	for _, row := range byLabel {
		if row.Name == nameLabel {
			continue
		}
		c := candidate{Finding{Metric: metric, Label: row.Name, Values: row.Values}, row.Series < total.Series || row.SeriesBefore < total.SeriesBefore}
		whole := total
		whole.Estimated = row.Estimated || total.Estimated
		whole.Left, whole.LeftBefore = beside(row.Left, total.Series, row.Series), beside(row.LeftBefore, total.SeriesBefore, row.SeriesBefore)
		c.leaves(whole)
		all = append(all, c)
	}
	rank(all)
	return all
}

func rank(all []candidate) {
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.GrowthShare, a.GrowthShare), cmp.Compare(a.Left, b.Left))
	})
}

// best is the label without which most of the growth is gone or, where there is none, most of the series.
func best(ranked []candidate) (f Finding, found bool) {
	if len(ranked) == 0 {
		return f, false
	}
	f = ranked[0].Finding
	if f.Series > f.SeriesBefore {
		return f, f.GrowthShare > 0
	}
	return f, float64(f.Left) <= worthTelling*float64(f.Series)
}

// beside adds the series that lack a label to what is left of those that have it.
func beside(left, all, having uint64) uint64 { return left + all - min(all, having) }

// leaves takes what is left of the metric without the label.
func (f *Finding) leaves(metric Row) {
	f.Series, f.SeriesBefore, f.Left, f.Estimated = metric.Series, metric.SeriesBefore, metric.Left, metric.Estimated
	f.GrowthShare = 0
	if growth := metric.Growth(); growth > 0 {
		without := int64(metric.Left) - int64(metric.LeftBefore)
		f.GrowthShare = max(0, min(1, 1-float64(without)/float64(growth)))
	}
}

// String is the finding in a sentence.
func (f Finding) String() string {
	about := ""
	if f.Estimated {
		about = "about "
	}
	values := "values"
	if f.Values == 1 {
		values = "value"
	}
	text := fmt.Sprintf("label %s of metric %s: %s%s %s", f.Label, f.Metric, about, digits(f.Values), values)
	if f.GrowthShare > 0 {
		text += fmt.Sprintf(", %d %% of its growth in %s", int(math.Floor(100*f.GrowthShare)), short(f.Since))
	}
	return text + fmt.Sprintf("; dropping it leaves %s%s of %s series", about, digits(f.Left), digits(f.Series))
}

// digits groups the digits of a number by three.
func digits(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// short is a length of time in its largest unit that fits.
func short(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= unit.length && d%unit.length == 0 {
			return fmt.Sprintf("%d %s", d/unit.length, unit.name)
		}
	}
	return d.String()
}
