package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

// TestCollectorsFillTheShard measures a host with a machine, as every agent does, into a real shard.
func TestCollectorsFillTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver, err := fake.New(fake.Options{})
		require.NoError(t, err)
		machine := `<domain type="kvm"><name>web</name><uuid>6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f</uuid><vcpu>2</vcpu></domain>`
		require.NoError(t, driver.Define(t.Context(), machine))
		require.NoError(t, driver.Start(t.Context(), "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f"))
		d := &daemon{cfg: Config{Node: node.Config{Name: "h1", ClusterID: "c"}, Version: "v1", Driver: driver}, logger: slog.New(slog.DiscardHandler)}
		require.NoError(t, d.openMetrics(t.Context()))
		d.link = &link{soon: make(chan struct{}, 1)}
		require.NoError(t, d.openCollecting(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			d.collectMetrics(ctx)
			close(done)
		}()
		time.Sleep(2 * collectEvery)
		for name, want := range map[string]float64{"host_vcpus_allocated": 2, "novacron_agent_info": 1, "novacron_shard_series": 0, "host_cpus": 0} {
			got, err := d.metrics.QueryMetrics(t.Context(), tsdb.MetricsQuery{
				MetricNames: []string{name}, TimeRange: tsdb.TimeRange{End: time.Now()}, Filters: []tsdb.MetricFilter{{Label: "host", Operator: tsdb.FilterEqual, Value: "h1"}},
			})
			require.NoError(t, err)
			require.Len(t, got, 1, name)
			if want > 0 {
				assert.Equal(t, want, got[0].Value, name)
			}
		}
		for _, collector := range []string{"host", "kvm", "agent"} {
			got, err := d.metrics.QueryMetrics(t.Context(), tsdb.MetricsQuery{
				MetricNames: []string{"collector_up"}, TimeRange: tsdb.TimeRange{End: time.Now()}, Filters: []tsdb.MetricFilter{{Label: "collector", Operator: tsdb.FilterEqual, Value: collector}},
			})
			require.NoError(t, err)
			require.Len(t, got, 1, collector)
			assert.Equal(t, 1.0, got[0].Value, collector)
		}
		cancel()
		<-done
		require.NoError(t, d.closers.Close())
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
	assert.Same(t, d.survey, d.shardService().Survey, "one question is counted at a time, of controllers and of people")
	now := time.Now()
	require.NoError(t, d.metrics.StoreMetrics(t.Context(), []tsdb.Metric{{Name: "vm_available", Value: 1, Timestamp: now}}))
	require.NoError(t, d.closers.Close())
	s, err := shard.Open(shard.Options{Dir: filepath.Join(d.cfg.Node.DataDir, "metrics"), ReadOnly: true})
	require.NoError(t, err)
	defer s.Close()
	got, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_available"}, TimeRange: tsdb.TimeRange{End: now}})
	require.NoError(t, err)
	assert.Len(t, got, 1)
}

// TestHostsMayKeepTheNamesOfNodeExporter measures a host whose settings ask for those.
func TestHostsMayKeepTheNamesOfNodeExporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver, err := fake.New(fake.Options{})
		require.NoError(t, err)
		member := node.Config{Name: "h1", ClusterID: "c", Agent: node.AgentConfig{MetricNames: node.NamesNodeExporter}}
		d := &daemon{cfg: Config{Node: member, Version: "v1", Driver: driver}, logger: slog.New(slog.DiscardHandler)}
		require.NoError(t, d.openMetrics(t.Context()))
		d.link = &link{soon: make(chan struct{}, 1)}
		require.NoError(t, d.openCollecting(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			d.collectMetrics(ctx)
			close(done)
		}()
		time.Sleep(2 * collectEvery)
		for name, series := range map[string]int{"node_load1": 1, "host_load1": 0, "host_cpus": 1} {
			got, err := d.metrics.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{name}, TimeRange: tsdb.TimeRange{End: time.Now()}})
			require.NoError(t, err)
			require.Len(t, got, series, name)
		}
		cancel()
		<-done
		require.NoError(t, d.closers.Close())
	})
}
