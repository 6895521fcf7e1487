package fast

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// cells are the aggregates of one group, one for each step. They see the values of a step in the order of the rows.
type cells interface {
	add(row []float64)
	// result puts the aggregates into a row, and absent where a step had no value.
	result(row []float64)
}

// aggregator makes the cells of an operator for some steps. A cell is of about so many bytes. The parameter is that of
// quantile.
type aggregator struct {
	bytes int
	cells func(steps int, param float64) cells
}

// aggregators are by operator.
var aggregators = map[parser.ItemType]aggregator{
	parser.SUM:      {16, func(steps int, _ float64) cells { return &sums{filled(steps), make([]float64, steps)} }},
	parser.AVG:      {32, func(steps int, _ float64) cells { return means(make([]mean, steps)) }},
	parser.MIN:      {8, func(steps int, _ float64) cells { return minima(filled(steps)) }},
	parser.MAX:      {8, func(steps int, _ float64) cells { return maxima(filled(steps)) }},
	parser.COUNT:    {8, func(steps int, _ float64) cells { return counts(make([]float64, steps)) }},
	parser.GROUP:    {8, func(steps int, _ float64) cells { return &ones{counts(make([]float64, steps))} }},
	parser.STDVAR:   {24, func(steps int, _ float64) cells { return &variances{all: make([]variance, steps)} }},
	parser.STDDEV:   {24, func(steps int, _ float64) cells { return &variances{all: make([]variance, steps), root: true} }},
	parser.QUANTILE: {32, func(steps int, q float64) cells { return &quantiles{make([]ascending, steps), q} }},
}

// checkAggregation says why an aggregation is none of ours. Upstream has warnings and errors to tell about odd parameters.
func checkAggregation(op parser.ItemType, param float64) string {
	switch _, known := aggregators[op]; {
	case op == parser.TOPK || op == parser.BOTTOMK:
		if !(param >= 1 && param <= maxTop) {
			return op.String() + " of an odd number"
		}
	case !known:
		return "the aggregation " + op.String()
	case op == parser.QUANTILE && !(param >= 0 && param <= 1):
		return "a quantile that is none"
	}
	return ""
}

func filled(steps int) []float64 {
	row := make([]float64, steps)
	for i := range row {
		row[i] = Absent
	}
	return row
}

// aggregation puts rows together.
type aggregation struct {
	groups
	*evaluation
	next   sink
	cells  []cells
	kind   aggregator
	param  float64
	before int // how many samples are held before it is evaluated
}

func newAggregation(next sink, e *evaluation, op parser.ItemType, param float64, g grouping, before int) sink {
	if op == parser.TOPK || op == parser.BOTTOMK {
		return newTop(next, e, int(param), op == parser.BOTTOMK, g, before)
	}
	return &aggregation{groups: newGroups(g), evaluation: e, next: next, kind: aggregators[op], param: param, before: before}
}

func (a *aggregation) take(lset labels.Labels, row []float64) {
	at, fresh := a.of(lset)
	if fresh {
		if a.room -= a.kind.bytes * a.steps; a.room < 0 {
			return
		}
		a.cells = append(a.cells, a.kind.cells(a.steps, a.param))
	}
	if at < len(a.cells) {
		a.cells[at].add(row)
	}
}

func (a *aggregation) end(t *tally) error {
	values, row := 0, make([]float64, a.steps)
	for i, c := range a.cells {
		if err := done(a.ctx); err != nil {
			return err
		}
		c.result(row)
		values += valuesIn(row)
		a.next.take(a.groups.labels[i], row)
	}
	if err := t.hold(a.before + values - t.held); err != nil {
		return err
	}
	return a.next.end(t)
}

// valuesIn is how many values a row has.
func valuesIn(row []float64) (n int) {
	for _, v := range row {
		if !isAbsent(v) {
			n++
		}
	}
	return n
}

// sums are Kahan's.
type sums struct{ totals, rests []float64 }

func (s *sums) add(row []float64) {
	totals, rests := s.totals[:len(row)], s.rests[:len(row)]
	for i, v := range row {
		switch {
		case isAbsent(v):
		case isAbsent(totals[i]):
			totals[i] = v
		default:
			totals[i], rests[i] = kahansum.Inc(v, totals[i], rests[i])
		}
	}
}

func (s *sums) result(row []float64) {
	for i, total := range s.totals {
		if row[i] = Absent; !isAbsent(total) {
			row[i] = total + s.rests[i]
		}
	}
}

type means []mean

func (m means) add(row []float64) {
	for i, v := range row {
		switch {
		case isAbsent(v):
		case m[i].count == 0:
			m[i] = mean{total: v, count: 1}
		default:
			m[i].add(v)
		}
	}
}

func (m means) result(row []float64) {
	for i := range m {
		if row[i] = Absent; m[i].count > 0 {
			row[i] = m[i].value()
		}
	}
}

type minima []float64

func (l minima) add(row []float64) {
	for i, v := range row {
		if !isAbsent(v) && (isAbsent(l[i]) || v < l[i] || math.IsNaN(l[i])) {
			l[i] = v
		}
	}
}

func (l minima) result(row []float64) { copy(row, l) }

type maxima []float64

func (m maxima) add(row []float64) {
	for i, v := range row {
		if !isAbsent(v) && (isAbsent(m[i]) || v > m[i] || math.IsNaN(m[i])) {
			m[i] = v
		}
	}
}

func (m maxima) result(row []float64) { copy(row, m) }

type counts []float64

func (c counts) add(row []float64) {
	for i, v := range row {
		if !isAbsent(v) {
			c[i]++
		}
	}
}

func (c counts) result(row []float64) {
	for i, n := range c {
		if row[i] = Absent; n > 0 {
			row[i] = n
		}
	}
}

// ones tell that there is a group.
type ones struct{ counts }

func (o *ones) result(row []float64) {
	for i, n := range o.counts {
		if row[i] = Absent; n > 0 {
			row[i] = 1
		}
	}
}

// variance is Welford's.
type variance struct{ count, mean, value float64 }

// variances are those of the values, or their roots.
type variances struct {
	all  []variance
	root bool
}

func (s *variances) add(row []float64) {
	for i, v := range row {
		if isAbsent(v) {
			continue
		}
		if c := &s.all[i]; c.count == 0 {
			*c = variance{count: 1, mean: v}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				c.value = math.NaN()
			}
		} else {
			c.count++
			delta := v - c.mean
			c.mean += delta / c.count
			c.value += delta * (v - c.mean)
		}
	}
}

func (s *variances) result(row []float64) {
	for i, c := range s.all {
		switch {
		case c.count == 0:
			row[i] = Absent
		case s.root:
			row[i] = math.Sqrt(c.value / c.count)
		default:
			row[i] = c.value / c.count
		}
	}
}
