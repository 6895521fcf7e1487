package collect

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
)

// collector is one of functions.
type collector struct {
	collect func(ctx context.Context) ([]Metric, error)

	mu   sync.Mutex
	told []bool
}

func (c *collector) settled() []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

func (c *collector) CollectMetrics(ctx context.Context, _ tsdb.MetricsQuery) ([]Metric, error) {
	return c.collect(ctx)
}

func (c *collector) ListAvailableMetrics(context.Context) ([]MetricDefinition, error) {
	return NewRegistry().Definitions(Host), nil
}

func (c *collector) Settle(_ context.Context, stored bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, stored)
	return nil
}

// sink keeps what it is given.
type sink struct {
	mu   sync.Mutex
	got  []Metric
	fail error
}

func (s *sink) StoreMetrics(_ context.Context, metrics []Metric) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.got = append(s.got, metrics...)
	}
	return s.fail
}

func (s *sink) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// of lists the times, in seconds since the start, and values of a metric of a collector or host.
func (s *sink) of(name, label string, start time.Time) (at []float64, values []float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		if m.Name == name && (m.Labels["collector"] == label || m.Labels["host"] == label || m.Labels["reason"] == label) {
			at, values = append(at, m.Timestamp.Sub(start).Seconds()), append(values, m.Value)
		}
	}
	return at, values
}

func (s *sink) last(t *testing.T, name, label string) float64 {
	t.Helper()
	_, values := s.of(name, label, time.Time{})
	require.NotEmpty(t, values, name)
	return values[len(values)-1]
}

func load(host string) func(context.Context) ([]Metric, error) {
	return func(context.Context) ([]Metric, error) {
		return []Metric{{Name: "host_load1", Labels: map[string]string{"host": host}, Value: 1, Timestamp: time.Now()}}, nil
	}
}

func newTestRunner() (*Runner, *sink) {
	s := &sink{}
	return NewRunner(RunnerConfig{Sink: s, Registry: NewRegistry(), Logger: slog.New(slog.DiscardHandler)}), s
}

func TestRunnerCollectsAtRoundTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, s := newTestRunner()
		time.Sleep(7 * time.Second)
		start := time.Now().Truncate(15 * time.Second)
		one := &collector{collect: load("a")}
		_, err := r.Start(ctx, Job{Name: "host", Target: "a", Collector: one, Interval: 15 * time.Second})
		require.NoError(t, err)
		_, err = r.Start(ctx, Job{Name: "host", Target: "a", Collector: one, Interval: 15 * time.Second})
		require.ErrorContains(t, err, "collector host of a is at work already")
		_, err = r.Start(ctx, Job{Name: "host", Target: "b", Collector: one})
		require.ErrorContains(t, err, "interval 0s; at least 1s")
		time.Sleep(time.Minute)
		at, _ := s.of("host_load1", "a", start)
		require.Len(t, at, 4)
		offset := at[0] - 15
		require.GreaterOrEqual(t, offset, 0.0)
		require.Less(t, offset, 1.0)
		require.InDeltaSlice(t, []float64{15 + offset, 30 + offset, 45 + offset, 60 + offset}, at, 1e-6)
		require.InDelta(t, 1, s.last(t, "collector_up", "host"), 0)
		require.InDelta(t, 3, s.last(t, "collector_samples_total", "host"), 0)
		require.InDelta(t, 0, s.last(t, "collector_skipped_total", "host"), 0)
		cancel()
		r.Wait()
		require.Equal(t, []bool{true, true, true, true}, one.settled())
	})
}

func TestOffsetsAreBounded(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, name := range strings.Fields("a b c d e f g h") {
		seen[offsetOf(name, time.Minute)] = true
		require.Less(t, offsetOf(name, time.Minute), time.Second)
		require.Less(t, offsetOf(name, time.Second), 100*time.Millisecond)
	}
	require.Len(t, seen, 8)
	require.Zero(t, offsetOf("a", 1))
}

