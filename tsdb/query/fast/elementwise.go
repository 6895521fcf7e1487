package fast

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// sink takes rows, one after the other: the labels of a series and its value at each step, or absent. A row has at least
// one value. The sink may change the values, and keeps them not.
type sink interface {
	take(lset labels.Labels, row []float64)
	// end is called after the last row. It counts in the tally what upstream holds when it has the rows.
	end(t *tally) error
}

// negation turns the sign of values.
type negation struct{ sink }

func (n *negation) take(lset labels.Labels, row []float64) {
	for i, v := range row {
		if !isAbsent(v) {
			row[i] = -v
		}
	}
	n.sink.take(lset, row)
}

// operation is an operator with a constant.
type operation struct {
	op parser.ItemType
	by float64
	// swapped tells that the constant is on the left; asBool that a comparison gives 0 and 1.
	swapped, asBool bool
}

// arithmetic are the operators that compute.
var arithmetic = map[parser.ItemType]func(a, b float64) float64{
	parser.ADD: func(a, b float64) float64 { return a + b },
	parser.SUB: func(a, b float64) float64 { return a - b },
	parser.MUL: func(a, b float64) float64 { return a * b },
	parser.DIV: func(a, b float64) float64 { return a / b },
	parser.POW: math.Pow, parser.MOD: math.Mod, parser.ATAN2: math.Atan2,
}

// comparisons are those that keep values or leave them out.
var comparisons = map[parser.ItemType]func(a, b float64) bool{
	parser.EQLC: func(a, b float64) bool { return a == b },
	parser.NEQ:  func(a, b float64) bool { return a != b },
	parser.GTR:  func(a, b float64) bool { return a > b },
	parser.LSS:  func(a, b float64) bool { return a < b },
	parser.GTE:  func(a, b float64) bool { return a >= b },
	parser.LTE:  func(a, b float64) bool { return a <= b },
}

// change is what the operation makes of a value; false where the operator is none of ours.
func (o operation) change() (func(v float64) float64, bool) {
	if compute, is := arithmetic[o.op]; is {
		if o.swapped {
			return func(v float64) float64 { return compute(o.by, v) }, true
		}
		return func(v float64) float64 { return compute(v, o.by) }, true
	}
	holds, is := comparisons[o.op]
	if !is {
		return nil, false
	}
	return func(v float64) float64 {
		kept := holds(v, o.by)
		if o.swapped {
			kept = holds(o.by, v)
		}
		switch {
		case o.asBool && kept:
			return 1
		case o.asBool:
			return 0
		case kept:
			return v
		}
		return Absent
	}, true
}

// mapping changes values one by one.
type mapping struct {
	next   sink
	change func(v float64) float64
	// before is how many samples are held before the operator is evaluated, and late how many the constant adds after
	// its other side.
	before, late int
	// in and out count by step the values that came and those that went on.
	in, out []int
}

func newMapping(next sink, e *evaluation, change func(v float64) float64, before int, onRight bool) sink {
	m := &mapping{next: next, change: change, before: before, in: make([]int, e.steps), out: make([]int, e.steps)}
	if onRight {
		m.late = e.steps
	}
	return m
}

func (m *mapping) take(lset labels.Labels, row []float64) {
	kept := false
	for i, v := range row {
		if isAbsent(v) {
			continue
		}
		m.in[i]++
		row[i] = m.change(v)
		if !isAbsent(row[i]) {
			m.out[i]++
			kept = true
		}
	}
	if kept {
		m.next.take(lset, row)
	}
}

// end counts as upstream evaluates: it has both sides, and step by step a vector of each, one of what they come to, and
// all results so far.
func (m *mapping) end(t *tally) error {
	if err := t.hold(m.late); err != nil {
		return err
	}
	results := 0
	for i := range m.in {
		results += m.out[i]
		if err := t.pass(m.in[i] + 1 + results); err != nil {
			return err
		}
	}
	if err := t.hold(m.before + results - t.held); err != nil {
		return err
	}
	return m.next.end(t)
}
