package shard_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

// seriesOf is a metric of one of few names, jobs and numbers, so that draws meet.
func seriesOf(name, job string, n int) tsdb.Metric {
	m := tsdb.Metric{Name: name, Type: tsdb.TypeGauge, Labels: map[string]string{"host": "h1", "n": fmt.Sprint(n)}, Timestamp: start}
	if job != "" {
		m.Labels["job"] = job
	}
	return m
}

// bound is the limit that holds for a name, 0 for none.
func bound(own map[string]int, name string, all int) int {
	if one, has := own[name]; has {
		return one
	}
	return all
}

// TestLimitsKeepOutNewSeriesAlone changes limits while series come: one that is there is always taken, a new one exactly
// where no limit is reached, and the refusal names what, the limit and the way out.
func TestLimitsKeepOutNewSeriesAlone(t *testing.T) {
	for _, dir := range []bool{false, true} {
		rapid.Check(t, func(r *rapid.T) {
			options := shard.Options{Maintain: -1, Clock: (&hand{now: start}).Now, Logger: slog.New(slog.DiscardHandler)}
			if dir {
				path, err := os.MkdirTemp(t.TempDir(), "shard")
				require.NoError(r, err)
				options.Dir, options.Sync = path, time.Hour
			}
			s, err := shard.Open(options)
			require.NoError(r, err)
			defer func() { require.NoError(r, s.Close()) }()
			have, perName, perJob := map[string]bool{}, map[string]int{}, map[string]int{}
			limits := shard.SeriesLimits{}
			small := rapid.IntRange(0, 12)
			for range rapid.IntRange(1, 80).Draw(r, "steps") {
				if rapid.IntRange(0, 9).Draw(r, "limit") == 0 {
					limits = shard.SeriesLimits{
						Series: small.Draw(r, "series"), PerMetric: small.Draw(r, "metric"), PerJob: small.Draw(r, "job"), Cluster: small.Draw(r, "cluster"),
						Share: small.Draw(r, "share"), Metrics: map[string]int{"a": small.Draw(r, "a")}, Jobs: map[string]int{"x": small.Draw(r, "x")},
					}
					require.NoError(r, s.LimitSeries(limits))
				}
				name, job := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(r, "job")
				m := seriesOf(name, job, rapid.IntRange(0, 9).Draw(r, "n"))
				key := fmt.Sprint(m.Name, m.Labels)
				err := s.StoreMetrics(t.Context(), []tsdb.Metric{m})
				want := ""
				over := func(limit, n int) bool { return limit > 0 && n >= limit }
				switch {
				case have[key]:
				case limits.Cluster > 0 && len(have) >= limits.Share:
					want = "cluster_limit"
				case over(limits.Series, len(have)):
					want = "series_limit"
				case over(bound(limits.Metrics, name, limits.PerMetric), perName[name]):
					want = "metric_limit"
				case job != "" && over(bound(limits.Jobs, job, limits.PerJob), perJob[job]):
					want = "job_limit"
				}
				if want == "" {
					require.NoError(r, err)
					if !have[key] {
						have[key] = true
						perName[name]++
						perJob[job]++
					}
				} else {
					refused, is := errors.AsType[*tsdb.RefusedError](err)
					require.True(r, is, "%v", err)
					require.Equal(r, map[string]int{want: 1}, refused.ByReason)
					require.Contains(r, refused.First[0].Detail, "novacron metric cardinality --metric "+name)
					require.Contains(r, refused.First[0].Detail, "novacron metric limits set --")
				}
				require.Equal(r, len(have), s.Live())
			}
		})
	}
}

// TestWritersShareTheLastPlaces has many of them store new series at once.
func TestWritersShareTheLastPlaces(t *testing.T) {
	s := open(t, shard.Options{Maintain: -1, Clock: (&hand{now: start}).Now})
	require.NoError(t, s.LimitSeries(shard.SeriesLimits{Metrics: map[string]int{"a": 50}}))
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 40 {
				_ = s.StoreMetrics(t.Context(), []tsdb.Metric{seriesOf("a", "", w*40+i)}) // most are refused
			}
		})
	}
	writers.Wait()
	assert.Equal(t, 50, s.Live())
	assert.Equal(t, float64(8*40-50), self(s)["novacron_shard_refused_total/metric_limit"])
}

