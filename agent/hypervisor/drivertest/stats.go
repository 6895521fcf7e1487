package drivertest

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
)

func (g Target) stats(t *testing.T) {
	g.need(t, Stats)
	id := g.guest(t, "contract-stats")
	require.EqualValues(t, 5, g.counted(t, id).Values["state.state"], "shut off")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	running := g.counted(t, id)
	require.EqualValues(t, 1, running.Values["state.state"])
	require.Equal(t, "contract-stats", running.Name)
	require.Positive(t, running.Values["vcpu.current"])
	require.LessOrEqual(t, running.Values["vcpu.current"], running.Values["vcpu.maximum"])
	require.Contains(t, running.Values, "cpu.time")
	one, err := g.Driver.DomainStats(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, id, one[0].ID)
	none, err := g.Driver.DomainStats(t.Context(), uuid.NewString())
	require.NoError(t, err, "what is gone is left out")
	require.Empty(t, none)
	_, err = g.Driver.GuestUsage(t.Context(), id)
	require.NoError(t, err, "a guest without an agent is no error")
	_, err = g.Driver.GuestUsage(t.Context(), uuid.NewString())
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
}

// counted finds a domain among all.
func (g Target) counted(t *testing.T, id string) hypervisor.DomainStats {
	t.Helper()
	all, err := g.Driver.DomainStats(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(s hypervisor.DomainStats) bool { return s.ID == id })
	require.GreaterOrEqual(t, i, 0, "the domain is among all")
	return all[i]
}

func (g Target) poolStats(t *testing.T) {
	all, err := g.Driver.PoolStats(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(p hypervisor.PoolStats) bool { return p.Name == g.Pool })
	require.GreaterOrEqual(t, i, 0)
	require.Positive(t, all[i].CapacityBytes)
	require.LessOrEqual(t, all[i].AvailBytes, all[i].CapacityBytes)
	require.LessOrEqual(t, all[i].AllocationBytes, all[i].CapacityBytes)
}
