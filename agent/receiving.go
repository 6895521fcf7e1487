package agent

import (
	"net/http"
	"slices"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/tsdb/shard"
)

// metricWriters are the roles that may send metrics to an agent.
var metricWriters = []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleMetricsWriter}

// Where an agent takes metrics.
const (
	writePath = "/api/v1/write"
	pushPath  = "/api/v1/metrics/push"
)

// newReceiver takes metrics into the shard of this host.
func newReceiver(registry *collect.Registry, store *shard.Shard, cfg node.AgentConfig) *custom.Receiver {
	return &custom.Receiver{
		Registry: registry, Sink: store, Meter: collect.NewMeter(), Limits: custom.Limits{Undeclared: cfg.UndeclaredMetrics},
		Describe: func(def collect.MetricDefinition) {
			store.Describe(def.Name, shard.Description{Type: def.Type, Unit: def.Unit, Help: def.Help})
		},
	}
}

// takeMetrics serves remote write and pushes. An agent that keeps no metrics does not.
func (d *daemon) takeMetrics(mux *http.ServeMux) {
	if d.receiver == nil {
		return
	}
	mux.Handle(writePath, only(d.receiver.WriteHandler(), slices.Concat(metricWriters, []pki.Role{pki.RoleController})...)) // who spreads it over hosts
	mux.Handle(pushPath, only(d.receiver.PushHandler(), metricWriters...))
}
