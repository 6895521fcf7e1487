package fast

import (
	"container/heap"
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
)

// quantiles are those of the values of each step.
type quantiles struct {
	values []ascending
	q      float64
}

func (s *quantiles) add(row []float64) {
	for i, v := range row {
		if !isAbsent(v) {
			s.values[i] = append(s.values[i], v)
		}
	}
}

func (s *quantiles) result(row []float64) {
	for i, values := range s.values {
		if row[i] = Absent; len(values) > 0 {
			row[i] = values.quantile(s.q)
		}
	}
}

// ascending sorts values as upstream does, with the same steps, so that equal ones (0 and -0) come to stand in the same
// places: NaN comes first.
type ascending []float64

func (a ascending) Len() int           { return len(a) }
func (a ascending) Less(i, j int) bool { return math.IsNaN(a[i]) || a[i] < a[j] }
func (a ascending) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// quantile is the value at a part of the way through the sorted values, between two of them by weight.
func (a ascending) quantile(q float64) float64 {
	sort.Sort(a)
	lower, upper := QuantileRanks(q, len(a))
	return QuantileBetween(q, len(a), a[lower], a[upper])
}

// QuantileRanks are the places, in order and from 0, of the two of n values that a quantile from 0 to 1 lies between.
// There is one value at least. NaN comes before all others.
func QuantileRanks(q float64, n int) (lower, upper int) {
	last := float64(n - 1)
	below := math.Max(0, math.Floor(q*last))
	return int(below), int(math.Min(last, below+1))
}

// QuantileBetween is the quantile of n values, of which low and high have those places.
func QuantileBetween(q float64, n int, low, high float64) float64 {
	rank := q * float64(n-1)
	weight := rank - math.Floor(rank)
	if exactRank && weight == 0 {
		return low
	}
	return low*(1-weight) + high*weight
}

// maxTop bounds the parameter of topk and bottomk.
const maxTop = 1 << 30

// top keeps the rows with the highest or the lowest values of each group, step by step.
type top struct {
	groups
	*evaluation
	next    sink
	k       int
	lowest  bool
	before  int // how many samples are held before it is evaluated
	labels  []labels.Labels
	ranking [][]ranked // of each group, by step
}

// place is the value of a row, by its number.
type place struct {
	value float64
	row   int
}

// ranked is a heap with the place on top that is the first to be given up. Ties fall as upstream's do: it has the same
// heap.
type ranked struct {
	places []place
	lowest bool
}

func (r *ranked) Len() int { return len(r.places) }
func (r *ranked) Less(i, j int) bool {
	a, b := r.places[i].value, r.places[j].value
	return math.IsNaN(a) || r.lowest && a > b || !r.lowest && a < b
}
func (r *ranked) Swap(i, j int) { r.places[i], r.places[j] = r.places[j], r.places[i] }
func (r *ranked) Push(x any)    { r.places = append(r.places, *x.(*place)) }
func (r *ranked) Pop() any {
	last := r.places[len(r.places)-1]
	r.places = r.places[:len(r.places)-1]
	return &last
}

// rankedBytes is the size of an empty heap.
const rankedBytes = 32

func newTop(next sink, e *evaluation, k int, lowest bool, g grouping, before int) sink {
	return &top{groups: newGroups(g), evaluation: e, next: next, k: k, lowest: lowest, before: before}
}

func (t *top) take(lset labels.Labels, row []float64) {
	at, fresh := t.of(lset)
	if fresh {
		if t.room -= rankedBytes * t.steps; t.room < 0 {
			return
		}
		t.ranking = append(t.ranking, make([]ranked, t.steps))
	}
	if at >= len(t.ranking) {
		return
	}
	used := false
	for step, v := range row {
		if !isAbsent(v) && t.offer(&t.ranking[at][step], place{v, len(t.labels)}) {
			used = true
		}
	}
	if used {
		t.labels = append(t.labels, lset)
	}
}

// offer tells whether a place is among the first for now.
func (t *top) offer(r *ranked, p place) bool {
	r.lowest = t.lowest
	if len(r.places) < t.k {
		r.places = append(r.places, p)
		heap.Fix(r, len(r.places)-1) // as Push does, without memory for p
		return true
	}
	worst := r.places[0].value
	if !(t.lowest && worst > p.value || !t.lowest && worst < p.value || math.IsNaN(worst) && !math.IsNaN(p.value)) {
		return false
	}
	r.places[0] = p
	heap.Fix(r, 0)
	return true
}

func (t *top) end(tally *tally) error {
	order, rows, values := t.rows()
	for _, at := range order {
		t.next.take(t.labels[at], rows[at])
	}
	if err := tally.hold(t.before + values - tally.held); err != nil {
		return err
	}
	return t.next.end(tally)
}

// rows are the values that are kept, by row, and the rows in the order of groups and of ranks.
func (t *top) rows() (order []int, rows map[int][]float64, values int) {
	rows = map[int][]float64{}
	for _, group := range t.ranking {
		for step := range group {
			r := &group[step]
			if len(r.places) > 1 {
				sort.Sort(sort.Reverse(r))
			}
			for _, p := range r.places {
				if rows[p.row] == nil {
					rows[p.row] = filled(t.steps)
					order = append(order, p.row)
				}
				rows[p.row][step] = p.value
				values++
			}
		}
	}
	return order, rows, values
}
