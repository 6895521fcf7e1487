package federate

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/query/fast"
)

// Ranks asks a shard for the values of an expression by group, without the series that have them, and only for those that
// may be what is looked for: of the others it counts how many there are on either side. With First it asks for the series.
type Ranks struct {
	// Labels are what is grouped by, or all others are where Without is set.
	Labels  []string
	Without bool
	// Bounds are those of groups, each group once. Of a group that has none all values are wanted.
	Bounds []RankBounds
	// First above 0 asks for rows: with those values alone that are in bounds and among the first so many of their group and
	// step, the highest or, if Lowest is set, the lowest. A shard that does not know of it answers with all rows.
	First  int
	Lowest bool

	// expr is what they are asked of in place of the part's expression, if it is not empty.
	expr string
}

// RankBounds are between which values those that are wanted of a group lie, by step, both inclusive. Low NaN is no bound,
// and NaN itself comes before all numbers; High +Inf is none.
type RankBounds struct {
	Labels    labels.Labels
	Low, High []float64
}

// Ranked are values of one group, for some steps from First on. What several have of one group and step adds up.
type Ranked struct {
	Labels labels.Labels
	First  int
	// Below and Above count the values out of bounds, Within those that are in Values, by step.
	Below, Within, Above []uint32
	// Values are those of one step after the other, in no order within a step.
	Values []float64
}

// Check refuses what does not fit together, or to an evaluation of so many steps.
func (r Ranked) Check(steps int) error {
	if len(r.Below) != len(r.Within) || len(r.Above) != len(r.Within) || r.First < 0 || len(r.Within) > steps-r.First {
		return fmt.Errorf("a group has counts for %d, %d and %d steps from %d on, of %d", len(r.Below), len(r.Within), len(r.Above), r.First, steps)
	}
	total := uint64(0)
	for _, n := range r.Within {
		total += uint64(n)
	}
	if total != uint64(len(r.Values)) {
		return fmt.Errorf("a group has %d values and counts %d", len(r.Values), total)
	}
	return nil
}

// cells is about what it takes as values. The counts of a group with few values take more than those: one with a single value
// at each step takes two and a half times as much as these, and MaxCells is reached so much earlier.
func (r Ranked) cells() int {
	return len(r.Values) + (3*len(r.Within)+1)/2 + (rowBytes+int(r.Labels.ByteSize()))/valueBytes
}

// errHistogramRanks is that histograms have no order.
var errHistogramRanks = errors.New("histograms have no order")

// rank puts rows into groups. Those with histograms it refuses.
func (r *Ranks) rank(rows []Row, steps int) ([]Ranked, error) {
	groups, of := fast.NewGroups(r.Labels, r.Without), make([]int, len(rows))
	for i, row := range rows {
		if row.Histograms != nil {
			return nil, errHistogramRanks
		}
		of[i] = groups.Of(row.Labels)
	}
	bounds := r.byLabels()
	all := make([]Ranked, len(groups.All()))
	limits := make([]*RankBounds, len(all))
	for i, lset := range groups.All() {
		counts := make([]uint32, 3*steps)
		all[i] = Ranked{Labels: lset, Below: counts[:steps], Within: counts[steps : 2*steps], Above: counts[2*steps:]}
		limits[i] = bounds[string(lset.Bytes(nil))]
	}
	for i, row := range rows {
		all[of[i]].count(row.Values, limits[of[i]])
	}
	next := make([][]int, len(all))
	for i := range all {
		next[i] = all[i].room()
	}
	for i, row := range rows {
		all[of[i]].fill(row.Values, limits[of[i]], next[of[i]])
	}
	return all, nil
}

func (r *Ranks) byLabels() map[string]*RankBounds {
	all := make(map[string]*RankBounds, len(r.Bounds))
	for i := range r.Bounds {
		all[string(r.Bounds[i].Labels.Bytes(nil))] = &r.Bounds[i]
	}
	return all
}

// below tells whether a value comes before a lower bound.
func below(v, low float64) bool { return !(v >= low) && !math.IsNaN(low) }

// count adds a row to the counts.
func (r *Ranked) count(row []float64, b *RankBounds) {
	for i, v := range row {
		switch {
		case value.IsStaleNaN(v):
		case b == nil:
			r.Within[i]++
		case below(v, b.Low[i]):
			r.Below[i]++
		case v > b.High[i]:
			r.Above[i]++
		default:
			r.Within[i]++
		}
	}
}

// room makes room for the values that were counted, and gives the place of the first one of each step.
func (r *Ranked) room() []int {
	next, at := make([]int, len(r.Within)), 0
	for i, n := range r.Within {
		next[i] = at
		at += int(n)
	}
	r.Values = make([]float64, at)
	return next
}

// fill puts the values of a row to their steps.
func (r *Ranked) fill(row []float64, b *RankBounds, next []int) {
	for i, v := range row {
		if value.IsStaleNaN(v) || b != nil && (below(v, b.Low[i]) || v > b.High[i]) {
			continue
		}
		r.Values[next[i]] = v
		next[i]++
	}
}
