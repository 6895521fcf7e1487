package federate

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/query"
)

// absent is what stands for no value.
var absent = query.Absent

// merged is one part in the making: the rows of the shards that have answered. It is for one goroutine at a time.
type merged struct {
	how   Merge
	steps int
	// byLabels are the rows; counts those of an average, and lost the digits that sums have lost.
	byLabels map[string]*mergedRow
	key      []byte
	// held counts values, and what else rows take as values, to keep a bound.
	held int
}

type mergedRow struct {
	Row
	lost, counts []float64
	lostOf       []*histogram.FloatHistogram
	// largest is the largest amount that was added, by step: a sum that is much smaller has lost its digits on the way.
	// It is nil, as lost is, while the row is of one shard alone.
	largest []float64
}

func newMerged(how Merge, steps int) *merged {
	return &merged{how: how, steps: steps, byLabels: map[string]*mergedRow{}}
}

// errAgain is why a part cannot be merged exactly: the question has to be asked of raw series.
type errAgain struct{ why string }

func (e *errAgain) Error() string { return "answers of shards cannot be merged: " + e.why }

// checkRow refuses a row that has not a place for each step.
func checkRow(row Row, steps int) error {
	if len(row.Values) != steps || row.Histograms != nil && len(row.Histograms) != steps {
		return fmt.Errorf("a shard answers with %d values and %d histograms for %d steps", len(row.Values), len(row.Histograms), steps)
	}
	return nil
}

