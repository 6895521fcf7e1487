package fast

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
)

// function is one over a range. The points of the window are at least one.
type function struct {
	// value is what the function comes to in a window that ends at a time; false for no value.
	value func(f *function, w *window, at int64) (float64, bool)
	// keepsName tells that names of metrics stay; counter, that the function is meant for counters alone.
	keepsName, counter bool

	// What follows is of one expression: the call, its constants, the length of its range in seconds and the place of
	// its first argument.
	call      *parser.Call
	constants []float64
	perSecond float64
	position  posrange.PositionRange

	// back is the range, and offset what is taken from the time of a step; both in milliseconds.
	back, offset int64
	// notes are what is to be told beside the answer, and metric the labels of the series.
	notes  *notes
	metric labels.Labels
	lent   *lent
}

// functions are those that are evaluated here, by name. Hot ones have code of their own; for the rest, the window is
// given to upstream's function as it is.
var functions = map[string]function{
	"rate":     {value: rate, counter: true},
	"increase": {value: increase, counter: true},
	"delta":    {value: delta},
	"irate":    {value: irate},
	"idelta":   {value: idelta},

	"avg_over_time":     {value: average},
	"sum_over_time":     {value: sum},
	"min_over_time":     {value: least},
	"max_over_time":     {value: most},
	"count_over_time":   {value: count},
	"present_over_time": {value: present},
	"last_over_time":    {value: last, keepsName: true},
	"first_over_time":   {value: first, keepsName: true},

	"changes": {value: upstream}, "resets": {value: upstream}, "deriv": {value: upstream}, "predict_linear": {value: upstream},
	"quantile_over_time": {value: upstream}, "mad_over_time": {value: upstream},
	"stddev_over_time": {value: upstream}, "stdvar_over_time": {value: upstream}, "double_exponential_smoothing": {value: upstream},
	"ts_of_first_over_time": {value: upstream}, "ts_of_last_over_time": {value: upstream},
	"ts_of_min_over_time": {value: upstream}, "ts_of_max_over_time": {value: upstream},
}

// lent is what upstream's functions are called with, again and again.
type lent struct {
	call      promql.FunctionCall
	constants []promql.Vector
	matrix    promql.Matrix
	helper    promql.EvalNodeHelper
	starts    promql.StartTimestamps
}

func (f *function) lend() *lent {
	l := &lent{call: promql.FunctionCalls[f.call.Func.Name], matrix: make(promql.Matrix, 1)}
	for _, v := range f.constants {
		l.constants = append(l.constants, promql.Vector{{F: v}})
	}
	l.helper.Out = make(promql.Vector, 0, 1)
	return l
}

// upstream has upstream's function compute. It changes none of the points.
func upstream(f *function, w *window, at int64) (float64, bool) {
	if f.lent == nil {
		f.lent = f.lend()
	}
	l := f.lent
	l.matrix[0] = promql.Series{Metric: f.metric, Floats: w.now()}
	l.helper.Ts, l.starts.Floats, l.helper.StartTimestamps = at+f.offset, w.startsNow(), nil
	if len(l.starts.Floats) > 0 && f.call.Func.Name == "resets" { // of those that are computed so, it alone is given them
		l.helper.StartTimestamps = &l.starts
	}
	out, annotations := l.call(l.constants, l.matrix, f.call.Args, &l.helper)
	f.notes.merge(annotations)
	if len(out) == 0 {
		return 0, false
	}
	v := out[0].F
	l.helper.Out = out[:0]
	return v, true
}
