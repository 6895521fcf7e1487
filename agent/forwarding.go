package agent

import (
	"context"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/agent/forwards"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/forward"
	"github.com/novacron/novacron/tsdb/shard"
)

// openForwards prepares to send on what the shard stores. Nothing is collected yet, so nothing is missed.
func (d *daemon) openForwards(context.Context) error {
	var set *forward.Set
	if d.metrics != nil && d.cfg.Node.DataDir != "" {
		set = d.openForwardSet()
	}
	d.forwards = forwards.New(forwards.Config{Set: set, Logger: d.logger})
	return nil
}

// openForwardSet opens the queues; an agent works on without them.
func (d *daemon) openForwardSet() *forward.Set {
	set, err := forward.Open(forward.Options{Dir: filepath.Join(d.cfg.Node.DataDir, "metric-forwards"), Describe: d.describeForward, Logger: d.logger})
	if err != nil {
		d.logger.Error("the metrics of this host are not forwarded", "error", err)
		return nil
	}
	d.metrics.SendOn(set)
	for _, def := range forwards.Definitions() {
		d.metrics.Describe(def.Name, shard.Description{Type: def.Type, Unit: def.Unit, Help: def.Help})
	}
	d.closers.Add(func(ctx context.Context) error {
		if err := set.Close(ctx); err != nil {
			d.logger.Error("the queues of forwards were not closed in order", "error", err)
		}
		return nil
	})
	return set
}

// describeForward tells what the shard knows of a metric.
func (d *daemon) describeForward(metric string) forward.Description {
	about := d.metrics.Description(metric)
	return forward.Description{Type: string(about.Type), Unit: about.Unit, Help: about.Help}
}

// ownMetrics are what the shard and the forwards say of themselves.
func (d *daemon) ownMetrics() []tsdb.Metric {
	return append(d.metrics.Metrics(), d.forwards.Metrics(time.Now())...)
}
