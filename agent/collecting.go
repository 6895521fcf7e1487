package agent

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/host"
	"github.com/novacron/novacron/agent/collect/kvm"
	"github.com/novacron/novacron/cluster/node"
)

const (
	// collectEvery is how often this host, its machines and the agent are measured.
	collectEvery = 15 * time.Second
	// collectDeadline bounds one collection: what has not been told by then is left out.
	collectDeadline = 12 * time.Second
)

// collectMetrics measures into the shard until the context ends. Without a shard nothing is measured, and the cluster is
// told so of what it has given to this host.
func (d *daemon) collectMetrics(ctx context.Context) {
	if d.metrics == nil {
		d.jobs.Run(ctx)
		return
	}
	name := d.cfg.Node.Name
	for _, job := range d.collectJobs(ctx) {
		job.Target, job.Interval, job.Deadline = name, collectEvery, collectDeadline
		if _, err := d.runner.Start(ctx, job); err != nil {
			d.logger.Error("a collector was not started", "collector", job.Name, "error", err)
		}
	}
	d.jobs.Run(ctx)
	d.runner.Wait()
}

// collectorState is where a collector of every agent keeps which series it told last; none where the agent keeps nothing.
func (d *daemon) collectorState(name string) collect.StateStore {
	if d.cfg.Node.DataDir == "" {
		return nil
	}
	dir := filepath.Join(d.cfg.Node.DataDir, "collectors")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.logger.Warn("a collector keeps nothing: series that have gone while the agent was down end 5 minutes later", "collector", name, "error", err)
		return nil
	}
	return collect.FileState{Path: filepath.Join(dir, name+"-series.json")}
}

// sink is the shard, behind the names that the settings choose.
func (d *daemon) sink(registry *collect.Registry) collect.Sink {
	if d.cfg.Node.Agent.MetricNames == node.NamesNodeExporter {
		return collect.NodeExporterNames{Sink: d.metrics, Registry: registry}
	}
	return d.metrics
}

// collectJobs are the collectors that every agent has.
func (d *daemon) collectJobs(ctx context.Context) []collect.Job {
	hostMeter, machinesMeter := collect.NewMeter(), collect.NewMeter()
	machines := kvm.New(kvm.Config{
		Hypervisor: d.cfg.Driver, Host: d.cfg.Node.Name, Cluster: d.cfg.Node.ClusterID, State: d.collectorState("kvm"), Meter: machinesMeter,
	})
	go func() {
		if err := machines.Watch(ctx); ctx.Err() == nil {
			d.logger.Warn("events of machines are not counted", "error", err)
		}
	}()
	return []collect.Job{
		{Name: "host", Collector: host.New(host.Config{Name: d.cfg.Node.Name, State: d.collectorState("host"), Meter: hostMeter}), Meter: hostMeter},
		{Name: "kvm", Collector: machines, Meter: machinesMeter},
		{Name: "agent", Collector: d.own, Limits: collect.Limits{Undeclared: true}},
		{Name: "receiver", Collector: d.receiver, Meter: d.receiver.Meter},
	}
}
