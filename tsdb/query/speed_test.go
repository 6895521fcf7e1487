package query_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

// counted counts what is asked of a storage.
type counted struct {
	storage.Queryable
	queriers, selects, closed int
}

func (c *counted) Querier(minT, maxT int64) (storage.Querier, error) {
	c.queriers++
	q, err := c.Queryable.Querier(minT, maxT)
	return &countedQuerier{q, c}, err
}

type countedQuerier struct {
	storage.Querier
	counted *counted
}

func (q *countedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	q.counted.selects++
	return q.Querier.Select(ctx, sorted, hints, matchers...)
}

func (q *countedQuerier) Close() error {
	q.counted.closed++
	return q.Querier.Close()
}

func TestPath(t *testing.T) {
	e, store := open(t, query.Options{}), &counted{Queryable: minutes(t, 3)}
	for expr, why := range map[string]string{
		`sum by (host) (rate(up[5m]))`: "",
		`up`:                           "",
		`up + up`:                      "an operator between two vectors, or without one",
	} {
		q, err := e.NewInstantQuery(t.Context(), store, nil, expr, minute(100))
		require.NoError(t, err)
		path, is := query.PathOf(q)
		require.True(t, is)
		assert.Equal(t, query.Path{Fast: why == "", Why: why, Expr: expr}, path)
		require.NoError(t, q.Exec(t.Context()).Err)
		q.Close()
	}
	assert.Equal(t, query.Evaluated{Fast: 2, PromQL: 1}, e.Evaluated())
	assert.Equal(t, []int{3, 4, 3}, []int{store.queriers, store.selects, store.closed})
	_, is := query.PathOf(nil)
	assert.False(t, is)
}

// TestHistogramsFallBack meets a native histogram after some floats: PromQL goes on with the series that were found.
func TestHistogramsFallBack(t *testing.T) {
	mem := memory.Open(memory.Options{})
	for i := range 3 {
		ref, err := mem.Ref(labels.FromStrings("__name__", "mixed", "i", fmt.Sprint(i)))
		require.NoError(t, err)
		var b engine.Batch
		for k := range int64(10) {
			if i == 1 && k > 5 {
				h := &histogram.FloatHistogram{Schema: 1, Count: 4, Sum: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{4}}
				b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: ref, T: k * 60_000, Float: h})
			} else {
				b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: k * 60_000, V: float64(k)})
			}
		}
		_, err = mem.Append(t.Context(), b)
		require.NoError(t, err)
	}
	store := &counted{Queryable: query.NewQueryable(mem)}
	e := open(t, query.Options{Limits: query.Limits{Series: 3, Concurrent: 1}})
	q, err := e.NewInstantQuery(t.Context(), store, nil, `count(count_over_time(mixed[10m]))`, minute(9))
	require.NoError(t, err)
	a, err := query.Run(t.Context(), q, time.Now())
	require.NoError(t, err)
	assert.Equal(t, 3.0, a.Value.(promql.Vector)[0].F)
	assert.Equal(t, int64(3), a.Stats.Series, "series count once")
	assert.Equal(t, []int{1, 1, 1}, []int{store.queriers, store.selects, store.closed})
	path, _ := query.PathOf(q)
	assert.Equal(t, "native histograms", path.Why)
	assert.Equal(t, query.Evaluated{PromQL: 1, FellBack: 1}, e.Evaluated())

	rows, result := query.ExecRows(t.Context(), prepared(t, e, store, `count_over_time(mixed[10m])`))
	assert.Nil(t, rows)
	assert.Len(t, result.Value, 3)
}

func prepared(t *testing.T, e *query.Engine, store storage.Queryable, expr string) promql.Query {
	q, err := e.NewRangeQuery(t.Context(), store, nil, expr, minute(9), minute(12), time.Minute)
	require.NoError(t, err)
	return q
}

