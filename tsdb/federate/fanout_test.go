package federate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// ill is a shard with a fault that begins and ends.
type ill struct {
	Shard
	// fault answers in place of the shard; nil is no fault.
	fault func(ctx context.Context, attempt int) error
	asked atomic.Int32
}

func (s *ill) meet(ctx context.Context) error {
	n := int(s.asked.Add(1))
	if s.fault == nil {
		return nil
	}
	return s.fault(ctx, n)
}

func (s *ill) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if err := s.meet(ctx); err != nil {
		return Partial{}, err
	}
	return s.Shard.Evaluate(ctx, e)
}

func (s *ill) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	if err := s.meet(ctx); err != nil {
		return nil, err
	}
	return s.Shard.Select(ctx, sel)
}

func hang(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

func refuseFirst(_ context.Context, attempt int) error {
	if attempt == 1 {
		return errors.New("connection reset")
	}
	return nil
}

func hangFirst(ctx context.Context, attempt int) error {
	if attempt == 1 {
		return hang(ctx, attempt)
	}
	return nil
}

func down(context.Context, int) error { return errors.New("connection refused") }

// illWorld has eight shards with a series each, two of which have a fault.
func illWorld(t *testing.T, fault func(context.Context, int) error) *world {
	w := newWorld(t, 8)
	for n := range 8 {
		s := series{lset: labels.FromStrings("__name__", "up", "host", fmt.Sprintf("h%d", n))}
		for i := range int64(40) {
			s.times, s.values = append(s.times, i*15*second), append(s.values, 1)
		}
		w.add(t, n, s)
	}
	all := w.fleet.directory.(members)
	for _, n := range []int{2, 5} {
		all[n].Shard = &ill{Shard: all[n].Shard, fault: fault}
	}
	return w
}

var faultTimes = query.Range{Start: time.UnixMilli(300 * second), End: time.UnixMilli(600 * second), Step: time.Minute}

func TestFaultyShardsAreMissing(t *testing.T) {
	for name, test := range map[string]struct {
		fault   func(context.Context, int) error
		took    time.Duration
		missing bool
	}{
		"hangs for good": {hang, 10 * time.Second, true},
		"hangs once":     {hangFirst, 2 * time.Second, false},
		"fails once":     {refuseFirst, 0, false},
		"is down":        {down, 0, true},
	} {
		for _, expr := range []string{`count(up)`, `max_over_time(count(up)[1m:1m])`} { // computed by shards, and of raw series
			t.Run(name+" "+expr, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := illWorld(t, test.fault)
					began := time.Now()
					result := w.ask(t, w.engine, w.fleet, expr, faultTimes)
					require.NoError(t, result.Err)
					assert.Equal(t, test.took, time.Since(began))
					want := 8.0
					if test.missing {
						want = 6
						warnings, _ := result.Warnings.AsStrings("", 0, 0)
						require.Len(t, warnings, 1)
						assert.Contains(t, warnings[0], "2 of 8 hosts did not answer, and their series are missing: h2, h5")
					} else {
						assert.Empty(t, result.Warnings)
					}
					for _, points := range rowsByLabels(result.Value) {
						for _, p := range points {
							assert.Equal(t, want, p.V)
						}
					}
				})
			})
		}
	}
}

func TestCompleteAnswersOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, down)
		for _, expr := range []string{`count(up)`, `max_over_time(count(up)[1m:1m])`} {
			result := w.ask(t, w.engine, w.fleet.WithComplete(true), expr, faultTimes)
			require.ErrorContains(t, result.Err, "would not be complete", expr)
		}
		w = illWorld(t, nil)
		require.NoError(t, w.ask(t, w.engine, w.fleet.WithComplete(true), `count(up)`, faultTimes).Err)
	})
}

func TestQueriesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, hang)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		prepared, err := w.engine.NewInstantQuery(ctx, w.fleet, nil, `sum(up)`, time.UnixMilli(600*second))
		require.NoError(t, err)
		began := time.Now()
		require.Error(t, prepared.Exec(ctx).Err)
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// TestNothingStaysBehind counts goroutines after queries with hanging shards: fewer than one for each query. The runtime
// starts some of its own when it likes to, such as for finalizers.
func TestNothingStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, hang)
		synctest.Wait()
		before := runtime.NumGoroutine()
		const queries = 20
		for range queries {
			w.ask(t, w.engine, w.fleet, `sum(up) + max_over_time(count(up)[1m:1m])`, faultTimes)
		}
		synctest.Wait()
		assert.Less(t, runtime.NumGoroutine(), before+queries)
	})
}

