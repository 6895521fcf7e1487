package query_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

// minutes is a store with the series up{host="0"} … that count the minutes of a day.
func minutes(t testing.TB, series int) query.Queryable {
	t.Helper()
	e := memory.Open(memory.Options{})
	for s := range series {
		ref, err := e.Ref(labels.FromStrings("__name__", "up", "host", fmt.Sprint(s)))
		require.NoError(t, err)
		var b engine.Batch
		for i := range int64(24 * 60) {
			b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: i * 60_000, V: float64(i)})
		}
		_, err = e.Append(t.Context(), b)
		require.NoError(t, err)
	}
	return query.NewQueryable(e)
}

func open(t testing.TB, opts query.Options) *query.Engine {
	t.Helper()
	e, err := query.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

func minute(n int) time.Time { return time.UnixMilli(int64(n) * 60_000) }

func TestInstant(t *testing.T) {
	a, err := open(t, query.Options{}).Instant(t.Context(), minutes(t, 3), `sum(up)`, minute(100))
	require.NoError(t, err)
	assert.Equal(t, promql.Vector{{T: 100 * 60_000, F: 300}}, a.Value)
	assert.Equal(t, int64(3), a.Stats.Series)
	assert.Positive(t, a.Stats.Elapsed)
	assert.Empty(t, a.Warnings)
}

func TestRange(t *testing.T) {
	a, err := open(t, query.Options{}).Range(t.Context(), minutes(t, 2), `increase(up{host="1"}[10m])`, query.Range{Start: minute(60), End: minute(120), Step: time.Hour})
	require.NoError(t, err)
	matrix, is := a.Value.(promql.Matrix)
	require.True(t, is)
	require.Len(t, matrix, 1)
	assert.Equal(t, []promql.FPoint{{T: 60 * 60_000, F: 10}, {T: 120 * 60_000, F: 10}}, matrix[0].Floats)
	assert.Equal(t, int64(1), a.Stats.Series)
	assert.InDelta(t, 20, a.Stats.Samples, 2, "ten in each window, and one before or after it")
	assert.Positive(t, a.Stats.Peak)
}

func TestWarnings(t *testing.T) {
	a, err := open(t, query.Options{}).Instant(t.Context(), minutes(t, 1), `rate(up[5m])`, minute(100))
	require.NoError(t, err)
	require.Len(t, a.Infos, 1, "up is no name for a counter")
	a, err = open(t, query.Options{}).Instant(t.Context(), minutes(t, 1), `quantile(7, up)`, minute(100))
	require.NoError(t, err)
	require.Len(t, a.Warnings, 1)
	assert.Contains(t, a.Warnings[0], "quantile value should be between 0 and 1")
}

func TestLimits(t *testing.T) {
	q := minutes(t, 20)
	for limit, test := range map[string]struct {
		limits query.Limits
		want   string
	}{
		"series":  {query.Limits{Series: 19}, "query limit series: the query reached 20, allowed are 19: name more labels"},
		"samples": {query.Limits{Samples: 10_000}, "allowed are 10000: ask for less time or fewer series"},
		"bytes":   {query.Limits{Bytes: 16 * 100}, "query limit bytes: the query reached more, allowed are 1600 (100 samples at one time)"},
		"labels":  {query.Limits{Bytes: 200}, "query limit bytes: the query reached 2"},
	} {
		t.Run(limit, func(t *testing.T) {
			e := open(t, query.Options{Limits: test.limits})
			_, err := e.Range(t.Context(), q, `sum(rate(up[1h]))`, query.Range{Start: minute(0), End: minute(1400), Step: time.Hour})
			var broken *query.LimitError
			require.ErrorAs(t, err, &broken)
			assert.Contains(t, err.Error(), test.want)
			_, err = e.Instant(t.Context(), q, `up{host="1"}`, minute(3))
			require.NoError(t, err, "the next query has its own limits")
		})
	}
}

// endless is a store that answers once its caller gives up.
type endless struct{ storage.Querier }

func (endless) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	<-ctx.Done()
	return storage.ErrSeriesSet(ctx.Err())
}
func (endless) Close() error { return nil }

var endlessQueryable = storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return endless{}, nil })

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, query.Options{Limits: query.Limits{Timeout: 3 * time.Second}})
		started := time.Now()
		_, err := e.Instant(t.Context(), endlessQueryable, `up`, minute(1))
		var broken *query.LimitError
		require.ErrorAs(t, err, &broken)
		assert.Equal(t, "timeout", broken.Limit)
		assert.Equal(t, "3s", broken.Max)
		assert.Equal(t, 3*time.Second, time.Since(started))
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, query.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		time.AfterFunc(time.Second/2, cancel)
		_, err := e.Instant(ctx, endlessQueryable, `up`, minute(1))
		var cancelled promql.ErrQueryCanceled
		require.ErrorAs(t, err, &cancelled)
	})
}

func TestOnlySoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, query.Options{Limits: query.Limits{Concurrent: 1, Timeout: time.Minute}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := e.Instant(ctx, endlessQueryable, `up`, minute(1))
			ended <- err
		}()
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := e.Instant(short, minutes(t, 1), `up`, minute(1))
		require.ErrorContains(t, err, "query limit concurrent: the query reached 1 others running until time was up, allowed are 1: ask again later")
		cancel()
		require.Error(t, <-ended)
		_, err = e.Instant(t.Context(), minutes(t, 1), `up`, minute(1))
		require.NoError(t, err)
	})
}

