package sim_test

import (
	"cmp"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/memnet"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/sim"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
)

// cluster is hosts on a network in memory, and who asks them.
type cluster struct {
	*sim.Hosts
	*sim.Asker
	network sim.Memory
}

func start(t *testing.T, w sim.Workload, options federate.Options) cluster {
	t.Helper()
	authority, err := sim.NewAuthority()
	require.NoError(t, err)
	c := cluster{network: sim.Memory{Network: memnet.New(1)}}
	c.Hosts, err = sim.Start(t.Context(), sim.Options{Workload: w, Network: c.network, Authority: authority, Patience: patience(options)})
	require.NoError(t, err)
	material, err := authority.Material(sim.Controller, pki.RoleController)
	require.NoError(t, err)
	c.Asker, err = sim.NewAsker(sim.ControllerOptions{Hosts: c.List, Material: material, Network: c.network, Fleet: options, Patience: patience(options)})
	require.NoError(t, err)
	return c
}

// relayed is how many questions hosts were asked about others.
func (c cluster) relayed() (n int64) {
	for host := range c.List() {
		n += c.Host(host).Relayed()
	}
	return n
}

func (c cluster) close(t *testing.T) {
	t.Helper()
	assert.NoError(t, c.Asker.Close())
	assert.NoError(t, c.Hosts.Close())
}

// truth is one shard with the series of all hosts.
func truth(t *testing.T, w sim.Workload) *shard.Shard {
	t.Helper()
	now := w.Start
	s, err := shard.Open(shard.Options{Maintain: -1, Clock: func() time.Time { return now }})
	require.NoError(t, err)
	for host := range w.Hosts {
		var of []map[string]string
		for machine := range w.Machines {
			of = append(of, w.Labels(host, machine))
		}
		for scrape := range w.Scrapes {
			now = w.Start.Add(time.Duration(scrape) * w.Interval)
			require.NoError(t, s.StoreMetrics(t.Context(), w.Scrape(host, scrape, of)))
		}
	}
	return s
}

// questions are of each way in which an expression is spread.
var questions = []string{
	`sum by (host) (rate(vm_cpu_seconds_total[5m]))`,
	`sum by (zone) (rate(vm_cpu_seconds_total[5m]))`,
	`avg(vm_memory_used_bytes)`,
	`count(vm_memory_used_bytes > 6e8)`,
	`topk(10, rate(vm_cpu_seconds_total[5m]))`,
	`quantile by (zone) (0.95, rate(vm_cpu_seconds_total[5m]))`,
	`vm_memory_used_bytes{vm_name=~"vm-[0-9]*7"}`,
	`rate(vm_cpu_seconds_total{host="host-0003"}[5m])`,
	`max_over_time(sum(rate(vm_cpu_seconds_total[2m]))[3m:1m])`,
}

func requireSame(t *testing.T, want, got query.Answer, expr string) {
	t.Helper()
	require.Empty(t, got.Warnings, expr)
	require.NotEmpty(t, got.Rows(), expr)
	require.Len(t, got.Rows(), len(want.Rows()), expr)
	byLabels := map[string]query.Row{}
	for _, row := range want.Rows() {
		byLabels[row.Labels.String()] = row
	}
	for _, row := range got.Rows() {
		other := byLabels[row.Labels.String()]
		require.Len(t, row.Points, len(other.Points), "%s %s", expr, row.Labels)
		for i, p := range row.Points {
			require.Equal(t, other.Points[i].T, p.T)
			require.InDelta(t, other.Points[i].V, p.V, math.Abs(p.V)*1e-12, "%s %s", expr, row.Labels)
		}
	}
}

// compare asks the hosts and one shard with all their series.
func compare(t *testing.T, w sim.Workload, options federate.Options, exprs []string, instant bool) {
	t.Helper()
	began := time.Now()
	c := start(t, w, options)
	defer c.close(t)
	one := truth(t, w)
	defer one.Close()
	t.Logf("%d shards with %d series are up in %s", w.Hosts, w.Series(), time.Since(began).Round(time.Millisecond))
	times := query.Range{Start: w.Start.Add(3 * time.Minute), End: w.End(), Step: 30 * time.Second}
	for _, expr := range exprs {
		want, err := one.Range(t.Context(), expr, times)
		require.NoError(t, err, expr)
		asked := time.Now()
		got, err := c.Questions.Range(t.Context(), expr, times, true)
		require.NoError(t, err, expr)
		t.Logf("%-70s %4d rows in %s", expr, len(got.Rows()), time.Since(asked).Round(time.Millisecond))
		requireSame(t, want, got, expr)
		if !instant {
			continue
		}
		want, err = one.Instant(t.Context(), expr, w.End())
		require.NoError(t, err, expr)
		got, err = c.Questions.Instant(t.Context(), expr, w.End(), true)
		require.NoError(t, err, expr)
		requireSame(t, want, got, expr)
	}
	t.Logf("%d questions to relays", c.relayed())
	require.Equal(t, options.RelayFrom >= 0 && w.Hosts >= cmp.Or(options.RelayFrom, 64), c.relayed() > 0)
}

// TestManyShardsAnswerAsOne asks everything.
func TestManyShardsAnswerAsOne(t *testing.T) {
	for name, from := range map[string]int{"directly": -1, "by relays": 10} {
		t.Run(name, func(t *testing.T) {
			options := patient
			options.RelayFrom = from
			compare(t, workload(40), options, questions, true)
		})
	}
}

// TestAThousandShardsAnswerAsOne over mutual TLS, each host behind a server of its own, with 20 series.
func TestAThousandShardsAnswerAsOne(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a thousand servers")
	}
	compare(t, workload(1000), patient, []string{questions[0], questions[5], questions[6], questions[8]}, false)
}

// patient asks few at a time and waits: on a machine that is busy with other tests, a thousand first handshakes take a while.
var patient = federate.Options{Concurrent: 32, Timeout: time.Minute, HedgeAfter: 20 * time.Second}

// patience is the time to connect: longer where hosts are given longer than by default.
func patience(options federate.Options) time.Duration { return options.Timeout }

func workload(hosts int) sim.Workload {
	start := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	return sim.Workload{Hosts: hosts, Machines: 10, Start: start, Interval: 15 * time.Second, Scrapes: 24, Gauges: true}
}
