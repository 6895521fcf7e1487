package drivertest

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const contractCluster = "contract"

// contractNetwork is one that nobody else has, if the tests of one host come one after the other.
func contractNetwork(name string) *novacronv1.NetworkSpec {
	return &novacronv1.NetworkSpec{
		Name: name, Mode: novacronv1.NetworkMode_NETWORK_MODE_ISOLATED, Subnet: "10.93.0.0/24", Gateway: "10.93.0.1", Assign: true,
	}
}

func (g Target) networkXML(t *testing.T, spec *novacronv1.NetworkSpec) string {
	t.Helper()
	text, err := hypervisor.NetworkXML(contractCluster, spec, nil)
	require.NoError(t, err)
	return text
}

// network finds one by its UUID; without one the answer is empty.
func (g Target) network(t *testing.T, id string) (found hypervisor.Network) {
	t.Helper()
	list, err := g.Driver.Networks(t.Context())
	require.NoError(t, err)
	for _, n := range list {
		if n.ID == id {
			found = n
		}
	}
	return found
}

func (g Target) networks(t *testing.T) {
	spec := contractNetwork("contract-net")
	id, text := hypervisor.NetworkID(contractCluster, spec.GetName()), g.networkXML(t, spec)
	require.NoError(t, g.Driver.DefineNetwork(t.Context(), text))
	t.Cleanup(func() { _ = g.Driver.RemoveNetwork(context.WithoutCancel(t.Context()), id) })
	require.NoError(t, g.Driver.DefineNetwork(t.Context(), text), "defining it again changes nothing")
	n := g.network(t, id)
	require.Equal(t, spec.GetName(), n.Name)
	require.False(t, n.Active)
	require.Contains(t, n.Metadata, contractCluster)

	require.NoError(t, g.Driver.StartNetwork(t.Context(), id))
	require.NoError(t, g.Driver.StartNetwork(t.Context(), id), "starting it again is fine")
	n = g.network(t, id)
	require.True(t, n.Active)
	require.True(t, n.Autostart)
	facts, err := g.Driver.Facts(t.Context())
	require.NoError(t, err)
	require.Contains(t, facts.Networks, spec.GetName())

	t.Run("leases", func(t *testing.T) { g.leases(t, id) })
	require.NoError(t, g.Driver.RemoveNetwork(t.Context(), id))
	require.Empty(t, g.network(t, id))
	require.ErrorIs(t, g.Driver.RemoveNetwork(t.Context(), id), hypervisor.ErrNotFound)
	require.ErrorIs(t, g.Driver.StartNetwork(t.Context(), id), hypervisor.ErrNotFound)
}

func (g Target) leases(t *testing.T, id string) {
	g.need(t, Leases)
	first := hypervisor.Lease{MAC: "52:54:00:93:00:01", Address: "10.93.0.10", Name: "one"}
	moved := hypervisor.Lease{MAC: first.MAC, Address: "10.93.0.11"}
	other := hypervisor.Lease{MAC: "52:54:00:93:00:02", Address: first.Address, Name: "one"}
	require.NoError(t, g.Driver.DropLease(t.Context(), id, first), "there is none yet")
	require.NoError(t, g.Driver.SetLease(t.Context(), id, first))
	require.NoError(t, g.Driver.SetLease(t.Context(), id, first), "setting it again is fine")
	require.Equal(t, []hypervisor.Lease{first}, g.network(t, id).Leases)
	require.NoError(t, g.Driver.SetLease(t.Context(), id, moved))
	require.NoError(t, g.Driver.SetLease(t.Context(), id, other))
	require.ElementsMatch(t, []hypervisor.Lease{moved, other}, g.network(t, id).Leases)
	require.NoError(t, g.Driver.DropLease(t.Context(), id, moved))
	require.NoError(t, g.Driver.DropLease(t.Context(), id, other))
	require.Empty(t, g.network(t, id).Leases)
}

func (g Target) networkClash(t *testing.T) {
	spec := contractNetwork("contract-clash")
	id := hypervisor.NetworkID(contractCluster, spec.GetName())
	require.NoError(t, g.Driver.DefineNetwork(t.Context(), g.networkXML(t, spec)))
	t.Cleanup(func() { require.NoError(t, g.Driver.RemoveNetwork(context.WithoutCancel(t.Context()), id)) })
	text, err := hypervisor.NetworkXML("another cluster", spec, nil)
	require.NoError(t, err)
	require.ErrorIs(t, g.Driver.DefineNetwork(t.Context(), text), hypervisor.ErrExists)
}

func (g Target) filters(t *testing.T) {
	g.need(t, Filters)
	group := &novacronv1.SecurityGroupSpec{Name: "contract-" + uuid.NewString()[:8], DefaultIn: "drop", DefaultOut: "accept"}
	id := hypervisor.FilterID(contractCluster, group.GetName())
	define := func(cluster string) error {
		text, err := hypervisor.FilterXML(cluster, group)
		require.NoError(t, err)
		return g.Driver.DefineFilter(t.Context(), text)
	}
	require.NoError(t, define(contractCluster))
	t.Cleanup(func() { _ = g.Driver.RemoveFilter(context.WithoutCancel(t.Context()), id) })
	require.NoError(t, define(contractCluster), "defining it again changes nothing")
	group.Rules = []*novacronv1.SecurityRule{{Direction: "in", Action: "accept", Protocol: "tcp", Ports: "22", Priority: 1}}
	require.NoError(t, define(contractCluster), "it can be changed")
	require.ErrorIs(t, define("another cluster"), hypervisor.ErrExists)
	list, err := g.Driver.Filters(t.Context())
	require.NoError(t, err)
	require.Contains(t, list, hypervisor.Filter{ID: id, Name: group.GetName()})
	require.NoError(t, g.Driver.RemoveFilter(t.Context(), id))
	require.ErrorIs(t, g.Driver.RemoveFilter(t.Context(), id), hypervisor.ErrNotFound)
}
