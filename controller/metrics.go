package controller

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/rpc"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/federate/wire"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// openMetrics prepares to ask the shards of all hosts.
func (d *daemon) openMetrics(context.Context) error {
	engine, err := query.New(query.Options{ActiveLog: filepath.Join(d.cfg.Node.DataDir, "queries.active"), Logger: d.logger})
	if err != nil {
		return err
	}
	d.closers.Add(func(context.Context) error { return engine.Close() })
	shards := node.DirectClient(d.creds.ClientTLS(pki.RoleAgent), d.peers)
	d.closers.Add(func(context.Context) error { shards.CloseIdleConnections(); return nil })
	roster := &wire.Roster{Hosts: d.shards, HTTP: shards, Logger: d.logger}
	results := cache.New(0)
	all, pushing := federate.NewFleet(roster, federate.Options{}), federate.NewEngine(engine, 0).WithCache(results, nil)
	d.metrics = rpc.Metrics{Questions: federate.Questions{Engine: pushing, Fleet: all}, HTTP: httpapi.New(httpapi.Options{
		Engine: pushing, Source: all.WithComplete(false), Complete: all.WithComplete(true), Build: httpapi.Build{Version: httpapi.Version, GoVersion: runtime.Version()},
		Write: d.remoteWrite(), Metrics: d.own.Write, Metadata: d.describeMetrics, Stats: d.metricStats, Targets: d.targets,
		Explore: func(ctx context.Context, ask explore.Ask) (explore.Answer, error) {
			return explore.Explore(ctx, all.Explore, ask)
		},
	})}
	d.tellOfConsensus()
	d.tellOfCache(results)
	d.tellOfQueries(engine)
	d.tellOfRelays(all)
	return nil
}

// describeMetrics tells what hosts know of one metric, or of all, and how users have defined it.
func (d *daemon) describeMetrics(ctx context.Context, name string) (map[string][]httpapi.Metadata, error) {
	all := map[string][]httpapi.Metadata{}
	for defined, about := range d.store.View().MetricDefinitions("") {
		if name == "" || name == defined {
			all[defined] = []httpapi.Metadata{{Type: metric.TypeFromProto(about.GetType()), Help: about.GetHelp(), Unit: about.GetUnit()}}
		}
	}
	told, warnings, err := d.metrics.Fleet.Describe(ctx, name)
	for _, text := range warnings {
		httpapi.Warn(ctx, text)
	}
	for metric, some := range told {
		for _, about := range some {
			one := httpapi.Metadata{Type: about.Type, Help: about.Help, Unit: about.Unit}
			if !slices.ContainsFunc(all[metric], one.Within) {
				all[metric] = append(all[metric], one)
			}
		}
	}
	return all, err
}

// metricStats tell what the series of all hosts are made of.
func (d *daemon) metricStats(ctx context.Context, top int) (httpapi.Stats, error) {
	found, err := explore.Stats(ctx, d.metrics.Fleet.Explore, top, time.Now())
	for _, text := range found.Warnings {
		httpapi.Warn(ctx, text)
	}
	return httpapi.Stats{Cardinality: found.Cardinality, MinTime: found.Oldest, MaxTime: found.Newest}, err
}

// shards are those of all hosts in the state.
func (d *daemon) shards() (all []wire.Host) {
	for _, host := range d.store.View().Hosts("") {
		all = append(all, wire.Host{
			Name: host.GetName(), URL: node.URL(host.GetInfo().GetApiAddress()), Down: host.GetState() == novacronv1.HostState_HOST_STATE_DOWN,
		})
	}
	return all
}
