package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// hostLabel names the host that a series is of.
const hostLabel = "host"

// maxShared bounds the series that a shard lists as maybe another's too.
const maxShared = 200_000

// Local is the shard of this process.
type Local struct {
	// Host is its name: series with the label host of that value are of no other shard.
	Host  string
	Store engine.Engine
	// Query evaluates; it may choose tiers of the store.
	Query *query.Engine
}

var _ Shard = Local{}

// Evaluate computes the expressions one after the other.
func (l Local) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	reads := &reading{Queryable: query.NewQueryable(l.Store), host: l.Host, shared: map[uint64]bool{}, most: e.Sample}
	p, err := l.evaluateAll(ctx, reads, e)
	return p, refusal(ctx, err, reads.failed)
}

func (l Local) evaluateAll(ctx context.Context, reads *reading, e Evaluation) (Partial, error) {
	p := Partial{}
	cells := 0
	for i, expr := range e.Exprs {
		rows, err := l.evaluate(ctx, reads, e, expr, &p)
		if err != nil {
			return Partial{}, err
		}
		series := len(rows)
		rows, ranked := ranksIn(rows, e.ranks(i), e.Steps())
		p.Rows = append(p.Rows, rows)
		if e.Ranks != nil {
			p.Ranked = append(p.Ranked, ranked)
		}
		for _, piece := range ranked {
			cells += piece.cells()
		}
		if cells += len(rows) * e.Steps(); e.MaxCells > 0 && cells > e.MaxCells {
			return Partial{}, &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d series on one host", series), Max: fmt.Sprintf("%d values", e.MaxCells),
				Way: "aggregate, name more labels in the selectors, or ask for fewer steps"}
		}
	}
	p.Shared, p.SharedUnknown = reads.list()
	slices.Sort(p.Infos)
	slices.Sort(p.Warnings)
	p.Infos, p.Warnings = slices.Compact(p.Infos), slices.Compact(p.Warnings)
	return p, nil
}

// ranksIn makes values by group of rows where that is asked for, or leaves the first ones. Those with histograms stay rows, of which the asker says
// what is wrong.
func ranksIn(rows []Row, wanted *Ranks, steps int) ([]Row, []Ranked) {
	switch {
	case wanted == nil:
		return rows, nil
	case wanted.First > 0:
		return wanted.firsts(rows, steps), nil
	}
	ranked, err := wanted.rank(rows, steps)
	if err != nil {
		return rows, nil
	}
	return nil, ranked
}

func (l Local) evaluate(ctx context.Context, reads *reading, e Evaluation, expr string, p *Partial) ([]Row, error) {
	prepared, err := l.prepare(ctx, reads, e, expr)
	if err != nil {
		return nil, err
	}
	defer prepared.Close()
	rows, result := query.ExecRows(ctx, prepared)
	if result.Err != nil {
		return nil, result.Err
	}
	for _, note := range result.Warnings.AsErrors() {
		if errors.Is(note, annotations.PromQLInfo) {
			p.Infos = append(p.Infos, note.Error())
		} else {
			p.Warnings = append(p.Warnings, note.Error())
		}
	}
	if s := prepared.Stats(); s != nil && s.Samples != nil {
		p.Samples += s.Samples.TotalSamples
	}
	p.Series += reads.series
	reads.series = 0
	if rows != nil {
		return rowsByStep(rows), nil
	}
	return rowsOf(result.Value, e)
}

// rowsByStep are rows that are by step already.
func rowsByStep(from []query.StepRow) []Row {
	rows := make([]Row, len(from))
	for i, row := range from {
		rows[i] = Row{Labels: row.Labels, Values: row.Values}
	}
	return rows
}

func (l Local) prepare(ctx context.Context, reads storage.Queryable, e Evaluation, expr string) (promql.Query, error) {
	opts := query.Opts{Lookback: e.Lookback}
	if e.Step <= 0 {
		return l.Query.NewInstantQuery(ctx, reads, opts, expr, time.UnixMilli(e.Start))
	}
	return l.Query.NewRangeQuery(ctx, reads, opts, expr, time.UnixMilli(e.Start), time.UnixMilli(e.End), time.Duration(e.Step)*time.Millisecond)
}