// TestFewAreAskedAtOnce counts the shards that are being asked.
func TestFewAreAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		busy := func(context.Context, int) error {
			for n := now.Add(1); ; {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return nil
		}
		w := illWorld(t, nil)
		all := w.fleet.directory.(members)
		for n := range all {
			all[n].Shard = &ill{Shard: all[n].Shard, fault: busy}
		}
		w.fleet = NewFleet(all, Options{Concurrent: 3})
		began := time.Now()
		require.NoError(t, w.ask(t, w.engine, w.fleet, `sum(up)`, faultTimes).Err)
		assert.EqualValues(t, 3, most.Load())
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// TestLimitsOfShardsAreTheQuerys: what a shard refuses for its size is not asked for again in a larger way.
func TestLimitsOfShardsAreTheQuerys(t *testing.T) {
	w := illWorld(t, func(context.Context, int) error {
		return &RefusedError{&query.LimitError{Limit: "series", Reached: "2", Max: "1", Way: "none"}}
	})
	var limit *query.LimitError
	require.ErrorAs(t, w.ask(t, w.engine, w.fleet, `sum(up)`, faultTimes).Err, &limit)
	w = illWorld(t, nil)
	w.fleet.opts.MaxCells = 100
	require.ErrorAs(t, w.ask(t, w.engine, w.fleet, `up`, faultTimes).Err, &limit)
	require.NoError(t, w.ask(t, w.engine, w.fleet, `sum(up)`, faultTimes).Err)
}

// pruned is a directory that knows summaries.
type pruned struct {
	members
	summaries map[string]Summary
}

func (p pruned) MayHave(member Member, matchers []*labels.Matcher) bool {
	return p.summaries[member.Name].MayHave(matchers)
}

func TestShardsWithoutTheSeriesAreNotAsked(t *testing.T) {
	w := illWorld(t, nil)
	directory := pruned{w.fleet.directory.(members), map[string]Summary{}}
	var counters []*ill
	for n, m := range directory.members {
		one := &ill{Shard: m.Shard}
		counters, directory.members[n].Shard = append(counters, one), one
		directory.summaries[m.Name] = Summarize(map[string][]string{"__name__": {"up"}, "host": {m.Name}, "many": {"a", "b", "c"}}, 2)
	}
	w.fleet = NewFleet(directory, Options{})
	for expr, want := range map[string]int{
		`sum(up{host="h3"})`: 1, `up{host=~"h1|h2"}`: 2, `sum(up{host=~"h.*"})`: 8, `sum(nothing)`: 0, `up{host!="h1"}`: 8, `up{job="x"}`: 0,
		`up{job=""}`: 8, `up{many="z"}`: 8, `sum(up{host="h1"}) + sum(up{host="h2"})`: 2, `max_over_time(sum(up{host="h3"})[1m:1m])`: 1,
	} {
		before := 0
		for _, c := range counters {
			before += int(c.asked.Load())
		}
		w.compare(t, expr, faultTimes)
		for _, c := range counters {
			before -= int(c.asked.Load())
		}
		assert.Equal(t, want, -before, expr)
	}
}

// after waits for a time of the bubble.
func after(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestSlowHostsAreNotAskedTwiceAll counts the requests where every host is silent at first.
func TestSlowHostsAreNotAskedTwiceAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 400
		var requests atomic.Int32
		var all []Member
		for n := range hosts {
			all = append(all, Member{Name: fmt.Sprintf("h%03d", n)})
		}
		ask := func(ctx context.Context, _ Member) (int, error) {
			requests.Add(1)
			return 1, after(ctx, 3*time.Second)
		}
		opts := Options{}.withDefaults()
		answers := 0
		for range 3 {
			missing, err := each(t.Context(), opts, all, ask, func(Member, int) error { answers++; return nil })
			require.NoError(t, err)
			require.Nil(t, missing)
		}
		assert.Equal(t, 3*hosts, answers)
		assert.LessOrEqual(t, int(requests.Load()), 3*hosts+3*hosts/10+extraSaved)
		assert.Greater(t, int(requests.Load()), 3*hosts+extraSaved, "some are")
	})
}

