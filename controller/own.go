package controller

import (
	"net/http"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/cluster/telemetry"
	"github.com/novacron/novacron/controller/remotewrite"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/query"
)

// tellOfConsensus adds the replicated log to what this controller tells of itself.
func (d *daemon) tellOfConsensus() {
	tell := func(name, help string, read func(consensus.Stats) float64) {
		d.own.Gauge("novacron_raft_"+name, help, nil, func() float64 { return read(d.raft.Stats()) })
	}
	tell("leader", "1 where this controller leads, 0 where it does not.", func(s consensus.Stats) float64 {
		if s.State == "Leader" {
			return 1
		}
		return 0
	})
	tell("term", "The current election term.", func(s consensus.Stats) float64 { return float64(s.Term) })
	tell("last_index", "Newest entry of the log on disk.", func(s consensus.Stats) float64 { return float64(s.LastIndex) })
	tell("commit_index", "Newest entry that is known to be committed.", func(s consensus.Stats) float64 { return float64(s.CommitIndex) })
	tell("applied_index", "Newest entry that this controller has executed.", func(s consensus.Stats) float64 { return float64(s.AppliedIndex) })
	tell("voters", "Voting members.", func(s consensus.Stats) float64 { return float64(s.Voters) })
	tell("last_contact_seconds", "Since when the leader has not been heard; 0 on the leader, -1 when it never was.",
		func(s consensus.Stats) float64 {
			if s.LastContact < 0 {
				return -1
			}
			return s.LastContact.Seconds()
		})
	tell("disk_wait_seconds", "Age of the oldest write to the log that has not returned.", func(s consensus.Stats) float64 { return s.InFlight.Seconds() })
}

// tellOfQueries adds how many expressions this controller has evaluated, and by which evaluator.
func (d *daemon) tellOfQueries(engine *query.Engine) {
	of := func(path string, value int64) telemetry.Sample {
		return telemetry.Sample{
			Name: "novacron_query_evaluations_total", Help: "Expressions that this controller has evaluated, by evaluator.", Counter: true,
			Labels: map[string]string{"evaluator": path}, Value: float64(value),
		}
	}
	d.own.Samples(func() []telemetry.Sample {
		n := engine.Evaluated()
		return []telemetry.Sample{of("fast", n.Fast), of("promql", n.PromQL)}
	})
}

// tellOfCache adds the cache of query results.
func (d *daemon) tellOfCache(results *cache.Cache) {
	of := func(name, help string, counter bool, value float64) telemetry.Sample {
		return telemetry.Sample{Name: "novacron_query_cache_" + name, Help: help, Counter: counter, Value: value}
	}
	d.own.Samples(func() []telemetry.Sample {
		s := results.Stats()
		return []telemetry.Sample{
			of("hits_total", "Times of range queries that were known.", true, float64(s.Hits)),
			of("misses_total", "Times of range queries that could have been known and were computed.", true, float64(s.Misses)),
			of("shared_total", "Queries that were answered by one that was asked at the same time.", true, float64(s.Shared)),
			of("evicted_total", "Questions that were dropped for want of room.", true, float64(s.Evicted)),
			of("outdated_total", "Questions that were dropped since a host had changed.", true, float64(s.Outdated)),
			of("entries", "Questions of which answers are kept.", false, float64(s.Entries)),
			of("bytes", "Memory that the answers take.", false, float64(s.Bytes)),
			of("max_bytes", "Memory that the answers may take.", false, float64(s.MaxBytes)),
		}
	})
}

// tellOfRelays adds what hosts did as relays of questions.
func (d *daemon) tellOfRelays(all *federate.Fleet) {
	of := func(name, help string, value int64) telemetry.Sample {
		return telemetry.Sample{Name: "novacron_query_relay_" + name, Help: help, Counter: true, Value: float64(value)}
	}
	d.own.Samples(func() []telemetry.Sample {
		s := all.RelayStats()
		return []telemetry.Sample{
			of("calls_total", "Questions to hosts that ask others of their group.", s.Calls),
			of("answers_total", "Answers of hosts that came by way of others.", s.Answers),
			of("direct_total", "Questions to hosts of which another one gave no answer, or none in time.", s.Direct),
		}
	})
}

// remoteWrite hands samples of others to the hosts that are up.
func (d *daemon) remoteWrite() http.Handler {
	return &remotewrite.Handler{HTTP: d.peers, Logger: d.logger, Sender: sender, Hosts: func() (up []remotewrite.Host) {
		for _, host := range d.store.View().Hosts("") {
			if host.GetState() == novacronv1.HostState_HOST_STATE_UP {
				up = append(up, remotewrite.Host{Name: host.GetName(), URL: node.URL(host.GetInfo().GetApiAddress())})
			}
		}
		return up
	}}
}

// sender is whose certificate a request came with.
func sender(r *http.Request) string {
	id, err := pki.PeerIdentity(r.TLS)
	if err != nil {
		return "" // nobody without one gets here
	}
	return id.Name
}
