package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/shard"
)

// recorder keeps what is stored, or fails.
type recorder struct {
	tsdb.MetricsStorage
	mu    sync.Mutex
	calls [][]tsdb.Metric
	err   error // of storing
	away  error // of the hypervisor
}

func (r *recorder) StoreMetrics(_ context.Context, metrics []tsdb.Metric) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, metrics)
	return r.err
}

// fail sets the errors that come from now on.
func (r *recorder) fail(storing, hypervisor error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.away = storing, hypervisor
}

func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

func (r *recorder) stored() [][]tsdb.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func values(metrics []tsdb.Metric) map[string]float64 {
	all := map[string]float64{}
	for _, m := range metrics {
		all[m.Name+"/"+m.Labels["vm_name"]+"/"+m.Labels["state"]] = m.Value
	}
	return all
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{}
		m := &meter{
			store: store, own: func() []tsdb.Metric { return nil }, logger: slog.New(slog.DiscardHandler), started: time.Now(),
			settings: meterSettings{"c", "h1", "v1"},
			observe: func(context.Context) ([]hypervisor.Observed, error) {
				return []hypervisor.Observed{
					{ID: "1", Name: "web", Ours: true, State: hypervisor.StateRunning}, {ID: "2", Name: "db", Ours: true, State: hypervisor.StatePaused},
					{ID: "3", Name: "foreign", State: hypervisor.StateRunning},
				}, store.failure()
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go m.run(ctx)
		synctest.Wait()
		require.Len(t, store.stored(), 1)
		got := values(store.stored()[0])
		assert.Equal(t, 1.0, got["vm_state/web/running"])
		assert.Equal(t, 0.0, got["vm_state/web/paused"])
		assert.Equal(t, 1.0, got["vm_state/db/paused"])
		assert.Equal(t, 0.0, got["vm_available/db/"])
		assert.Equal(t, 1.0, got["host_vms//running"])
		assert.Equal(t, 1.0, got["novacron_agent_hypervisor_up//"])
		assert.NotContains(t, got, "vm_available/foreign/")
		for _, metric := range store.stored()[0] {
			assert.Equal(t, "h1", metric.Labels["host"], metric.Name)
		}

		// Neither a full disk nor a hypervisor that is away ends it.
		store.fail(engine.ErrDiskFull, errors.New("away"))
		time.Sleep(metricsEvery)
		synctest.Wait()
		require.Len(t, store.stored(), 2)
		assert.True(t, m.failing)
		assert.Equal(t, 0.0, values(store.stored()[1])["novacron_agent_hypervisor_up//"])
		store.fail(nil, nil)
		time.Sleep(metricsEvery)
		synctest.Wait()
		assert.False(t, m.failing)
		cancel()
	})
}

// TestMetricsWithoutFolder works on in memory where the folder cannot be used, or is not wanted.
func TestMetricsWithoutFolder(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "metrics"), nil, 0o600))
	for name, config := range map[string]node.Config{
		"a file in its place": {DataDir: dir}, "wanted in memory": {DataDir: t.TempDir(), Agent: node.AgentConfig{Metrics: node.MetricsMemory}}, "no folder": {},
	} {
		t.Run(name, func(t *testing.T) {
			d := &daemon{cfg: Config{Node: config}, logger: logger}
			require.NoError(t, d.openMetrics(t.Context()))
			require.NotNil(t, d.metrics)
			assert.Nil(t, d.metrics.Durable())
			require.NoError(t, d.closers.Close())
		})
	}
}

// TestMetricsStay stores in a folder, and has it after the next start.
func TestMetricsStay(t *testing.T) {
	d := &daemon{cfg: Config{Node: node.Config{DataDir: t.TempDir()}}, logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, d.openMetrics(t.Context()))
	require.NotNil(t, d.metrics.Durable())
	now := time.Now()
	require.NoError(t, d.metrics.StoreMetrics(t.Context(), []tsdb.Metric{gauge("vm_available", now, 1)}))
	require.NoError(t, d.closers.Close())
	s, err := shard.Open(shard.Options{Dir: filepath.Join(d.cfg.Node.DataDir, "metrics"), ReadOnly: true})
	require.NoError(t, err)
	defer s.Close()
	got, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_available"}, TimeRange: tsdb.TimeRange{End: now}})
	require.NoError(t, err)
	assert.Len(t, got, 1)
}