// TestAnswersUnderWayAreBounded while they wait for others, and what is merged is not counted any more.
func TestAnswersUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []Member{{Name: "a"}, {Name: "b"}, {Name: "c"}}
		hold := func(bytes int64) func(context.Context, Member) (int, error) {
			return func(ctx context.Context, _ Member) (int, error) {
				if err := Hold(ctx, bytes); err != nil {
					return 0, err
				}
				return 1, after(ctx, time.Second)
			}
		}
		run := func(concurrent int, bytes int64) error {
			_, err := each(t.Context(), Options{Concurrent: concurrent, MaxBytes: 1000}.withDefaults(), all, hold(bytes), func(Member, int) error { return nil })
			return err
		}
		require.NoError(t, run(3, 300))
		require.NoError(t, run(1, 1000), "one after the other")
		var limit *query.LimitError
		require.ErrorAs(t, run(2, 600), &limit)
		require.ErrorAs(t, run(1, 1001), &limit)
	})
}

// TestPanicsAreErrors: what a host answers never ends the process.
func TestPanicsAreErrors(t *testing.T) {
	all := []Member{{Name: "good"}, {Name: "odd"}}
	burst := func(m Member) {
		if m.Name == "odd" {
			_ = []int{}[len(m.Name)]
		}
	}
	nothing := func(Member, int) error { return nil }
	missing, err := each(t.Context(), Options{}.withDefaults(), all, func(_ context.Context, m Member) (int, error) { burst(m); return 1, nil }, nothing)
	require.NoError(t, err)
	require.NotNil(t, missing)
	assert.Equal(t, []string{"odd"}, missing.Hosts)
	assert.ErrorContains(t, missing, "index out of range")
	_, err = each(t.Context(), Options{}.withDefaults(), all, func(context.Context, Member) (int, error) { return 1, nil }, func(m Member, _ int) error { burst(m); return nil })
	require.ErrorContains(t, err, "host odd: ")
	require.ErrorContains(t, err, "index out of range")
}

// TestWhatIsOverAllowsNothing: hosts that are not asked any more save up no second requests.
func TestWhatIsOverAllowsNothing(t *testing.T) {
	var all []Member
	for n := range 400 {
		all = append(all, Member{Name: fmt.Sprintf("h%03d", n)})
	}
	opts := Options{Concurrent: 1}.withDefaults()
	for range extraSaved {
		require.True(t, opts.extra.take())
	}
	asked := 0
	_, err := each(t.Context(), opts, all, func(context.Context, Member) (int, error) {
		asked++
		return 0, &RefusedError{errors.New("no")}
	}, func(Member, int) error { return nil })
	require.ErrorContains(t, err, "no")
	assert.Equal(t, 1, asked)
	assert.False(t, opts.extra.take())
}

// TestExemplarsOfSeveralHostsAreMerged where they have the same series, each once.
func TestExemplarsOfSeveralHostsAreMerged(t *testing.T) {
	w := newWorld(t, 2)
	name := labels.FromStrings("__name__", "a")
	keep := func(shard int, at int64, trace string) {
		ref, err := w.shards[shard].Ref(name)
		require.NoError(t, err)
		_, err = w.shards[shard].Append(t.Context(), engine.Batch{
			Samples:   []engine.Sample{{Ref: ref, T: at, V: 1}},
			Exemplars: []engine.ExemplarSample{{Ref: ref, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace", trace), Value: 3, Ts: at, HasTs: true}}},
		})
		require.NoError(t, err)
	}
	keep(0, 10*second, "x")
	keep(0, 30*second, "z")
	keep(1, 10*second, "x") // the same, by two ways
	keep(1, 20*second, "y")
	querier, err := w.fleet.ExemplarQuerier(t.Context())
	require.NoError(t, err)
	selector := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "a")}
	found, err := querier.Select(0, 60*second, selector, selector)
	require.NoError(t, err)
	require.Len(t, found, 1)
	var traces []string
	for _, e := range found[0].Exemplars {
		traces = append(traces, e.Labels.Get("trace"))
	}
	assert.Equal(t, []string{"x", "y", "z"}, traces)
}
