package agent

import (
	"context"
	"net/http"
	"runtime"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/cluster/telemetry"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/federate/wire"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// metricReaders are the roles that may ask an agent for the metrics of its host.
var metricReaders = []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleController}

// shardService answers controllers who ask for the metrics of this host.
func (d *daemon) shardService() wire.Server {
	return wire.Server{Shard: d.localShard(), Summary: d.metrics.Summary, Survey: d.survey}
}

// relaying asks other hosts for controllers.
func (d *daemon) relaying() *wire.Relay {
	others := node.DirectClient(d.creds.ClientTLS(pki.RoleAgent), d.peers)
	d.closers.Add(func(context.Context) error { others.CloseIdleConnections(); return nil })
	return wire.NewRelay(others)
}

func (d *daemon) localShard() federate.Local {
	return federate.Local{Host: d.cfg.Node.Name, Store: d.metrics.Engine(), Query: d.metrics.Queries()}
}

// openSurvey makes what tells what the shard has, besides its samples. There is one: it counts for one question at a time,
// whoever asks.
func (d *daemon) openSurvey() {
	d.survey = federate.NewLocalSurvey(d.localShard(), func() (all []federate.Description) {
		for name, about := range d.metrics.Descriptions() {
			all = append(all, federate.Description{Name: name, Type: string(about.Type), Unit: about.Unit, Help: about.Help})
		}
		return all
	})
}

// serveMetrics serves the HTTP API of Prometheus on the shard of this host.
func (d *daemon) serveMetrics(mux *http.ServeMux) {
	own := telemetry.New(d.cfg.Version)
	own.Samples(d.own.samples(d.metrics.Descriptions))
	api := only(httpapi.New(httpapi.Options{
		Engine: d.metrics.Queries(), Source: query.NewQueryable(d.metrics.Engine()), Metadata: d.describeMetrics, Stats: d.metricStats,
		Explore: func(ctx context.Context, ask explore.Ask) (explore.Answer, error) {
			return explore.Explore(ctx, d.survey.Ask, ask)
		},
		Build: httpapi.Build{Version: httpapi.Version, GoVersion: runtime.Version()}, Metrics: own.Write,
	}), metricReaders...)
	mux.Handle("/api/v1/", api)
	mux.Handle("/-/", api)
	mux.Handle("/metrics", api)
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
