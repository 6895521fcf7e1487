package hypervisor_test

import (
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/network"
)

const ourCluster = "11111111-2222-3333-4444-555555555555"

func lanSpec() *novacronv1.NetworkSpec {
	return network.Normalise(&novacronv1.NetworkSpec{Name: "lan", Mode: novacronv1.NetworkMode_NETWORK_MODE_NAT, Subnet: "10.20.0.0/24"})
}

func webGroup() *novacronv1.SecurityGroupSpec {
	return network.NormaliseGroup(&novacronv1.SecurityGroupSpec{Name: "web", Rules: []*novacronv1.SecurityRule{{Protocol: "tcp", Ports: "80"}}})
}

// foreignHost has a network, a filter and a guest that are not ours.
func foreignHost(t *testing.T, opts fake.Options) *fake.Driver {
	t.Helper()
	d, err := fake.New(opts)
	require.NoError(t, err)
	require.NoError(t, d.DefineNetwork(t.Context(), `<network><name>default</name><uuid>00000000-0000-4000-8000-000000000001</uuid></network>`))
	require.NoError(t, d.DefineFilter(t.Context(), `<filter name="clean-traffic"><uuid>00000000-0000-4000-8000-000000000002</uuid></filter>`))
	return d
}

func keep(d hypervisor.Driver) *hypervisor.NetworkKeeper {
	return hypervisor.NewNetworkKeeper(d, ourCluster, slog.New(slog.DiscardHandler))
}

func bring(t *testing.T, k *hypervisor.NetworkKeeper, plan hypervisor.NetworkPlan) hypervisor.NetworkFaults {
	t.Helper()
	faults, err := k.Sync(t.Context(), plan)
	require.NoError(t, err)
	return faults
}

func TestNetworksComeAndGoAndForeignOnesStay(t *testing.T) {
	d := foreignHost(t, fake.Options{})
	before, k := d.Leftovers(), keep(d)
	lease := hypervisor.Lease{MAC: "52:54:00:00:00:01", Address: "10.20.0.9", Name: "web-1"}
	plan := hypervisor.NetworkPlan{
		Networks: []*novacronv1.NetworkSpec{lanSpec()}, Groups: []*novacronv1.SecurityGroupSpec{webGroup()},
		Leases: map[string][]hypervisor.Lease{"lan": {lease}},
	}
	require.Empty(t, bring(t, k, plan))
	require.Empty(t, bring(t, keep(d), plan), "another life of the agent finds all as it shall be")
	list, err := d.Networks(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, n := range list {
		if n.Name == "lan" {
			require.Equal(t, []hypervisor.Lease{lease}, n.Leases)
			require.True(t, n.Active && n.Autostart)
		} else {
			require.False(t, n.Active, "nobody started what is not ours")
		}
	}
	plan.Leases = nil
	require.Empty(t, bring(t, k, plan))
	require.Empty(t, bring(t, k, hypervisor.NetworkPlan{}))
	require.Equal(t, before, d.Leftovers())
}

func TestForeignNamesAreToldAndLeftAlone(t *testing.T) {
	d := foreignHost(t, fake.Options{})
	require.NoError(t, d.DefineFilter(t.Context(), `<filter name="web"><uuid>00000000-0000-4000-8000-000000000003</uuid></filter>`))
	before, taken := d.Leftovers(), lanSpec()
	taken.Name = "default"
	faults := bring(t, keep(d), hypervisor.NetworkPlan{Networks: []*novacronv1.NetworkSpec{taken}, Groups: []*novacronv1.SecurityGroupSpec{webGroup()}})
	require.ErrorIs(t, faults["network/default"], hypervisor.ErrForeign)
	require.ErrorIs(t, faults["security-group/web"], hypervisor.ErrForeign)
	require.Equal(t, before, d.Leftovers())

	def := &vm.Definition{NetworkInterfaces: []vm.NetworkInterface{{Network: "default", SecurityGroup: "web"}}}
	require.ErrorContains(t, faults.Of(def), "network default: the host has another network default")
	require.ErrorContains(t, faults.Of(def), "security-group web")
	require.NoError(t, faults.Of(&vm.Definition{NetworkInterfaces: []vm.NetworkInterface{{Network: "lan"}}}))
}

func TestANetworkWithAGuestIsNeitherChangedNorRemoved(t *testing.T) {
	d := foreignHost(t, fake.Options{})
	k, plan := keep(d), hypervisor.NetworkPlan{Networks: []*novacronv1.NetworkSpec{lanSpec()}}
	require.Empty(t, bring(t, k, plan))
	const id = "00000000-0000-4000-8000-00000000000a"
	require.NoError(t, d.Define(t.Context(), `<domain><name>someone</name><uuid>`+id+`</uuid><devices><interface type="network"><source network="lan"/></interface></devices></domain>`))

	other := hypervisor.NetworkPlan{Networks: []*novacronv1.NetworkSpec{lanSpec()}}
	other.Networks[0].Mtu = 1400
	for _, next := range []hypervisor.NetworkPlan{{}, other} {
		faults := bring(t, k, next)
		require.ErrorIs(t, faults["network/lan"], hypervisor.ErrInUse)
		require.ErrorContains(t, faults["network/lan"], "someone")
	}
	require.NoError(t, d.Undefine(t.Context(), id))
	require.Empty(t, bring(t, k, other))
	require.Empty(t, bring(t, k, other))
	require.Empty(t, bring(t, k, hypervisor.NetworkPlan{}))
}

// At whatever call the driver fails, or the agent dies: the next comparison ends where it shall.
func TestAnyStepMayFail(t *testing.T) {
	plan := hypervisor.NetworkPlan{
		Networks: []*novacronv1.NetworkSpec{lanSpec()}, Groups: []*novacronv1.SecurityGroupSpec{webGroup()},
		Leases: map[string][]hypervisor.Lease{"lan": {{MAC: "52:54:00:00:00:01", Address: "10.20.0.9"}}},
	}
	for failing := range 12 {
		left := -1 // calls until the fault; below zero none comes
		d := foreignHost(t, fake.Options{Fault: func(string, string) error {
			left--
			if left == 0 {
				return errors.New("injected")
			}
			return nil
		}})
		before := d.Leftovers()
		left = failing + 1
		_, _ = keep(d).Sync(t.Context(), plan) // its fault is the one injected
		left = -1
		require.Empty(t, bring(t, keep(d), plan))
		list, err := d.Networks(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 2)
		left = failing + 1
		_, _ = keep(d).Sync(t.Context(), hypervisor.NetworkPlan{})
		left = -1
		require.Empty(t, bring(t, keep(d), hypervisor.NetworkPlan{}))
		require.Equal(t, before, d.Leftovers())
	}
}

var update = flag.Bool("update-networks", false, "write the golden files of networks and filters")

// TestGoldenNetworkXML compares what libvirt is given with testdata; the driver's tests give the same to libvirt.
func TestGoldenNetworkXML(t *testing.T) {
	for name, text := range goldenXML(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "network", name+".xml")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), text+"\n")
		})
	}
}

