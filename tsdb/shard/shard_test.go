package shard_test

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/shard"
)

// start is the time of the first metric.
var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// hand is a clock that a test sets.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) set(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

func open(t *testing.T, options shard.Options) *shard.Shard {
	options.Logger, options.Maintain = slog.New(slog.DiscardHandler), -1
	options.Sync = time.Hour
	s, err := shard.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// both runs a test on a shard in memory and on one in a folder.
func both(t *testing.T, options shard.Options, test func(t *testing.T, s *shard.Shard, clock *hand)) {
	for _, name := range []string{"memory", "durable"} {
		t.Run(name, func(t *testing.T) {
			clock, options := &hand{now: start}, options
			options.Clock = clock.Now
			if name == "durable" {
				options.Dir = t.TempDir()
			}
			test(t, open(t, options), clock)
		})
	}
}

func cpu(vm string, at time.Time, v float64) tsdb.Metric {
	return tsdb.Metric{
		Name: "vm_cpu_seconds_total", Type: tsdb.TypeCounter, Unit: "seconds", Value: v, Timestamp: at,
		Labels: map[string]string{"vm_name": vm, "empty": ""}, Source: "libvirt",
	}
}

func TestStoreAndQuery(t *testing.T) {
	both(t, shard.Options{}, func(t *testing.T, s *shard.Shard, clock *hand) {
		for i := range 20 {
			at := start.Add(time.Duration(i) * 15 * time.Second)
			clock.set(at)
			require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", at, float64(i)), cpu("b", at, float64(2*i))}))
		}
		got, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{
			MetricNames: []string{"vm_cpu_seconds_total"}, TimeRange: tsdb.TimeRange{End: clock.Now()},
			Filters: []tsdb.MetricFilter{{Label: "vm_name", Operator: tsdb.FilterEqual, Value: "b"}},
		})
		require.NoError(t, err)
		want := cpu("b", clock.Now(), 38)
		want.Labels = map[string]string{"vm_name": "b", "source": "libvirt"}
		assert.Equal(t, []tsdb.Metric{want}, got)

		got, err = s.QueryMetrics(t.Context(), tsdb.MetricsQuery{
			MetricNames: []string{"vm_cpu_seconds_total"}, TimeRange: tsdb.TimeRange{Start: start, End: clock.Now(), Step: time.Minute}, Aggregation: "sum",
		})
		require.NoError(t, err)
		require.Len(t, got, 5)
		for i, m := range got {
			assert.Equal(t, float64(3*4*i), m.Value)
			assert.Equal(t, start.Add(time.Duration(i)*time.Minute), m.Timestamp)
		}
		_, err = s.QueryMetrics(t.Context(), tsdb.MetricsQuery{})
		require.ErrorContains(t, err, "metric_names")
	})
}

func TestHistograms(t *testing.T) {
	both(t, shard.Options{}, func(t *testing.T, s *shard.Shard, _ *hand) {
		h := &histogram.FloatHistogram{
			Schema: 1, Count: 3, Sum: 4, ZeroThreshold: 0.001, CounterResetHint: histogram.GaugeType,
			PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{1, 2},
		}
		floats := cpu("a", start, 7)
		wait := tsdb.Metric{Name: "vm_wait_seconds", Type: tsdb.TypeHistogram, Histogram: h, Timestamp: start}
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{wait, floats, {Name: "x", Histogram: h, Timestamp: start}}))
		got, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_wait_seconds"}, TimeRange: tsdb.TimeRange{End: start}})
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(t, h, got[0].Histogram)
		assert.Equal(t, tsdb.TypeHistogram, got[0].Type)
	})
}

