package federate

import (
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query/fast"
)

// quantiles is a part in the making whose rows are quantiles of all values, by group. It is for one goroutine at a time.
type quantiles struct {
	rank  Rank
	steps int
	// asked is what the shards were asked for; a nil one has no bounds.
	asked *Ranks
	// groups are by labels.
	groups map[string]*quantileGroup
	key    []byte
	held   int
	out    []miss
}

// Rank is which value of a group is looked for.
type Rank struct {
	// Quantile is from 0 to 1.
	Quantile float64
	Labels   []string
	Without  bool
}

func (r Rank) same(other Rank) bool {
	return r.Quantile == other.Quantile && r.Without == other.Without && slices.Equal(r.Labels, other.Labels)
}

// quantileGroup has what the shards gave of it.
type quantileGroup struct {
	labels labels.Labels
	pieces []Ranked
}

// miss is that what is looked for lies out of the bounds of a group at a step: below them or, if it is one value, above.
type miss struct {
	labels labels.Labels
	step   int
	below  bool
}

func newQuantiles(rank Rank, asked *Ranks, steps int) *quantiles {
	if asked == nil {
		asked = &Ranks{Labels: rank.Labels, Without: rank.Without}
	}
	return &quantiles{rank: rank, asked: asked, steps: steps, groups: map[string]*quantileGroup{}}
}

// add takes the values of one shard. One that does not rank gives rows, which are ranked here within the same bounds: what
// others count below the bounds comes before all values that are kept, and what they count above behind them.
func (q *quantiles) add(rows [][]Row, ranked [][]Ranked) error {
	for _, of := range ranked {
		for _, piece := range of {
			if err := piece.Check(q.steps); err != nil {
				return err
			}
			q.take(piece)
		}
	}
	for _, of := range rows {
		for _, row := range of {
			if err := checkRow(row, q.steps); err != nil {
				return err
			}
		}
		pieces, err := q.asked.rank(of, q.steps)
		if err != nil {
			return &errAgain{err.Error()}
		}
		for _, piece := range pieces {
			q.take(piece)
		}
	}
	return nil
}

func (q *quantiles) take(piece Ranked) {
	q.key = piece.Labels.Bytes(q.key[:0])
	group := q.groups[string(q.key)]
	if group == nil {
		group = &quantileGroup{labels: piece.Labels}
		q.groups[string(q.key)] = group
		q.held += q.steps
	}
	group.pieces = append(group.pieces, piece)
	q.held += piece.cells()
}

func (q *quantiles) rows() int  { return len(q.groups) }
func (q *quantiles) cells() int { return q.held }

func (q *quantiles) missed() []miss { return q.out }

// finish computes the quantiles. What lies out of bounds is among the missed; its rows are of no use.
func (q *quantiles) finish() ([]Row, error) {
	all := make([]Row, 0, len(q.groups))
	var values []float64
	for _, group := range q.groups {
		row := Row{Labels: group.labels, Values: make([]float64, q.steps)}
		places := make([]int, len(group.pieces)) // of the first value of the step
		for step := range row.Values {
			var out [2]int
			values, out = group.at(step, places, values[:0])
			row.Values[step] = q.value(group.labels, step, values, out)
		}
		if !slices.ContainsFunc(row.Values, func(v float64) bool { return math.Float64bits(v) != math.Float64bits(absent) }) {
			continue
		}
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b Row) int { return labels.Compare(a.Labels, b.Labels) })
	return all, nil
}

// at gathers the values of a step, and how many are below and above.
func (g *quantileGroup) at(step int, places []int, values []float64) ([]float64, [2]int) {
	var out [2]int
	for i := range g.pieces {
		p := &g.pieces[i]
		at := step - p.First
		if at < 0 || at >= len(p.Within) {
			continue
		}
		n := int(p.Within[at])
		values = append(values, p.Values[places[i]:places[i]+n]...)
		places[i] += n
		out[0], out[1] = out[0]+int(p.Below[at]), out[1]+int(p.Above[at])
	}
	return values, out
}

// value is the quantile of values between so many below and above.
func (q *quantiles) value(lset labels.Labels, step int, values []float64, out [2]int) float64 {
	n := out[0] + len(values) + out[1]
	if n == 0 {
		return absent
	}
	lower, upper := fast.QuantileRanks(q.rank.Quantile, n)
	switch {
	case lower < out[0]:
		q.out = append(q.out, miss{lset, step, true})
		return absent
	case upper >= out[0]+len(values):
		q.out = append(q.out, miss{lset, step, false})
		return absent
	}
	low, high := nth(values, lower-out[0], upper-out[0])
	return fast.QuantileBetween(q.rank.Quantile, n, low, high)
}

// nth are the values of two places, the second the same as the first or the next. It changes the order.
func nth(values []float64, first, second int) (low, high float64) {
	numbers := nansFirst(values)
	if second < numbers {
		return math.NaN(), math.NaN()
	}
	values, first, second = values[numbers:], first-numbers, second-numbers
	if first < 0 {
		return math.NaN(), slices.Min(values)
	}
	place(values, first)
	if low, high = values[first], values[first]; second > first {
		high = slices.Min(values[second:])
	}
	return low, high
}

// nansFirst brings NaN to the front, and gives the place of the first number.
func nansFirst(values []float64) (at int) {
	for i, v := range values {
		if math.IsNaN(v) {
			values[i], values[at] = values[at], v
			at++
		}
	}
	return at
}

// place brings the k-th value to its place, smaller ones before it and larger ones behind it: Hoare's FIND (1961) with the
// middle of three as pivot. It sorts where that goes on for too long.
func place(values []float64, k int) {
	from, to := 0, len(values)-1
	for patience := 2 * bits.Len(uint(len(values))); from < to; patience-- {
		if patience == 0 {
			slices.Sort(values[from : to+1])
			return
		}
		pivot := median(values[from], values[from+(to-from)/2], values[to])
		i, j := from, to
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			to = j
		case k >= i:
			from = i
		default:
			return
		}
	}
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }
