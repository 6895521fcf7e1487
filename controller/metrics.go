package controller

import (
	"context"
	"path/filepath"

	"github.com/novacron/novacron/controller/fleet"
	"github.com/novacron/novacron/controller/rpc"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// openMetrics prepares to ask the shards of all hosts.
func (d *daemon) openMetrics(context.Context) error {
	engine, err := query.New(query.Options{ActiveLog: filepath.Join(d.cfg.Node.DataDir, "queries.active"), Logger: d.logger})
	if err != nil {
		return err
	}
	d.closers.Add(func(context.Context) error { return engine.Close() })
	directory := &fleet.Directory{Store: d.store, HTTP: d.peers, Logger: d.logger}
	d.metrics = rpc.Metrics{Engine: federate.NewEngine(engine, 0), Fleet: federate.NewFleet(directory, federate.Options{})}
	return nil
}
