package federate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// askFor asks for an hour, with a deadline of its own.
func (p *past) askFor(ctx context.Context, t require.TestingT, expr string, r query.Range) *promql.Result {
	prepared, err := p.cached.NewRangeQuery(ctx, p.fleet, nil, expr, r.Start, r.End, r.Step)
	require.NoError(t, err, expr)
	defer prepared.Close()
	result := prepared.Exec(ctx)
	if result.Err != nil {
		return result
	}
	copied := promql.Matrix{}
	for _, s := range result.Value.(promql.Matrix) {
		copied = append(copied, promql.Series{Metric: s.Metric, Floats: append([]promql.FPoint(nil), s.Floats...)})
	}
	return &promql.Result{Value: copied}
}

// TestADashboardOpenedByManyIsComputedOnce has 50 ask the same in other words, while the first is being answered.
func TestADashboardOpenedByManyIsComputedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := stalled(t, query.Limits{}, time.Second)
		want := rowsByLabels(p.ask(t, p.plain, `sum by (a, b) (g)`, hour(p)).Value)
		before, began := d.evaluated.Load(), time.Now()
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				result := p.askFor(t.Context(), t, []string{`sum by (a, b) (g)`, `sum by(b,a)( g{} )`}[i%2], hour(p))
				assert.NoError(t, result.Err)
				assert.Equal(t, want, rowsByLabels(result.Value))
			})
		}
		all.Wait()
		assert.Equal(t, time.Second, time.Since(began))
		assert.EqualValues(t, 1, d.evaluated.Load()-before)
		assert.EqualValues(t, 49, p.cache.Stats().Shared)

		before = d.evaluated.Load()
		instant := func(e *Engine) {
			prepared, err := e.NewInstantQuery(t.Context(), p.fleet, nil, `sum(g)`, p.now)
			assert.NoError(t, err)
			defer prepared.Close()
			result := prepared.Exec(t.Context())
			assert.NoError(t, result.Err)
			assert.Len(t, result.Value.(promql.Vector), 1)
		}
		for range 10 {
			all.Go(func() { instant(p.cached) })
		}
		all.Wait()
		assert.EqualValues(t, 1, d.evaluated.Load()-before)
		instant(p.cached)
		assert.EqualValues(t, 2, d.evaluated.Load()-before, "who asks later is answered by what is there then")
	})
}

// TestEachCallerHasItsOwnTime has the first caller leave, and others that have less time than the answer takes.
func TestEachCallerHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := stalled(t, query.Limits{}, time.Second)
		before := d.evaluated.Load()
		var all sync.WaitGroup
		for i, patience := range []time.Duration{100 * time.Millisecond, 5 * time.Second, 300 * time.Millisecond, 2 * time.Second} {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				began := time.Now()
				result := p.askFor(ctx, t, `sum(g)`, hour(p))
				if patience < time.Second {
					assert.ErrorIs(t, result.Err, context.DeadlineExceeded)
					assert.Equal(t, patience, time.Since(began))
					return
				}
				assert.NoError(t, result.Err)
				assert.Len(t, result.Value.(promql.Matrix)[0].Floats, 61)
			})
		}
		all.Wait()
		assert.EqualValues(t, 2, d.evaluated.Load()-before, "the two gaps that the cache had, once each")

		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		require.ErrorIs(t, p.askFor(ctx, t, `max(g)`, hour(p)).Err, context.Canceled)
		assert.Equal(t, time.Millisecond, time.Since(began), "nobody else waits: it has ended")
	})
}

// failing is a shard that fails as long as it is told to, after a second.
type failing struct {
	Shard
	fails atomic.Bool
	calls atomic.Int64
}

func (f *failing) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	f.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return Partial{}, ctx.Err()
	}
	if f.fails.Load() {
		return Partial{}, &RefusedError{&query.LimitError{Limit: "series", Reached: "2", Max: "1", Way: "ask for less"}}
	}
	return f.Shard.Evaluate(ctx, e)
}

func TestErrorsAreSharedByThoseWhoWaitAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPast(t, 1)
		p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(int64) float64 { return 1 })
		broken := &failing{Shard: p.directory.members[0].Shard}
		broken.fails.Store(true)
		p.fleet = NewFleet(members{{"h0", broken}}, Options{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { assert.ErrorContains(t, p.askFor(t.Context(), t, `sum(g)`, hour(p)).Err, "query limit series") })
		}
		all.Wait()
		assert.EqualValues(t, 1, broken.calls.Load())
		broken.fails.Store(false)
		require.NoError(t, p.askFor(t.Context(), t, `sum(g)`, hour(p)).Err)
	})
}

// TestWhoComesLateIsNotOutOfTime joins shortly before what others have been waiting for ends for want of time.
func TestWhoComesLateIsNotOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := stalled(t, query.Limits{Timeout: time.Second}, time.Hour)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				limit := &query.LimitError{}
				assert.ErrorAs(t, p.askFor(t.Context(), t, `max(g)`, hour(p)).Err, &limit)
				assert.Equal(t, "timeout", limit.Limit)
			})
		}
		all.Go(func() {
			time.Sleep(900 * time.Millisecond)
			d.wait.Store(int64(100 * time.Millisecond))
			began := time.Now()
			assert.NoError(t, p.askFor(t.Context(), t, `max(g)`, hour(p)).Err)
			assert.Equal(t, 200*time.Millisecond, time.Since(began))
		})
		all.Wait()
	})
}

// TestWhatIsNotTheSameIsNotShared asks at one time what looks alike.
func TestWhatIsNotTheSameIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := stalled(t, query.Limits{}, time.Second)
		r := hour(p)
		longer, later := r, r
		longer.End = r.End.Add(30 * time.Second) // the last of its times is the same
		later.Start = r.Start.Add(time.Minute)
		for name, test := range map[string]struct {
			fleet  *Fleet
			expr   string
			ranges [2]query.Range
			calls  int64
		}{
			"the same":          {p.fleet, `avg(g)`, [2]query.Range{r, r}, 1},
			"the last time":     {p.fleet, `min(g)`, [2]query.Range{r, longer}, 1},
			"another start":     {p.fleet, `group(g)`, [2]query.Range{r, later}, 2},
			"another end":       {p.fleet, `sum(g @ end())`, [2]query.Range{r, longer}, 2},
			"another range":     {p.fleet, `max(g) + range()`, [2]query.Range{r, longer}, 2},
			"another fleet":     {NewFleet(d, Options{}), `count(g)`, [2]query.Range{r, r}, 2},
			"only when all are": {p.fleet.WithComplete(true), `max(g)`, [2]query.Range{r, r}, 2},
		} {
			before := d.evaluated.Load()
			var all sync.WaitGroup
			for i, fleet := range []*Fleet{p.fleet, test.fleet} {
				all.Go(func() {
					r := test.ranges[i]
					prepared, err := p.cached.NewRangeQuery(t.Context(), fleet, nil, test.expr, r.Start, r.End, r.Step)
					assert.NoError(t, err)
					defer prepared.Close()
					assert.NoError(t, prepared.Exec(t.Context()).Err)
				})
			}
			all.Wait()
			assert.EqualValues(t, test.calls, d.evaluated.Load()-before, name)
		}
	})
}

// TestWarningsNamePlacesInTheOwnText has two ask in other words what PromQL has something to say of.
func TestWarningsNamePlacesInTheOwnText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stalled(t, query.Limits{}, time.Second)
		var all sync.WaitGroup
		for _, expr := range []string{`histogram_quantile(0.9, max_over_time(sum(g)[1m:30s]))`, `histogram_quantile(0.9,   max_over_time(  sum(g)[1m:30s]))`} {
			all.Go(func() {
				r := hour(p)
				want := p.ask(t, p.plain, expr, r)
				prepared, err := p.cached.NewRangeQuery(t.Context(), p.fleet, nil, expr, r.Start, r.End, r.Step)
				assert.NoError(t, err)
				defer prepared.Close()
				got := prepared.Exec(t.Context())
				wantWarnings, wantInfos := want.Warnings.AsStrings(expr, 0, 0)
				gotWarnings, gotInfos := got.Warnings.AsStrings(expr, 0, 0)
				assert.NotEmpty(t, append(wantWarnings, wantInfos...))
				assert.Equal(t, wantWarnings, gotWarnings)
				assert.Equal(t, wantInfos, gotInfos)
			})
		}
		all.Wait()
	})
}

// TestWarningsAreRenderedByManyAtOnce has callers of the same text, who each render what PromQL has to say of it.
func TestWarningsAreRenderedByManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stalled(t, query.Limits{}, time.Second)
		const expr = `histogram_quantile(0.9, sum(g))`
		want, _ := p.ask(t, p.plain, expr, hour(p)).Warnings.AsStrings(expr, 0, 0)
		require.NotEmpty(t, want)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				got := p.ask(t, p.cached, expr, hour(p))
				warnings, _ := got.Warnings.AsStrings(expr, 0, 0)
				assert.Equal(t, want, warnings)
				for _, err := range got.Warnings {
					assert.ErrorIs(t, err, annotations.PromQLWarning)
				}
			})
		}
		all.Wait()
		assert.Positive(t, p.cache.Stats().Shared)
	})
}

// TestManyAtOnceAreAnsweredAsOneAlone has random questions asked at one time by callers of which some change what they
// got, some leave early, and all give it back.
func TestManyAtOnceAreAnsweredAsOneAlone(t *testing.T) {
	p := newPast(t, 2)
	for i := range 6 {
		p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(at int64) float64 { return float64(at % int64(i+7)) })
	}
	exprs := []string{`g`, `sum(g)`, `topk(2, g)`, `max by (i) (g) > 2`, `sum(g) / count(g)`}
	want := map[string]map[string]string{}
	for _, expr := range exprs {
		want[expr] = texts(p.ask(t, p.plain, expr, hour(p)).Value.(promql.Matrix))
	}
	rapid.Check(t, func(r *rapid.T) {
		type caller struct {
			expr          string
			leaves, ruins bool
		}
		var callers []caller
		for range rapid.IntRange(2, 16).Draw(r, "callers") {
			callers = append(callers, caller{rapid.SampledFrom(exprs).Draw(r, "expr"), rapid.IntRange(0, 4).Draw(r, "leaves") == 0, rapid.Bool().Draw(r, "ruins")})
		}
		var all sync.WaitGroup
		wrong := make([]error, len(callers))
		for i, one := range callers {
			all.Go(func() { wrong[i] = p.check(one.expr, want[one.expr], one.leaves, one.ruins) })
		}
		all.Wait()
		require.NoError(r, errors.Join(wrong...))
	})
}

func (p *past) check(expr string, want map[string]string, leaves, ruins bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := hour(p)
	prepared, err := p.cached.NewRangeQuery(ctx, p.fleet, nil, expr, r.Start, r.End, r.Step)
	if err != nil {
		return err
	}
	defer prepared.Close()
	if leaves {
		cancel()
	}
	result := prepared.Exec(ctx)
	if result.Err != nil {
		if leaves && errors.Is(result.Err, context.Canceled) {
			return nil
		}
		return result.Err
	}
	rows := result.Value.(promql.Matrix)
	if got := texts(rows); fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("%s: %v is not %v", expr, got, want)
	}
	if ruins { // as who sends no more than a limit does
		clear(rows)
		result.Warnings.Add(errBroken)
	}
	return nil
}

func texts(rows promql.Matrix) map[string]string {
	all := map[string]string{}
	for _, row := range rows {
		all[row.Metric.String()] = fmt.Sprint(row.Floats)
	}
	return all
}

func TestASharedQueryTellsOfItself(t *testing.T) {
	p := newPast(t, 1)
	p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(int64) float64 { return 1 })
	r := hour(p)
	prepared, err := p.cached.NewRangeQuery(t.Context(), p.fleet, nil, `sum( g)`, r.Start, r.End, r.Step)
	require.NoError(t, err)
	require.IsType(t, &sharedQuery{}, prepared)
	assert.Equal(t, `sum( g)`, prepared.String())
	assert.Equal(t, r.End, prepared.Statement().(*parser.EvalStmt).End)
	assert.Zero(t, prepared.Stats().Samples.TotalSamples)
	require.NoError(t, prepared.Exec(t.Context()).Err)
	assert.Positive(t, prepared.Stats().Samples.PeakSamples)
	prepared.Close()
	prepared.Close()
}
