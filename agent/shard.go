package agent

import (
	"context"
	"net/http"
	"runtime"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/wire"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// metricReaders are the roles that may ask an agent for the metrics of its host.
var metricReaders = []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleController}

// shardService answers controllers who ask for the metrics of this host.
func (d *daemon) shardService() wire.Server {
	local := federate.Local{Host: d.cfg.Node.Name, Store: d.metrics.Engine(), Query: d.metrics.Queries()}
	return wire.Server{Shard: local, Summary: d.metrics.Summary}
}

// serveMetrics serves the HTTP API of Prometheus on the shard of this host.
func (d *daemon) serveMetrics(mux *http.ServeMux) {
	api := only(httpapi.New(httpapi.Options{
		Engine: d.metrics.Queries(), Source: query.NewQueryable(d.metrics.Engine()), Metadata: d.describeMetrics, Stats: d.metricStats,
		Build: httpapi.Build{Version: httpapi.Version, GoVersion: runtime.Version()},
	}), metricReaders...)
	mux.Handle("/api/v1/", api)
	mux.Handle("/-/", api)
}

// describeMetrics tells what is known of one metric, or of all.
func (d *daemon) describeMetrics(_ context.Context, name string) (map[string][]httpapi.Metadata, error) {
	all := map[string][]httpapi.Metadata{}
	for metric, about := range d.metrics.Descriptions() {
		if name == "" || name == metric {
			all[metric] = []httpapi.Metadata{{Type: string(about.Type), Help: about.Help, Unit: about.Unit}}
		}
	}
	return all, nil
}

func (d *daemon) metricStats(_ context.Context, top int) (httpapi.Stats, error) {
	stats := httpapi.Stats{Cardinality: d.metrics.Engine().Cardinality(top)}
	stats.MinTime, stats.MaxTime, _ = d.metrics.Engine().Bounds()
	return stats, nil
}
