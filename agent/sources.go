package agent

import (
	"context"
	"path/filepath"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/jobs"
	"github.com/novacron/novacron/agent/source"
)

// OpenSource makes the collector of a source that the cluster has given to this host.
type OpenSource func(ctx context.Context, source jobs.Source) (jobs.Opened, error)

// openCollecting prepares what measures into the shard: the runner and the jobs of the cluster.
func (d *daemon) openCollecting(context.Context) error {
	cfg := jobs.Config{
		Registry: d.registry, Open: d.cfg.Sources, Dir: filepath.Join(d.cfg.Node.DataDir, "metric-sources"), Changed: d.link.reportSoon, Logger: d.logger,
	}
	if cfg.Open == nil {
		cfg.Open = (&source.Maker{Logger: d.logger}).Open
	}
	if d.metrics != nil {
		d.runner = collect.NewRunner(collect.RunnerConfig{
			Sink: d.sink(d.registry), Registry: d.registry, Labels: map[string]string{"host": d.cfg.Node.Name}, Logger: d.logger,
		})
		cfg.Runner, cfg.Sink = d.runner, d.sink(d.registry)
	}
	d.jobs = jobs.New(cfg)
	return nil
}