func TestBadRanges(t *testing.T) {
	e, q := open(t, query.Options{}), minutes(t, 1)
	for want, r := range map[string]query.Range{
		"the step is 0s": {Start: minute(0), End: minute(1)},
		"ends (1970-01-01T00:00:00Z) before it st": {Start: minute(1).UTC(), End: minute(0).UTC(), Step: time.Second},
		"limit steps: the query reached 86401":     {Start: minute(0), End: minute(1440), Step: time.Second},
	} {
		_, err := e.Range(t.Context(), q, `up`, r)
		require.ErrorContains(t, err, want)
	}
	_, err := e.Instant(t.Context(), q, `sum(`, minute(1))
	require.ErrorContains(t, err, "parse error")
}

// TestActiveLogOutlivesTheProcess kills a process that is in the middle of a query.
func TestActiveLogOutlivesTheProcess(t *testing.T) {
	const variable = "NOVACRON_TEST_ACTIVE_LOG"
	if path := os.Getenv(variable); path != "" {
		e, err := query.New(query.Options{ActiveLog: path})
		require.NoError(t, err)
		die := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) {
			self, err := os.FindProcess(os.Getpid())
			require.NoError(t, err)
			require.NoError(t, self.Kill())
			select {}
		})
		_, _ = e.Instant(t.Context(), die, `sum(up{host="fatal"})`, minute(1))
		t.Fatal("the process lives on")
	}
	path := filepath.Join(t.TempDir(), "shard", "queries.active")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestActiveLogOutlivesTheProcess$")
	cmd.Env = append(os.Environ(), variable+"="+path)
	require.Error(t, cmd.Run())
	e := open(t, query.Options{ActiveLog: path})
	require.Len(t, e.Unfinished(), 1)
	assert.Equal(t, `sum(up{host="fatal"})`, e.Unfinished()[0].Query)
	assert.WithinDuration(t, time.Now(), e.Unfinished()[0].Started, time.Minute)
}

func TestActiveLogOfAQuietEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries.active")
	e, err := query.New(query.Options{ActiveLog: path})
	require.NoError(t, err)
	_, err = e.Instant(t.Context(), minutes(t, 1), `up`, minute(1))
	require.NoError(t, err)
	require.NoError(t, e.Close())
	assert.NoFileExists(t, path)
	assert.Empty(t, open(t, query.Options{ActiveLog: path}).Unfinished())
}

func TestTierMatcher(t *testing.T) {
	e, q := open(t, query.Options{}), minutes(t, 1)
	a, err := e.Instant(t.Context(), q, `up{__tier__="raw"}`, minute(60))
	require.NoError(t, err)
	assert.Equal(t, 60.0, a.Value.(promql.Vector)[0].F)
	for expr, want := range map[string]string{
		`up{__tier__="2h:sum"}`:                     "write raw, or a tier",
		`up{__tier__="1h:total"}`:                   "write raw, or a tier",
		`up{__tier__="raw:sum"}`:                    "write raw, or a tier",
		`up{__tier__=~"1h:sum"}`:                    "takes only =",
		`up{__tier__="1h:sum",__tier__="1h:count"}`: "twice",
	} {
		_, err := e.Instant(t.Context(), q, expr, minute(60))
		require.ErrorContains(t, err, want, expr)
	}
}

func TestExemplars(t *testing.T) {
	e := memory.Open(memory.Options{})
	for i, name := range []string{"a", "b"} {
		ref, err := e.Ref(labels.FromStrings("__name__", name))
		require.NoError(t, err)
		_, err = e.Append(t.Context(), engine.Batch{Exemplars: []engine.ExemplarSample{{Ref: ref, Exemplar: exemplar.Exemplar{Ts: int64(i), HasTs: true}}}})
		require.NoError(t, err)
	}
	q, err := query.NewQueryable(e).ExemplarQuerier(t.Context())
	require.NoError(t, err)
	of := func(pattern string) []*labels.Matcher {
		return []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", pattern)}
	}
	found, err := q.Select(0, 10, of("b"), of("a|b"))
	require.NoError(t, err)
	var names []string
	for _, r := range found {
		names = append(names, fmt.Sprint(r.SeriesLabels.Get("__name__"), len(r.Exemplars)))
	}
	assert.Equal(t, "a1 b1", strings.Join(names, " "))
}

func TestLabelsAndChunks(t *testing.T) {
	store := minutes(t, 3)
	q, err := store.ChunkQuerier(0, 3_600_000)
	require.NoError(t, err)
	defer q.Close()
	values, _, err := q.LabelValues(t.Context(), "host", &storage.LabelHints{Limit: 2})
	require.NoError(t, err)
	assert.Equal(t, []string{"0", "1"}, values)
	names, _, err := q.LabelNames(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"__name__", "host"}, names)
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "host", "2"))
	require.True(t, set.Next())
	samples := 0
	for it := set.At().Iterator(nil); it.Next(); {
		samples += it.At().Chunk.NumSamples()
	}
	assert.Equal(t, 61, samples)
	assert.False(t, set.Next())
}
