package env_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// nets are clients of the network services.
type nets struct {
	networks novacronv1connect.NetworkServiceClient
	groups   novacronv1connect.SecurityGroupServiceClient
}

func netsOf(client *env.Client) nets {
	url := node.URL(client.Address)
	return nets{novacronv1connect.NewNetworkServiceClient(client.HTTP, url), novacronv1connect.NewSecurityGroupServiceClient(client.HTTP, url)}
}

func (n nets) create(ctx context.Context, spec *novacronv1.NetworkSpec) error {
	_, err := n.networks.CreateNetwork(ctx, connect.NewRequest(&novacronv1.CreateNetworkRequest{Spec: spec}))
	return err
}

func (n nets) delete(ctx context.Context, name string) error {
	_, err := n.networks.DeleteNetwork(ctx, connect.NewRequest(&novacronv1.DeleteNetworkRequest{Name: name}))
	return err
}

// carded is a machine with one card.
func carded(name string, nic *novacronv1.NetworkInterfaceSpec) *novacronv1.VMSpec {
	spec := small(name)
	spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{nic}
	return spec
}

// leasesOn are the addresses that a host's networks of a name keep.
func leasesOn(t *testing.T, member *env.Member, network string) []hypervisor.Lease {
	t.Helper()
	list, err := member.Host.Driver.Networks(t.Context())
	require.NoError(t, err)
	for _, n := range list {
		if n.Name == network {
			return n.Leases
		}
	}
	return nil
}

func TestNetworksAddressesAndSecurityGroups(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2, Agent: func(name string) node.AgentConfig {
		return node.AgentConfig{Labels: map[string]string{"name": name}}
	}})
	hosts := c.Members(pki.RoleAgent)
	client := admin(t, c, "")
	n := netsOf(client)
	spec := &novacronv1.NetworkSpec{
		Name: "lan", Mode: novacronv1.NetworkMode_NETWORK_MODE_NAT, Subnet: "10.20.0.0/24", Assign: true, HostLabels: map[string]string{"name": hosts[1].Name},
	}
	require.NoError(t, n.create(t.Context(), spec))
	require.NoError(t, n.create(t.Context(), spec), "again is a retry")
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(n.create(t.Context(), &novacronv1.NetworkSpec{Name: "x"})))

	_, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: carded("a", &novacronv1.NetworkInterfaceSpec{
		Network: "lan", Address: proto.String("10.20.1.9"), SecurityGroup: proto.String("web"),
	})}))
	require.ErrorContains(t, err, "networkInterfaces[0].address")
	require.ErrorContains(t, err, "networkInterfaces[0].securityGroup")

	_, err = n.groups.CreateSecurityGroup(t.Context(), connect.NewRequest(&novacronv1.CreateSecurityGroupRequest{Spec: &novacronv1.SecurityGroupSpec{Name: "web"}}))
	require.NoError(t, err)
	create(t, client, carded("a", &novacronv1.NetworkInterfaceSpec{Network: "lan", SecurityGroup: proto.String("web")}))
	placed := waitPhase(t, client, "a", running)
	require.Equal(t, hosts[1].Name, placed.GetHostName(), "only that host has the network")
	nic := placed.GetSpec().GetNetworkInterfaces()[0]
	require.Equal(t, "10.20.0.2", nic.GetAddress())
	require.Equal(t, []hypervisor.Lease{{MAC: nic.GetMac(), Address: "10.20.0.2", Name: "a"}}, leasesOn(t, hosts[1], "lan"), "it is there before the machine starts")
	require.True(t, slices.Contains(hosts[1].Host.Driver.Leftovers(), "filter web"))
	require.Empty(t, hosts[0].Host.Driver.Leftovers())

	shown, err := n.networks.GetNetwork(t.Context(), connect.NewRequest(&novacronv1.GetNetworkRequest{Name: "lan"}))
	require.NoError(t, err)
	require.Len(t, shown.Msg.GetHosts(), 1)
	require.True(t, shown.Msg.GetHosts()[0].GetActive())
	require.Equal(t, "a", shown.Msg.GetAddresses()[0].GetVmName())
	require.ErrorContains(t, n.delete(t.Context(), "lan"), "is used by virtual machine a")
	_, err = client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: carded("b", &novacronv1.NetworkInterfaceSpec{Network: "lan", Address: nic.Address})}))
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
	require.ErrorContains(t, err, "belongs to virtual machine a")

	remove(t, client, "a")
	waitGone(t, client, "a")
	_, err = n.groups.DeleteSecurityGroup(t.Context(), connect.NewRequest(&novacronv1.DeleteSecurityGroupRequest{Name: "web"}))
	require.NoError(t, err)
	require.NoError(t, n.delete(t.Context(), "lan"))
	waitFor(t, "the hosts to be empty", func(context.Context) error {
		if left := leftovers(c); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

func TestATakenNameOnAHostIsTold(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	host := c.Members(pki.RoleAgent)[0]
	require.NoError(t, host.Host.Driver.DefineNetwork(t.Context(), `<network><name>lan</name><uuid>00000000-0000-4000-8000-000000000001</uuid></network>`))
	require.NoError(t, host.Host.Driver.StartNetwork(t.Context(), "00000000-0000-4000-8000-000000000001"))
	client := admin(t, c, "")
	n := netsOf(client)
	require.NoError(t, n.create(t.Context(), &novacronv1.NetworkSpec{Name: "lan", Mode: novacronv1.NetworkMode_NETWORK_MODE_ISOLATED}))
	waitFor(t, "the fault to be told", func(ctx context.Context) error {
		shown, err := n.networks.GetNetwork(ctx, connect.NewRequest(&novacronv1.GetNetworkRequest{Name: "lan"}))
		if err != nil || len(shown.Msg.GetHosts()) != 1 || shown.Msg.GetHosts()[0].GetMessage() == "" {
			return fmt.Errorf("seen %v %w", shown.Msg.GetHosts(), err)
		}
		return nil
	})
	create(t, client, carded("a", &novacronv1.NetworkInterfaceSpec{Network: "lan"}))
	failed := waitPhase(t, client, "a", novacronv1.VMPhase_VM_PHASE_FAILED)
	require.Contains(t, failed.GetStatus().GetMessage(), "the host has another network lan")
}