// add takes the rows of one shard: those of each of the part's expressions.
func (m *merged) add(rows [][]Row, _ [][]Ranked) error {
	for i, of := range rows {
		for _, row := range of {
			if err := checkRow(row, m.steps); err != nil {
				return err
			}
			if err := m.addRow(row, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merged) addRow(row Row, expr int) error {
	m.key = row.Labels.Bytes(m.key[:0])
	there := m.byLabels[string(m.key)]
	switch {
	case there == nil:
		there = m.begin(row, expr)
		m.byLabels[string(m.key)] = there
		if expr == 0 {
			return nil
		}
	case m.how == Union:
		return &errAgain{fmt.Sprintf("two of them have a series %s", row.Labels)}
	}
	if expr == 1 {
		return there.count(row)
	}
	if there.largest == nil && (m.how == Sum || m.how == Average) {
		there.weigh()
		m.held += 2 * m.steps
	}
	return there.merge(row, m.how)
}

// cellsOf is how many values a row takes, with what it takes besides and its histograms take counted as values.
func cellsOf(row Row) int {
	n := len(row.Values) + (rowBytes+2*int(row.Labels.ByteSize()))/valueBytes
	for _, h := range row.Histograms {
		if h != nil {
			n += histogramCells + len(h.PositiveBuckets) + len(h.NegativeBuckets) + len(h.PositiveSpans) + len(h.NegativeSpans)
		}
	}
	return n
}

// What a row takes besides its values: it is kept with its labels, and under them.
const (
	rowBytes   = 160
	valueBytes = 8
)

// histogramCells is what a histogram takes besides its buckets and spans, as values.
const histogramCells = 24

// begin makes the row with the first values that came for its labels.
func (m *merged) begin(row Row, expr int) *mergedRow {
	next := &mergedRow{Row: row}
	m.held += cellsOf(row)
	if m.how == Average {
		next.counts = make([]float64, m.steps)
	}
	if row.Histograms != nil {
		next.lostOf = make([]*histogram.FloatHistogram, m.steps)
	}
	if expr > 0 { // the count came before any sum
		next.Row = Row{Labels: row.Labels, Values: slices.Repeat([]float64{absent}, m.steps)}
	}
	return next
}

func (r *mergedRow) count(row Row) error {
	for i, n := range row.Values {
		if !value.IsStaleNaN(n) {
			r.counts[i] += n
		}
	}
	return nil
}

// weigh begins to look after the digits that sums lose.
func (r *mergedRow) weigh() {
	r.lost, r.largest = make([]float64, len(r.Values)), make([]float64, len(r.Values))
	for i, v := range r.Values {
		r.largest[i] = magnitude(v, r.histogram(i))
	}
}

func (r *mergedRow) merge(row Row, how Merge) error {
	if r.Histograms != nil || row.Histograms != nil {
		if err := r.mergeHistograms(row, how); err != nil {
			return err
		}
	}
	for i, v := range row.Values {
		if r.largest != nil {
			r.largest[i] = max(r.largest[i], magnitude(v, row.histogram(i)))
		}
		switch {
		case value.IsStaleNaN(v):
		case value.IsStaleNaN(r.Values[i]):
			r.Values[i] = v
		default:
			r.put(i, v, how)
		}
	}
	return nil
}

// put merges two values. Those that are compared are as in PromQL, where NaN is less than any number.
func (r *mergedRow) put(i int, v float64, how Merge) {
	switch how {
	case Sum, Average:
		r.Values[i], r.lost[i] = addExactly(r.Values[i], r.lost[i], v)
	case Min:
		if v < r.Values[i] || math.IsNaN(r.Values[i]) {
			r.Values[i] = v
		}
	case Max:
		if v > r.Values[i] || math.IsNaN(r.Values[i]) {
			r.Values[i] = v
		}
	}
}

// addExactly adds, and keeps the digits that the sum has no room for: the algorithm of Neumaier (1974).
func addExactly(sum, lost, v float64) (float64, float64) {
	t := sum + v
	switch {
	case math.IsInf(t, 0):
		lost = 0
	case math.Abs(sum) >= math.Abs(v):
		lost += (sum - t) + v
	default:
		lost += (v - t) + sum
	}
	return t, lost
}

// mergeHistograms sums histograms. What PromQL would say something of is left to PromQL, which is asked again.
func (r *mergedRow) mergeHistograms(row Row, how Merge) error {
	if how != Sum && how != Average {
		return &errAgain{"histograms are only summed"}
	}
	if r.Histograms == nil {
		r.Histograms, r.lostOf = make([]*histogram.FloatHistogram, len(r.Values)), make([]*histogram.FloatHistogram, len(r.Values))
	}
	for i := range r.Values {
		theirs := row.histogram(i)
		switch ours := r.Histograms[i]; {
		case theirs == nil && ours == nil:
		case !value.IsStaleNaN(r.Values[i]) || !value.IsStaleNaN(row.Values[i]):
			return &errAgain{"floats and histograms are in one group"}
		case ours == nil:
			r.Histograms[i] = theirs
		case theirs != nil:
			if err := r.addHistogram(i, theirs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *mergedRow) addHistogram(i int, h *histogram.FloatHistogram) error {
	lost, collision, reconciled, err := r.Histograms[i].KahanAdd(h, r.lostOf[i])
	if r.lostOf[i] = lost; err != nil || collision || reconciled {
		return &errAgain{"their histograms differ in shape"}
	}
	return nil
}

// histogram is that of a step; nil where there is none.
func (r Row) histogram(i int) *histogram.FloatHistogram {
	if r.Histograms == nil {
		return nil
	}
	return r.Histograms[i]
}

// magnitude is the size of a value, or of a histogram's sum; NaN has none.
func magnitude(v float64, h *histogram.FloatHistogram) float64 {
	if h != nil {
		v = h.Sum
	}
	if math.IsNaN(v) {
		return 0
	}
	return math.Abs(v)
}

// Bounds of what a sum may have lost: each shard rounds its part, to about 16 digits.
const (
	// maxCancelled is how much larger than the sum an amount may have been.
	maxCancelled = 1e6
	// exactly is up to where whole numbers are added without rounding.
	exactly = 1 << 53
	// huge is where sums come near to what a number holds.
	huge = 1e300
)

// cancelled tells whether a sum is so much smaller than what it is made of that rounding may be most of it.
func cancelled(sum, largest float64) bool {
	if largest < exactly && sum == math.Trunc(sum) {
		return false
	}
	return largest > maxCancelled*math.Abs(sum)
}

func (m *merged) rows() int  { return len(m.byLabels) }
func (m *merged) cells() int { return m.held }

func (*merged) missed() []miss { return nil }

// finish gives the rows, in the order of their labels.
func (m *merged) finish() ([]Row, error) {
	all := make([]Row, 0, len(m.byLabels))
	for _, r := range m.byLabels {
		if err := r.finish(m.how); err != nil {
			return nil, err
		}
		all = append(all, r.Row)
	}
	slices.SortFunc(all, func(a, b Row) int { return labels.Compare(a.Labels, b.Labels) })
	return all, nil
}

func (r *mergedRow) finish(how Merge) error {
	if how != Sum && how != Average {
		return nil
	}
	for i := range r.Values {
		if r.largest != nil {
			if err := r.finishStep(i); err != nil {
				return err
			}
		}
		if how == Average && r.counts[i] > 0 {
			r.average(i)
		}
	}
	return nil
}

// finishStep gives a sum back what it had no room for.
func (r *mergedRow) finishStep(i int) error {
	h, v := r.histogram(i), r.Values[i]
	switch {
	case r.largest[i] > huge || h != nil && h.Count > huge:
		return &errAgain{"amounts are so large that their order matters"}
	case h != nil && r.lostOf[i] != nil:
		if _, _, _, err := h.Add(r.lostOf[i]); err != nil {
			return &errAgain{err.Error()}
		}
		h.Compact(0)
		v = h.Sum
	case h != nil:
		return nil // of one shard
	case value.IsStaleNaN(v):
		return nil
	default:
		v += r.lost[i]
		r.Values[i] = v
	}
	if cancelled(v, r.largest[i]) {
		return &errAgain{"the parts of a sum cancel each other out"}
	}
	return nil
}

func (r *mergedRow) average(i int) {
	switch h := r.histogram(i); {
	case h != nil:
		h.Div(r.counts[i])
	case !value.IsStaleNaN(r.Values[i]):
		r.Values[i] /= r.counts[i]
	}
}