// TestStartsAndExemplars stores what comes beside values.
func TestStartsAndExemplars(t *testing.T) {
	both(t, shard.Options{}, func(t *testing.T, s *shard.Shard, _ *hand) {
		example := func(id string, at time.Time) []exemplar.Exemplar {
			return []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", id), Value: 0.3, Ts: at.UnixMilli(), HasTs: true}}
		}
		h := &histogram.FloatHistogram{Count: 1, Sum: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{1}}
		began := start.Add(-time.Minute)
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{
			{Name: "plain", Value: 1, Timestamp: start},
			{Name: "orders_total", Value: 2, Timestamp: start, Start: began, Exemplars: example("a", start)},
			{Name: "wait", Histogram: h, Timestamp: start, Start: began, Exemplars: example("b", start)},
			{Name: "orders_total", Value: 3, Timestamp: start.Add(time.Second), Start: began},
		}))
		anything := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
		found, err := s.Engine().Exemplars(t.Context(), 0, math.MaxInt64, anything)
		require.NoError(t, err)
		require.Len(t, found, 2)
		for i, id := range []string{"a", "b"} {
			require.Len(t, found[i].Exemplars, 1)
			assert.Equal(t, id, found[i].Exemplars[0].Labels.Get("trace_id"))
		}
		set, err := s.Engine().Select(t.Context(), engine.Selection{Max: math.MaxInt64, Matchers: []*labels.Matcher{anything}, Sorted: true})
		require.NoError(t, err)
		defer set.Close()
		starts := map[string][]int64{}
		for set.Next() {
			it := set.At().Iterator(nil)
			for it.Next() != chunkenc.ValNone {
				name := set.At().Labels().Get("__name__")
				starts[name] = append(starts[name], it.AtST())
			}
		}
		at := began.UnixMilli()
		assert.Equal(t, map[string][]int64{"plain": {0}, "orders_total": {at, at}, "wait": {at}}, starts)
	})
}

// TestRefusals stores what can be stored, and says of the rest which it was and why.
func TestRefusals(t *testing.T) {
	both(t, shard.Options{Limits: index.Limits{Series: 2, Labels: 40}}, func(t *testing.T, s *shard.Shard, _ *hand) {
		bad := &histogram.FloatHistogram{Count: 1, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{1}}
		err := s.StoreMetrics(t.Context(), []tsdb.Metric{
			cpu("a", start, 1), cpu("b", start.Add(24*time.Hour), 2), {Name: "", Timestamp: start}, cpu("b", start, 3), cpu("c", start, 4), cpu("a", time.Time{}, 1),
			{Name: "vm_cpu_seconds_total", Labels: map[string]string{"vm_name": "a"}, Source: "libvirt", Histogram: bad, Timestamp: start},
		})
		var refused *tsdb.RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, 2, refused.Stored)
		reasons := map[int]string{}
		for _, first := range refused.First {
			reasons[first.Index] = first.Reason
		}
		assert.Equal(t, map[int]string{1: "too_far_ahead", 2: "bad_labels", 4: "series_limit", 5: "too_old", 6: "bad_histogram"}, reasons)
		assert.Equal(t, 5, refused.Refused)
		assert.Equal(t, 2.0, self(s)["novacron_shard_samples_total"])
		assert.Equal(t, 1.0, self(s)[`novacron_shard_refused_total/series_limit`])

		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", start.Add(time.Second), 5)})) // old series go on
	})
}

// self are the shard's metrics by name and label values.
func self(s *shard.Shard) map[string]float64 {
	values := map[string]float64{}
	for _, m := range s.Metrics() {
		key := m.Name
		for _, v := range m.Labels {
			key += "/" + v
		}
		values[key] = m.Value
	}
	return values
}

// TestForgottenSeries stores a series that the engine has forgotten meanwhile under its cached reference.
func TestForgottenSeries(t *testing.T) {
	both(t, shard.Options{}, func(t *testing.T, s *shard.Shard, clock *hand) {
		require.NoError(t, s.ConfigureRetention(t.Context(), tsdb.RetentionPolicy{Default: tsdb.Retention{Raw: tsdb.Duration(5 * time.Hour)}}))
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", start, 1)}))
		for i := range 12 * 12 {
			clock.set(start.Add(time.Duration(i) * 5 * time.Minute))
			require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("b", clock.Now(), 1)}))
			require.NoError(t, s.Maintain(t.Context()))
		}
		require.Equal(t, 1.0, self(s)["novacron_shard_series"])
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("b", clock.Now(), 2), cpu("a", clock.Now(), 3)}))
		assert.Zero(t, self(s)["novacron_shard_refused_total/unknown_series"])
		require.Equal(t, 2.0, self(s)["novacron_shard_series"])
	})
}

