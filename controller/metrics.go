package controller

import (
	"context"
	"path/filepath"
	"runtime"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/controller/rpc"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
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
	roster := &wire.Roster{Hosts: d.shards, HTTP: d.peers, Logger: d.logger}
	all, pushing := federate.NewFleet(roster, federate.Options{}), federate.NewEngine(engine, 0)
	d.metrics = rpc.Metrics{Questions: federate.Questions{Engine: pushing, Fleet: all}, HTTP: httpapi.New(httpapi.Options{
		Engine: pushing, Source: all.WithComplete(false), Complete: all.WithComplete(true), Build: httpapi.Build{Version: httpapi.Version, GoVersion: runtime.Version()},
	})}
	return nil
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
