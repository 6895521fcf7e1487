package agent

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/tsdb/shard"
)

// metricsSync is the longest that a stored metric may stay out of stable storage: a crash of the host costs no more.
const metricsSync = time.Second

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
	d.registry = collect.NewRegistry()
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
	d.limits = newSeriesLimits(s, func() { d.link.reportSoon() }, d.logger)
	d.openSurvey()
	d.own = newOwnMetrics(d.cfg.Node.Name, d.cfg.Version, d.ownMetrics)
	d.receiver = newReceiver(d.registry, s, d.cfg.Node.Agent)
	d.closers.Add(func(context.Context) error {
		if err := s.Close(); err != nil {
			d.logger.Error("the metrics were not closed in order; what was stored is read from the log at the next start", "error", err)
		}
		return nil
	})
	return nil
}
