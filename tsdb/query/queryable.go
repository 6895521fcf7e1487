// Package query asks an engine in PromQL.
package query

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/engine"
)

// Queryable gives Prometheus's interfaces to an engine.
type Queryable struct{ store engine.Engine }

var (
	_ storage.SampleAndChunkQueryable = Queryable{}
	_ storage.ExemplarQueryable       = Queryable{}
)

// NewQueryable makes the engine readable for PromQL.
func NewQueryable(store engine.Engine) Queryable { return Queryable{store} }

// Querier reads between two times in milliseconds, both inclusive.
func (q Queryable) Querier(minT, maxT int64) (storage.Querier, error) {
	return &querier{store: q.store, minT: minT, maxT: maxT}, nil
}

// ChunkQuerier is Querier with the samples encoded for the way to another process.
func (q Queryable) ChunkQuerier(minT, maxT int64) (storage.ChunkQuerier, error) {
	return &chunkQuerier{querier{store: q.store, minT: minT, maxT: maxT}}, nil
}

// querier answers one query. It keeps the sets that it gave away open until it is closed, as PromQL reads series after
// it has come to the end of their set.
type querier struct {
	store      engine.Engine
	minT, maxT int64
	open       []engine.SeriesSet
}

// Select finds series. A matcher for TierLabel chooses windows in place of raw samples.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	sel := engine.Selection{Min: q.minT, Max: q.maxT, Sorted: sorted}
	if hints != nil {
		sel.Min, sel.Max, sel.Limit = hints.Start, hints.End, hints.Limit
	}
	sel.Matchers = matchers
	set, err := Select(ctx, q.store, sel)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	q.open = append(q.open, set)
	return seriesSet{set}
}

// Select finds series in a store. A matcher for TierLabel chooses the tier and the column of the selection; where it is
// wrong the error is a *ChoiceError. Series with native histograms end with ErrHistogramWindows where they have no such
// column.
func Select(ctx context.Context, store engine.Engine, sel engine.Selection) (engine.SeriesSet, error) {
	choice, rest, err := TakeChoice(sel.Matchers)
	if err != nil {
		return nil, err
	}
	if choice != (Choice{}) {
		sel.Tier, sel.Column = choice.Tier, choice.Column
	}
	sel.Matchers = rest
	set, err := store.Select(ctx, sel)
	if err == nil && sel.Tier != engine.TierRaw && sel.Column != engine.ColumnLast {
		set = floatSet{set}
	}
	return set, err
}

// seriesSet is an engine's set under Prometheus's name.
type seriesSet struct{ engine.SeriesSet }

func (s seriesSet) At() storage.Series              { return s.SeriesSet.At() }
func (seriesSet) Warnings() annotations.Annotations { return nil }

// LabelValues lists the values of a label.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values, err := q.store.LabelValues(ctx, name, q.minT, q.maxT, limitOf(hints), matchers...)
	return values, nil, err
}

// LabelNames lists the names of labels.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, err := q.store.LabelNames(ctx, q.minT, q.maxT, limitOf(hints), matchers...)
	return names, nil, err
}

func limitOf(hints *storage.LabelHints) int {
	if hints == nil {
		return 0
	}
	return hints.Limit
}

// Close frees the sets; their series are not to be used after it.
func (q *querier) Close() error {
	var first error
	for _, set := range q.open {
		if err := set.Close(); first == nil {
			first = err
		}
	}
	q.open = nil
	return first
}

type chunkQuerier struct{ querier }

func (q *chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.querier.Select(ctx, sorted, hints, matchers...))
}

// ExemplarQuerier reads exemplars.
func (q Queryable) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return exemplarQuerier{ctx, q.store}, nil
}

type exemplarQuerier struct {
	ctx   context.Context
	store engine.Engine
}

// Select finds exemplars of the series that match all of any list of matchers, each series once.
func (q exemplarQuerier) Select(start, end int64, any ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	var found []exemplar.QueryResult
	for _, matchers := range any {
		list, err := q.store.Exemplars(q.ctx, start, end, matchers...)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			found = append(found, exemplar.QueryResult{SeriesLabels: s.Labels, Exemplars: s.Exemplars})
		}
	}
	slices.SortStableFunc(found, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return slices.CompactFunc(found, func(a, b exemplar.QueryResult) bool { return labels.Equal(a.SeriesLabels, b.SeriesLabels) }), nil
}
