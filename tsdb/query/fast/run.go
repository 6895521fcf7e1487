package fast

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"
)

// Environment is what an evaluation takes place in.
type Environment struct {
	Meter Meter
	// MaxSamples is how many samples may be held at one time, as upstream counts.
	MaxSamples int
	// Statistics are told what the evaluation took, once it has succeeded.
	Statistics *stats.QuerySamples
}

// evaluation is one run of a plan.
type evaluation struct {
	*Plan
	ctx    context.Context
	tally  tally
	notes  notes
	reader reader
	// room is how many bytes of rows may still be made.
	room int
}

// Run evaluates the plan over the series that Select found. The answer is a promql.Vector for one time and a
// promql.Matrix for a range, as upstream gives it; so are errors. A DeclinedError says that upstream has to evaluate.
func (p *Plan) Run(ctx context.Context, series []storage.Series, env Environment) (parser.Value, annotations.Annotations, error) {
	e := p.evaluation(ctx, env)
	rows, err := e.run(series, env)
	if err != nil {
		return nil, e.notes.all, err
	}
	return e.inPromQL(rows), e.notes.all, nil
}

// RunRows is Run with the answer as rows of values, which are half as large.
func (p *Plan) RunRows(ctx context.Context, series []storage.Series, env Environment) ([]Row, annotations.Annotations, error) {
	e := p.evaluation(ctx, env)
	rows, err := e.run(series, env)
	return rows, e.notes.all, err
}

// pointBytes is what upstream takes for a sample.
const pointBytes = 16

func (p *Plan) evaluation(ctx context.Context, env Environment) *evaluation {
	return &evaluation{
		Plan: p, ctx: ctx, reader: reader{ctx: ctx, meter: env.Meter}, room: env.MaxSamples * pointBytes,
		tally: tally{held: p.held, peak: p.held, most: env.MaxSamples, total: make([]int64, p.steps), read: make([]int64, p.steps)},
	}
}

func (e *evaluation) run(series []storage.Series, env Environment) ([]Row, error) {
	last := &collector{evaluation: e, rows: []Row{}}
	first := sink(last)
	for _, open := range slices.Backward(e.stages) {
		first = open(first, e)
	}
	if err := e.read(series, first); err != nil {
		return nil, err
	}
	if err := first.end(&e.tally); err != nil {
		return nil, err
	}
	if e.room < 0 {
		return nil, errSparse
	}
	if err := e.repeat(len(last.rows)); err != nil {
		return nil, err
	}
	rows, err := e.finish(last.rows)
	if err != nil {
		return nil, err
	}
	e.tally.report(env.Statistics, e.Plan, len(series))
	return rows, nil
}

// repeat counts what upstream makes of one evaluation for all steps.
func (e *evaluation) repeat(rows int) error {
	if e.steps == e.answers {
		return nil
	}
	return e.tally.hold(rows * (e.answers - 1))
}

// done is the error that upstream says where the evaluation is to end.
func done(ctx context.Context) error {
	const during = "expression evaluation"
	switch err := ctx.Err(); {
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled(during)
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout(during)
	default:
		return err
	}
}

// Bounds are the times that the samples are of, in milliseconds, both inclusive.
func (p *Plan) Bounds() (minT, maxT int64) { return p.hints.Start, p.hints.End }

// Select finds the series of the plan, in the order in which upstream would evaluate them.
func (p *Plan) Select(ctx context.Context, q storage.Querier, meter Meter) (all []storage.Series, notes annotations.Annotations, err error) {
	hints := p.hints
	set := q.Select(ctx, false, &hints, p.selector.LabelMatchers...)
	if err := done(ctx); err != nil {
		return nil, nil, err
	}
	for err == nil && set.Next() {
		s := set.At()
		if err = meter.Series(s.Labels()); err == nil {
			err = ctx.Err()
		}
		all = append(all, s)
	}
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		return nil, set.Warnings(), fmt.Errorf("expanding series: %w", err)
	}
	return all, set.Warnings(), nil
}

// read makes a row of each series.
func (e *evaluation) read(series []storage.Series, next sink) error {
	row := make([]float64, e.steps)
	one := e.lookup
	if e.function != nil {
		one = e.overTime()
	}
	for _, s := range series {
		if err := done(e.ctx); err != nil {
			return err
		}
		lset := s.Labels()
		e.reader.open(s)
		n, err := one(lset, row)
		if err != nil {
			return err
		}
		if n > 0 {
			next.take(lset, row)
		}
		if e.room < 0 {
			return errSparse
		}
	}
	return e.reader.settle()
}
