package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/sim"
	"github.com/novacron/novacron/tsdb/query"
)

// BenchmarkThousandShards asks 1,000 shards with 20 series each, over loopback.
func BenchmarkThousandShards(b *testing.B) {
	w := sim.Workload{Hosts: 1000, Machines: 20, Interval: 15 * time.Second, Scrapes: 265}
	w.Start = time.Now().Truncate(time.Second).Add(-time.Duration(w.Scrapes) * w.Interval)
	authority, err := sim.NewAuthority()
	require.NoError(b, err)
	hosts, err := sim.Start(b.Context(), sim.Options{Workload: w, Authority: authority, Dir: b.TempDir()})
	require.NoError(b, err)
	defer hosts.Close()
	material, err := authority.Material(sim.Controller, pki.RoleController)
	require.NoError(b, err)
	asker, err := sim.NewAsker(sim.ControllerOptions{Hosts: hosts.List, Material: material})
	require.NoError(b, err)
	defer asker.Close()
	const expr = `sum by (host) (rate(vm_cpu_seconds_total[5m]))`
	for name, ask := range map[string]func() (query.Answer, error){
		"instant": func() (query.Answer, error) { return asker.Questions.Instant(b.Context(), expr, w.End(), true) },
		"range": func() (query.Answer, error) {
			return asker.Questions.Range(b.Context(), expr, query.Range{Start: w.End().Add(-239 * w.Interval), End: w.End(), Step: w.Interval}, true)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer, err := ask()
				require.NoError(b, err)
				require.Len(b, answer.Rows(), w.Hosts)
			}
		})
	}
}
