package shard_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

func TestSummaryTellsWhichSeriesThereMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := shard.Open(shard.Options{Maintain: -1, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer s.Close()
		may := func(name, value string) bool {
			summary, err := s.Summary(t.Context())
			require.NoError(t, err)
			return summary.MayHave([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, name, value)})
		}
		store := func(name string) {
			require.NoError(t, s.StoreMetrics(t.Context(), []tsdb.Metric{{Name: name, Type: tsdb.TypeGauge, Labels: map[string]string{"host": "h1"}, Timestamp: time.Now()}}))
		}
		assert.False(t, may("__name__", "up"))
		store("up")
		time.Sleep(6 * time.Second)
		assert.True(t, may("__name__", "up"))
		assert.True(t, may("host", "h1"))
		assert.False(t, may("host", "h2"))
		assert.False(t, may("job", "x"))
		before, err := s.Summary(t.Context())
		require.NoError(t, err)
		store("down")
		time.Sleep(6 * time.Second)
		after, err := s.Summary(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, before.Version, after.Version)
		assert.True(t, may("__name__", "down"))
	})
}