// TestLimitsOutliveTheProcess has them hold again at once, and forgets a file that it cannot read.
func TestLimitsOutliveTheProcess(t *testing.T) {
	options := shard.Options{Dir: t.TempDir(), Maintain: -1, Clock: (&hand{now: start}).Now, Logger: slog.New(slog.DiscardHandler)}
	limits := shard.SeriesLimits{Cluster: 10, Share: 1, Jobs: map[string]int{"x": 3}}
	for round := range 3 {
		s, err := shard.Open(options)
		require.NoError(t, err)
		switch round {
		case 0:
			require.NoError(t, s.LimitSeries(limits))
			require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{seriesOf("a", "", 1)}))
		case 1:
			assert.Equal(t, limits, s.SeriesLimits())
			assert.Equal(t, 1.0, self(s)["novacron_shard_series_limit/cluster"])
			require.Error(t, s.StoreMetrics(t.Context(), []tsdb.Metric{seriesOf("a", "", 2)}))
			saved, err := os.ReadFile(filepath.Join(options.Dir, "limits.json"))
			require.NoError(t, err)
			assert.JSONEq(t, `{"version": 1, "cluster": 10, "share": 1, "jobs": {"x": 3}}`, string(saved))
			require.NoError(t, os.WriteFile(filepath.Join(options.Dir, "limits.json"), []byte("{"), 0o600))
		case 2:
			assert.Equal(t, shard.SeriesLimits{}, s.SeriesLimits())
			require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{seriesOf("a", "", 2)}))
		}
		require.NoError(t, s.Close())
	}
	options.ReadOnly = true
	s, err := shard.Open(options)
	require.NoError(t, err)
	require.Error(t, s.LimitSeries(limits))
	require.NoError(t, s.Close())
}

// TestLimitsOfOtherPrograms takes what it knows of a file with more in it, and nothing of another version.
func TestLimitsOfOtherPrograms(t *testing.T) {
	for text, want := range map[string]shard.SeriesLimits{
		`{"version": 1, "series": 7, "per_tenant": {"a": 5}}`: {Series: 7},
		`{"version": 2, "series": 7}`:                         {},
		`{"series": 7}`:                                       {},
		`{"version": 1, "series": 7} {`:                       {},
	} {
		options := shard.Options{Dir: t.TempDir(), Maintain: -1, Clock: (&hand{now: start}).Now, Logger: slog.New(slog.DiscardHandler)}
		require.NoError(t, os.WriteFile(filepath.Join(options.Dir, "limits.json"), []byte(text), 0o600))
		s, err := shard.Open(options)
		require.NoError(t, err)
		assert.Equal(t, want, s.SeriesLimits(), text)
		require.NoError(t, s.Close())
	}
}

// TestLimitsThatCouldNotBeSavedAreSavedLater finds the file's place taken, and then free, without any change of limits.
func TestLimitsThatCouldNotBeSavedAreSavedLater(t *testing.T) {
	options := shard.Options{Dir: t.TempDir(), Maintain: -1, Clock: (&hand{now: start}).Now, Logger: slog.New(slog.DiscardHandler)}
	s, err := shard.Open(options)
	require.NoError(t, err)
	file := filepath.Join(options.Dir, "limits.json")
	require.NoError(t, os.MkdirAll(filepath.Join(file, "taken"), 0o700))
	limits := shard.SeriesLimits{Series: 3}
	for range 2 {
		require.Error(t, s.LimitSeries(limits))
		require.Equal(t, limits, s.SeriesLimits(), "they hold")
	}
	require.NoError(t, os.RemoveAll(file))
	require.NoError(t, s.LimitSeries(limits))
	require.FileExists(t, file)
	require.NoError(t, os.Remove(file))
	require.NoError(t, s.LimitSeries(limits))
	require.NoFileExists(t, file, "what is saved is not saved again")
	require.NoError(t, s.Close())
}