func TestRowsByStep(t *testing.T) {
	e, store := open(t, query.Options{}), minutes(t, 2)
	rows, result := query.ExecRows(t.Context(), prepared(t, e, store, `up * 2 > 20`))
	require.NoError(t, result.Err)
	assert.Nil(t, result.Value)
	require.Len(t, rows, 2)
	assert.Equal(t, labels.FromStrings("host", "0"), rows[0].Labels)
	assert.Equal(t, []float64{22, 24}, rows[0].Values[2:])
	rows, result = query.ExecRows(t.Context(), prepared(t, e, store, `nothing`))
	require.NoError(t, result.Err)
	assert.NotNil(t, rows)
	assert.Empty(t, rows)
	rows, result = query.ExecRows(t.Context(), prepared(t, e, store, `abs(up)`))
	assert.Nil(t, rows)
	assert.Len(t, result.Value, 2)
}

func TestCancelFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, query.Options{})
		q, err := e.NewInstantQuery(t.Context(), endlessQueryable, nil, `sum(up)`, minute(1))
		require.NoError(t, err)
		time.AfterFunc(time.Second, q.Cancel)
		var cancelled promql.ErrQueryCanceled
		require.ErrorAs(t, q.Exec(t.Context()).Err, &cancelled)
	})
}

// broken is a storage with one series whose samples end in an error or a panic.
type broken struct {
	storage.Querier
	panics any
}

var errBroken = errors.New("the disk is gone")

func (b broken) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	series := &storage.SeriesEntry{Lset: labels.FromStrings("a", "b"), SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
		if b.panics != nil {
			panic(b.panics)
		}
		return failing{chunkenc.NewNopIterator()}
	}}
	return &one{SeriesSet: storage.EmptySeriesSet(), series: series}
}
func (broken) Close() error { return nil }

// one is a set of one series.
type one struct {
	storage.SeriesSet
	series storage.Series
	given  bool
}

func (o *one) Next() bool {
	again := o.given
	o.given = true
	return !again
}
func (o *one) At() storage.Series { return o.series }

type failing struct{ chunkenc.Iterator }

func (failing) Err() error { return errBroken }

func TestBrokenStorage(t *testing.T) {
	e := open(t, query.Options{})
	for want, panics := range map[string]any{errBroken.Error(): nil, "odd": errors.New("odd"), "text": "text"} {
		q := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return broken{panics: panics}, nil })
		for _, expr := range []string{`sum(rate(up[5m]))`, `up`} {
			_, err := e.Instant(t.Context(), q, expr, minute(1))
			require.EqualError(t, err, want)
		}
	}
}

// TestSparseFallsBack asks about many steps where each series has values at few: rows with room for all steps would take
// more memory than the query has.
func TestSparseFallsBack(t *testing.T) {
	mem := memory.Open(memory.Options{})
	for i := range 30 {
		ref, err := mem.Ref(labels.FromStrings("__name__", "short", "i", fmt.Sprint(i)))
		require.NoError(t, err)
		_, err = mem.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: int64(i) * 60_000, V: 1}}})
		require.NoError(t, err)
	}
	e := open(t, query.Options{Limits: query.Limits{Bytes: 16 * 1000}})
	for _, expr := range []string{`short`, `sum by (i) (short)`, `quantile by (i) (0.5, short)`, `topk by (i) (3, short)`, `avg(sum by (i) (short))`} {
		q, err := e.NewRangeQuery(t.Context(), query.NewQueryable(mem), nil, expr, minute(0), minute(200), time.Minute)
		require.NoError(t, err)
		result := q.Exec(t.Context())
		require.NoError(t, result.Err)
		points := 0
		for _, s := range result.Value.(promql.Matrix) {
			points += len(s.Floats)
		}
		if expr[0] != 'a' {
			assert.Equal(t, 30*5, points, expr)
		}
		path, _ := query.PathOf(q)
		assert.Equal(t, "many series with few values", path.Why, expr)
	}
}