func goldenXML(t *testing.T) map[string]string {
	t.Helper()
	isolated, bridge := novacronv1.NetworkMode_NETWORK_MODE_ISOLATED, novacronv1.NetworkMode_NETWORK_MODE_BRIDGE
	all := map[string]string{}
	leases := []hypervisor.Lease{{MAC: "52:54:00:00:00:01", Address: "10.20.0.9", Name: "web-1"}, {MAC: "52:54:00:00:00:02", Address: "10.20.0.10"}}
	for name, spec := range map[string]*novacronv1.NetworkSpec{
		"network-nat":      lanSpec(),
		"network-isolated": {Name: "back", Mode: isolated, Subnet: "10.30.0.0/16", Assign: true, Mtu: 1400, DnsDomain: "back.example"},
		"network-bare":     {Name: "bare", Mode: isolated},
		"network-bridge":   {Name: "floor", Mode: bridge, Bridge: "br0", Subnet: "10.40.0.0/24"},
	} {
		given := leases
		if name != "network-nat" {
			given = nil
		}
		text, err := hypervisor.NetworkXML(ourCluster, network.Normalise(spec), given)
		require.NoError(t, err)
		all[name] = text
	}
	rule := func(direction, action, protocol, ports, remote string, priority uint32) *novacronv1.SecurityRule {
		return &novacronv1.SecurityRule{Direction: direction, Action: action, Protocol: protocol, Ports: ports, Remote: remote, Priority: priority}
	}
	for name, group := range map[string]*novacronv1.SecurityGroupSpec{
		"filter-empty": {Name: "empty"},
		"filter-web": {Name: "web", Rules: []*novacronv1.SecurityRule{
			rule("in", "accept", "tcp", "80", "", 0), rule("in", "accept", "udp", "8000-8100", "10.0.0.0/8", 0), rule("in", "reject", "icmp", "", "192.0.2.7", 3),
			rule("out", "drop", "any", "", "198.51.100.0/24", 900), rule("out", "reject", "tcp", "25", "", 10),
		}},
		"filter-open": {Name: "open", AllowSpoofing: true, DefaultIn: "accept", DefaultOut: "drop", Rules: []*novacronv1.SecurityRule{
			rule("in", "drop", "tcp", "22", "fd00::/8", 0), rule("in", "accept", "icmp", "", "", 0), rule("out", "accept", "udp", "53", "", 0), rule("in", "drop", "any", "", "", 900),
		}},
	} {
		text, err := hypervisor.FilterXML(ourCluster, network.NormaliseGroup(group))
		require.NoError(t, err)
		all[name] = text
	}
	return all
}