func TestHungCollectorKeepsNoOtherWaitingAndIsNeverJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, s := newTestRunner()
		start := time.Now()
		release := make(chan struct{})
		var calls atomic.Int32
		hung := &collector{collect: func(context.Context) ([]Metric, error) { // knows no context
			if calls.Add(1) == 1 {
				<-release
			}
			return load("hung")(ctx)
		}}
		stop, err := r.Start(ctx, Job{Name: "kvm", Collector: hung, Interval: 10 * time.Second, Deadline: 4 * time.Second})
		require.NoError(t, err)
		_, err = r.Start(ctx, Job{Name: "host", Collector: &collector{collect: load("a")}, Interval: 10 * time.Second})
		require.NoError(t, err)
		time.Sleep(45 * time.Second)
		at, _ := s.of("host_load1", "a", start)
		require.Len(t, at, 5)
		require.EqualValues(t, 1, calls.Load(), "it has not returned: it is not called again")
		require.InDelta(t, 0, s.last(t, "collector_up", "kvm"), 0)
		require.InDelta(t, 4, s.last(t, "collector_skipped_total", "kvm"), 0)
		close(release)
		synctest.Wait()
		require.Equal(t, []bool{false}, hung.settled(), "what it yields too late is not stored")
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 2, calls.Load())
		require.InDelta(t, 1, s.last(t, "collector_up", "kvm"), 0)
		stop()
		synctest.Wait()
		_, err = r.Start(ctx, Job{Name: "kvm", Collector: hung, Interval: 10 * time.Second})
		require.NoError(t, err, "a job that was stopped can be begun again")
		cancel()
		r.Wait()
	})
}

func TestPartialAnswersFailuresAndBugs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, s := newTestRunner()
		turn := 0
		c := &collector{collect: func(ctx context.Context) ([]Metric, error) {
			switch turn++; turn {
			case 1: // gives what it has at its deadline
				<-ctx.Done()
				metrics, _ := load("partial")(ctx)
				return metrics, ctx.Err()
			case 2:
				panic("oops")
			case 3: // breaks the registry
				return []Metric{{Name: "host_load1", Unit: "percent", Timestamp: time.Now()}, {Name: "nobody_knows", Timestamp: time.Now()}}, nil
			default:
				return load("fine")(ctx)
			}
		}}
		_, err := r.Start(ctx, Job{Name: "x", Collector: c, Interval: 10 * time.Second, Deadline: 2 * time.Second})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		at, _ := s.of("host_load1", "partial", time.Time{})
		require.Len(t, at, 1)
		require.InDelta(t, 0, s.last(t, "collector_up", "x"), 0)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 0, s.last(t, "collector_up", "x"), 0)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 1, s.last(t, "collector_up", "x"), 0)
		s.failing(errors.New("the disk is full"))
		time.Sleep(10 * time.Second)
		s.failing(nil)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 1, s.last(t, "collector_unit_mismatch_total", "x"), 0)
		require.InDelta(t, 1, s.last(t, "collector_refused_samples_total", string(ReasonUnknownMetric)), 0)
		cancel()
		r.Wait()
		require.Equal(t, []bool{true, true, true, false, true}, c.settled())
	})
}

func TestWhatTheShardRefusesIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, s := newTestRunner()
		c := &collector{collect: load("a")}
		_, err := r.Start(ctx, Job{Name: "x", Collector: c, Interval: 10 * time.Second})
		require.NoError(t, err)
		s.failing(&tsdb.RefusedError{Stored: 5, Refused: 1, ByReason: map[string]int{"series_limit": 1}})
		time.Sleep(5 * time.Second)
		s.failing(nil)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 1, s.last(t, "collector_refused_samples_total", "series_limit"), 0)
		require.InDelta(t, 0, s.last(t, "collector_samples_total", "x"), 0)
		cancel()
		r.Wait()
		require.Equal(t, []bool{true, true}, c.settled(), "what is refused for good is not collected again")
	})
}

func TestMeter(t *testing.T) {
	var none *Meter
	none.Request("x", "200") // counts nothing, and does not fail
	m := NewMeter()
	m.Request("GetMetricData", "200")
	m.Request("GetMetricData", "200")
	m.Request("GetMetricData", "429")
	m.Throttled("GetMetricData")
	m.Billable("GetMetricData", 500)
	m.Late(2)
	m.Partial()
	m.UnitMismatch()
	got := map[string]float64{}
	for _, one := range m.metrics(clock("12:00:00"), map[string]string{"collector": "cloudwatch", "target": "prod"}) {
		_, refused := NewRegistry().Admit([]Metric{one}, Limits{})
		require.Empty(t, refused)
		require.Equal(t, "prod", one.Labels["target"])
		got[one.Name+one.Labels["code"]] = one.Value
	}
	require.Equal(t, map[string]float64{
		"collector_up": 0, "collector_duration_seconds": 0, "collector_series": 0, "collector_samples_total": 0, "collector_skipped_total": 0,
		"collector_api_requests_total200": 2, "collector_api_requests_total429": 1, "collector_api_throttled_total": 1, "collector_billable_units_total": 500,
		"collector_late_samples_total": 2, "collector_partial_responses_total": 1, "collector_unit_mismatch_total": 1,
	}, got)
}