// TestReferencesAreBounded stores more series than references are kept of.
func TestReferencesAreBounded(t *testing.T) {
	both(t, shard.Options{References: 100}, func(t *testing.T, s *shard.Shard, _ *hand) {
		for round := range 3 {
			for i := range 500 {
				require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu(strconv.Itoa(i), start.Add(time.Duration(round)*time.Second), float64(i))}))
			}
		}
		assert.LessOrEqual(t, self(s)["novacron_shard_cached_references"], 100.0)
		assert.Equal(t, 500.0, self(s)["novacron_shard_series"])
		assert.Equal(t, 1500.0, self(s)["novacron_shard_samples_total"])
	})
}

func TestRulesInMemory(t *testing.T) {
	clock := &hand{now: start}
	s := open(t, shard.Options{Clock: clock.Now})
	require.NoError(t, s.ConfigureRetention(t.Context(), tsdb.RetentionPolicy{
		Default: tsdb.Retention{Raw: tsdb.Duration(24 * time.Hour)},
		Rules: []tsdb.RetentionRule{{
			Match: []tsdb.MetricFilter{{Label: "vm_name", Operator: tsdb.FilterEqual, Value: "a"}}, Keep: tsdb.Retention{Raw: tsdb.Duration(time.Hour)},
		}},
	}))
	for i := range 10 {
		clock.set(start.Add(time.Duration(i) * 30 * time.Minute))
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", clock.Now(), 1), cpu("b", clock.Now(), 1)}))
	}
	require.NoError(t, s.Maintain(t.Context()))
	answer, err := s.Instant(t.Context(), `count_over_time(vm_cpu_seconds_total[1d])`, clock.Now())
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, row := range answer.Rows() {
		counts[row.Labels.Get("vm_name")] = row.Points[0].V
	}
	assert.Equal(t, map[string]float64{"a": 3, "b": 10}, counts)
}

func TestPolicies(t *testing.T) {
	dir := t.TempDir()
	clock := &hand{now: start}
	s := open(t, shard.Options{Dir: dir, Clock: clock.Now})
	retention, downsampling := s.Policies()
	assert.Equal(t, tsdb.DefaultRetention(), retention)
	assert.Equal(t, tsdb.DefaultDownsampling(), downsampling)
	retention.MaxBytes = 1 << 30
	retention.Rules = []tsdb.RetentionRule{{
		Name: "billing", Match: []tsdb.MetricFilter{{Label: "__name__", Operator: tsdb.FilterMatches, Value: "cost_.*"}}, Keep: tsdb.Retention{},
	}}
	downsampling.Tiers = downsampling.Tiers[1:]
	require.NoError(t, s.ConfigureRetention(t.Context(), retention))
	require.NoError(t, s.ConfigureDownsampling(t.Context(), downsampling))

	bad := retention
	bad.MaxBytes, bad.Default.Raw = -1, 1
	bad.Rules = append(bad.Rules, tsdb.RetentionRule{Match: []tsdb.MetricFilter{{Label: "a", Operator: "~", Value: "("}}}, tsdb.RetentionRule{})
	err := s.ConfigureRetention(t.Context(), bad)
	for _, part := range []string{"max_bytes: -1", "default.raw", "rules[1].match[0].operator", "rules[2].match: there are 0"} {
		require.ErrorContains(t, err, part)
	}
	late := tsdb.DownsamplingPolicy{Tiers: []tsdb.DownsamplingTier{{Resolution: tsdb.Duration(time.Hour), After: tsdb.Duration(1000 * time.Hour)}}}
	require.ErrorContains(t, s.ConfigureDownsampling(t.Context(), late), "ends samples after 14d")
	require.ErrorContains(t, s.ConfigureDownsampling(t.Context(), tsdb.DownsamplingPolicy{Tiers: []tsdb.DownsamplingTier{{Resolution: 7}}}), "there are 5m and 1h")
	require.NoError(t, s.Close())

	again := open(t, shard.Options{Dir: dir, Clock: clock.Now})
	gotRetention, gotDownsampling := again.Policies()
	assert.Equal(t, retention, gotRetention)
	assert.Equal(t, downsampling, gotDownsampling)
	require.NoError(t, again.Close())

	file := filepath.Join(dir, "policies.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, change := range []struct{ old, new, want string }{
		{`"version": 1`, `"version": 2`, "version 2"}, {`"max_bytes"`, `"most_bytes"`, `unknown field "most_bytes"`},
		{`"14d"`, `"14x"`, "no duration"}, {"}\n", "} {}\n", "after top-level value"},
	} {
		require.NoError(t, os.WriteFile(file, []byte(replaceLast(string(text), change.old, change.new)), 0o600))
		_, err := shard.Open(shard.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, change.want)
		require.ErrorContains(t, err, "policies.json")
	}
}

