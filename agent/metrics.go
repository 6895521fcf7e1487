package agent

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

const (
	// metricsEvery is how often the agent stores its own metrics.
	metricsEvery = 15 * time.Second
	// metricsSync is the longest that a stored metric may stay out of stable storage: a crash of the host costs no more.
	metricsSync = time.Second
	// metricsTimeout bounds one look at the machines.
	metricsTimeout = 10 * time.Second
)

// metricsOptions say where the metrics of this host are kept.
func metricsOptions(cfg node.Config, logger *slog.Logger) shard.Options {
	options := shard.Options{Sync: metricsSync, Logger: logger}
	if cfg.DataDir != "" && cfg.Agent.Metrics != node.MetricsMemory {
		options.Dir = filepath.Join(cfg.DataDir, "metrics")
	}
	return options
}

// openMetrics opens the shard. An agent works on without it: machines matter more. Where the folder cannot be used,
// metrics are kept in memory.
func (d *daemon) openMetrics(context.Context) error {
	options := metricsOptions(d.cfg.Node, d.logger)
	s, err := shard.Open(options)
	if err != nil && options.Dir != "" {
		d.logger.Error("the metrics of this host cannot be kept on disk: they are kept in memory until the agent starts again", "folder", options.Dir, "error", err)
		options.Dir = ""
		s, err = shard.Open(options)
	}
	if err != nil {
		d.logger.Error("the metrics of this host are not kept", "error", err)
		return nil
	}
	d.metrics = s
	d.closers.Add(func(context.Context) error {
		if err := s.Close(); err != nil {
			d.logger.Error("the metrics were not closed in order; what was stored is read from the log at the next start", "error", err)
		}
		return nil
	})
	return nil
}

// meter stores what the agent says of itself and of its machines.
type meter struct {
	store    tsdb.MetricsStorage
	own      func() []tsdb.Metric
	observe  func(context.Context) ([]hypervisor.Observed, error)
	settings meterSettings
	logger   *slog.Logger
	started  time.Time

	failing bool
}

// meterSettings are labels of all metrics.
type meterSettings struct{ cluster, host, version string }

// newMeter is nil where metrics are not kept.
func (d *daemon) newMeter() *meter {
	if d.metrics == nil {
		return nil
	}
	return &meter{
		store: d.metrics, own: d.metrics.Metrics, observe: d.machines.Observe, logger: d.logger, started: time.Now(),
		settings: meterSettings{d.cfg.Node.ClusterID, d.cfg.Node.Name, d.cfg.Version},
	}
}

// run stores metrics until the context ends. It has a goroutine of its own: nobody waits for a slow disk.
func (m *meter) run(ctx context.Context) {
	if m == nil {
		return
	}
	ticker := time.NewTicker(metricsEvery)
	defer ticker.Stop()
	for {
		m.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// once stores metrics, and tells when that begins to fail and when it works again.
func (m *meter) once(ctx context.Context) {
	now := time.Now()
	metrics := m.agent(now)
	observing, cancel := context.WithTimeout(ctx, metricsTimeout)
	machines, err := m.observe(observing)
	cancel()
	if err == nil {
		metrics = append(metrics, m.machines(now, machines)...)
	}
	up := gauge("novacron_agent_hypervisor_up", now, 1)
	if err != nil {
		up.Value = 0
	}
	metrics = append(append(metrics, m.labelled(up)), m.labelAll(m.own())...)
	err = m.store.StoreMetrics(ctx, metrics)
	if ctx.Err() != nil {
		return
	}
	if failing := err != nil; failing != m.failing {
		m.failing = failing
		if failing {
			m.logger.Error("metrics of this host are not stored; it is tried again", "error", err, "again_in", metricsEvery)
		} else {
			m.logger.Info("metrics of this host are stored again")
		}
	}
}

func gauge(name string, at time.Time, v float64) tsdb.Metric {
	return tsdb.Metric{Name: name, Type: tsdb.TypeGauge, Value: v, Timestamp: at}
}

// agent is what the agent says of itself.
func (m *meter) agent(now time.Time) []tsdb.Metric {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	info := gauge("novacron_agent_info", now, 1)
	info.Labels = map[string]string{"version": m.settings.version}
	started := gauge("novacron_agent_start_time_seconds", now, float64(m.started.UnixMilli())/1000)
	started.Unit = "seconds"
	heap := gauge("novacron_agent_heap_bytes", now, float64(memory.HeapAlloc))
	heap.Unit = "bytes"
	return m.labelAll([]tsdb.Metric{info, started, heap, gauge("novacron_agent_goroutines", now, float64(runtime.NumGoroutine()))})
}

func (m *meter) labelAll(metrics []tsdb.Metric) []tsdb.Metric {
	for i := range metrics {
		metrics[i] = m.labelled(metrics[i])
	}
	return metrics
}

// labelled adds the host.
func (m *meter) labelled(metric tsdb.Metric) tsdb.Metric {
	if metric.Labels == nil {
		metric.Labels = map[string]string{}
	}
	metric.Labels["host"] = m.settings.host
	return metric
}
