package agent

import (
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/wire"
)

// shardService answers controllers who ask for the metrics of this host.
func (d *daemon) shardService() wire.Server {
	local := federate.Local{Host: d.cfg.Node.Name, Store: d.metrics.Engine(), Query: d.metrics.Queries()}
	return wire.Server{Shard: local, Summary: d.metrics.Summary}
}