// rowsOf puts the values of an answer into the places of their steps.
func rowsOf(answer any, e Evaluation) ([]Row, error) {
	switch v := answer.(type) {
	case promql.Vector:
		rows := make([]Row, len(v))
		for i, s := range v {
			rows[i] = Row{Labels: s.Metric, Values: []float64{s.F}}
			if s.H != nil {
				rows[i].Values[0], rows[i].Histograms = absent, []*histogram.FloatHistogram{s.H}
			}
		}
		return rows, nil
	case promql.Matrix:
		if e.Step <= 0 {
			return nil, errors.New("an expression for shards gives ranges of samples at one time, not series")
		}
		rows := make([]Row, len(v))
		for i, s := range v {
			rows[i] = rowOf(s, e)
		}
		return rows, nil
	}
	return nil, fmt.Errorf("an expression for shards gives a %T, not series", answer)
}

func rowOf(s promql.Series, e Evaluation) Row {
	row := Row{Labels: s.Metric, Values: slices.Repeat([]float64{absent}, e.Steps())}
	for _, p := range s.Floats {
		row.Values[(p.T-e.Start)/e.Step] = p.F
	}
	if len(s.Histograms) > 0 {
		row.Histograms = make([]*histogram.FloatHistogram, len(row.Values))
		for _, p := range s.Histograms {
			row.Histograms[(p.T-e.Start)/e.Step] = p.H.Copy()
		}
	}
	return row
}

// reading is a Queryable that notes which of the series it gives may be other shards' too. It is for one query at a time.
type reading struct {
	storage.Queryable
	host   string
	shared map[uint64]bool
	many   bool
	series int64
	most   int   // of the series of a selector are read; 0 is no bound
	failed error // what the store said first
}

func (r *reading) Querier(minT, maxT int64) (storage.Querier, error) {
	q, err := r.Queryable.Querier(minT, maxT)
	return readingQuerier{q, r}, err
}

func (r *reading) list() ([]uint64, bool) {
	if r.many {
		return nil, true
	}
	all := make([]uint64, 0, len(r.shared))
	for hash := range r.shared {
		all = append(all, hash)
	}
	slices.Sort(all)
	return all, false
}

func (r *reading) note(lset labels.Labels) {
	r.series++
	if r.many || r.host != "" && lset.Get(hostLabel) == r.host {
		return
	}
	if r.shared[lset.Hash()] = true; len(r.shared) > maxShared {
		r.many, r.shared = true, map[uint64]bool{}
	}
}

type readingQuerier struct {
	storage.Querier
	reading *reading
}

func (q readingQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := readingSet{q.Querier.Select(ctx, sorted, hints, matchers...), q.reading}
	if q.reading.most > 0 {
		return &sampleSet{SeriesSet: set, most: q.reading.most}
	}
	return set
}

type readingSet struct {
	storage.SeriesSet
	reading *reading
}

func (s readingSet) Next() bool {
	if !s.SeriesSet.Next() {
		return false
	}
	s.reading.note(s.SeriesSet.At().Labels())
	return true
}

// Err is the set's, and notes it.
func (s readingSet) Err() error {
	err := s.SeriesSet.Err()
	if s.reading.failed == nil {
		s.reading.failed = err
	}
	return err
}

// Select reads from the store, windows where a matcher for query.TierLabel chooses them.
func (l Local) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	sel.Sorted = true
	set, err := query.Select(ctx, l.Store, sel)
	if wrong := (*query.ChoiceError)(nil); errors.As(err, &wrong) {
		return nil, &RefusedError{err}
	}
	return set, err
}

// LabelNames asks the store.
func (l Local) LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return l.Store.LabelNames(ctx, minT, maxT, limit, matchers...)
}

// LabelValues asks the store.
func (l Local) LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return l.Store.LabelValues(ctx, name, minT, maxT, limit, matchers...)
}

// Exemplars asks the store.
func (l Local) Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	return l.Store.Exemplars(ctx, minT, maxT, matchers...)
}
