package kvm

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// TestMachinesThatWentWhileTheAgentWasDownEnd deletes a machine while nobody looks: all its series end with one marker each,
// and the other machine's go on. Markers that the shard could not take come again.
func TestMachinesThatWentWhileTheAgentWasDownEnd(t *testing.T) {
	h, cfg := newTwo(t)
	cfg.GuestsEvery = -1
	cfg.State = collect.FileState{Path: filepath.Join(t.TempDir(), "kvm-series.json")}
	c := New(cfg)
	before := map[string]bool{}
	for _, m := range of(collectNow(t, c), dbID) {
		before[show(collect.Metric{Name: m.Name, Labels: m.Labels, Value: collect.Stale()})] = true
	}
	require.NoError(t, c.Settle(t.Context(), true))
	require.Greater(t, len(before), 50)

	h.dbGone.Store(true)
	next := New(cfg)
	require.Len(t, ended(collectNow(t, next)), len(before))
	require.NoError(t, next.Settle(t.Context(), false))
	got := collectNow(t, next)
	require.Empty(t, ended(of(got, webID)))
	for _, series := range ended(got) {
		require.True(t, before[series], series)
		delete(before, series)
	}
	require.Empty(t, before)
	require.NoError(t, next.Settle(t.Context(), true))
	require.Empty(t, ended(collectNow(t, next)), "told once")
	require.Empty(t, ended(collectNow(t, New(cfg))), "also for those that come after")
}

// TestARenamedHostEndsTheSeriesOfItsOldName after a start under another name.
func TestARenamedHostEndsTheSeriesOfItsOldName(t *testing.T) {
	_, cfg := newTwo(t)
	cfg.GuestsEvery, cfg.Host = -1, "old"
	cfg.State = collect.FileState{Path: filepath.Join(t.TempDir(), "kvm-series.json")}
	c := New(cfg)
	before := collectNow(t, c)
	require.NoError(t, c.Settle(t.Context(), true))
	cfg.Host = "new"
	require.Len(t, ended(collectNow(t, New(cfg))), len(before))
}

// TestASpoiledStateIsTold goes on without what was before.
func TestASpoiledStateIsTold(t *testing.T) {
	_, cfg := newTwo(t)
	cfg.GuestsEvery = -1
	state := collect.FileState{Path: filepath.Join(t.TempDir(), "kvm-series.json")}
	require.NoError(t, state.Save(t.Context(), []byte("{")))
	cfg.State = state
	c := New(cfg)
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorContains(t, err, "state of series")
	require.NotEmpty(t, got)
	collectNow(t, c)
	require.NoError(t, c.Settle(t.Context(), true))
	collectNow(t, New(cfg))
}