func replaceLast(text, old, with string) string {
	for at := len(text) - len(old); at >= 0; at-- {
		if text[at:at+len(old)] == old {
			return text[:at] + with + text[at+len(old):]
		}
	}
	return text
}

// TestReopen has everything again, and types and units too.
func TestReopen(t *testing.T) {
	clock := &hand{now: start}
	options := shard.Options{Dir: t.TempDir(), Clock: clock.Now}
	s := open(t, options)
	require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", start, 1)}))
	require.NoError(t, s.Close())
	options.ReadOnly = true
	s = open(t, options)
	got, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_cpu_seconds_total"}, TimeRange: tsdb.TimeRange{End: start}})
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, "seconds", got[0].Unit)
	assert.Equal(t, tsdb.TypeCounter, got[0].Type)
	require.Error(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", start, 1)}))
	require.Error(t, s.ConfigureRetention(t.Context(), tsdb.DefaultRetention()))

	_, err = shard.Open(shard.Options{Dir: t.TempDir(), ReadOnly: true})
	require.ErrorIs(t, err, shard.ErrNoShard)
}

func TestSelfMetrics(t *testing.T) {
	clock := &hand{now: start}
	s := open(t, shard.Options{Dir: t.TempDir(), Clock: clock.Now})
	for i := range 12 * 6 {
		clock.set(start.Add(time.Duration(i) * 5 * time.Minute))
		require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{cpu("a", clock.Now(), float64(i))}))
	}
	require.NoError(t, s.Maintain(t.Context()))
	got := self(s)
	assert.Equal(t, 72.0, got["novacron_shard_samples_total"])
	assert.Equal(t, 1.0, got["novacron_shard_series"])
	assert.Greater(t, got["novacron_shard_blocks/raw"], 0.0)
	assert.Greater(t, got["novacron_shard_block_bytes/raw"], 0.0)
	assert.Greater(t, got["novacron_shard_log_syncs_total"], 0.0)
	assert.Greater(t, got["novacron_shard_log_sync_seconds_total"], 0.0)
	assert.Equal(t, float64(start.Unix()), got["novacron_shard_oldest_sample_timestamp_seconds"])
	require.NoError(t, s.StoreMetrics(t.Context(), s.Metrics()), "the shard takes its own metrics")
	for _, m := range s.Metrics() {
		assert.False(t, math.IsNaN(m.Value), m.Name)
	}
}

func BenchmarkStoreMetrics(b *testing.B) {
	s, err := shard.Open(shard.Options{Dir: b.TempDir(), Maintain: -1, Sync: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer s.Close()
	batch := make([]tsdb.Metric, 1000)
	for i := range batch {
		batch[i] = tsdb.Metric{Name: "vm_disk_read_bytes_total", Source: "libvirt", Labels: map[string]string{
			"cloud_provider": "kvm", "vm_id": strconv.Itoa(i), "vm_name": "name" + strconv.Itoa(i), "device": "vda", "host": "h1",
		}}
	}
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; b.Loop(); n++ {
		for i := range batch {
			batch[i].Timestamp, batch[i].Value = now.Add(time.Duration(n)*time.Millisecond), float64(n)
		}
		require.NoError(b, s.StoreMetrics(b.Context(), batch))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/sample")
}
