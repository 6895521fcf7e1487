package itest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
)

// lan is what the tests' network is.
const (
	lan        = "lan"
	lanSubnet  = "10.91.0.0/24"
	lanAddress = "10.91.0.77"
	// peerAddress is of a stranger on the network, beside the host and its guests.
	peerAddress = "10.91.0.200"
)

// on runs a command on a host and gives what it printed.
func (f *fleet) on(host string, args ...string) (string, error) {
	h, err := f.Lab.Host(host)
	require.NoError(f.t, err)
	return h.Output(f.ctx, args...)
}

func (f *fleet) onMust(host string, args ...string) string {
	f.t.Helper()
	out, err := f.on(host, args...)
	require.NoError(f.t, err, out)
	return strings.TrimSpace(out)
}

// await waits until something holds.
func (f *fleet) await(what string, holds func() error) {
	f.t.Helper()
	require.NoError(f.t, f.Await(f.ctx, what, func(context.Context) error { return holds() }))
}

// stranger puts a machine of its own on a bridge of a host: what it sends to guests is bridged, not from the host.
func (f *fleet) stranger(host, bridge string) {
	f.t.Helper()
	f.onMust(host, "ip", "netns", "add", "stranger")
	f.onMust(host, "ip", "link", "add", "to-stranger", "type", "veth", "peer", "name", "eth0", "netns", "stranger")
	f.onMust(host, "ip", "link", "set", "to-stranger", "master", bridge, "up")
	f.onMust(host, "ip", "-n", "stranger", "address", "add", peerAddress+"/24", "dev", "eth0")
	f.onMust(host, "ip", "-n", "stranger", "link", "set", "eth0", "up")
}

// reaches tells whether the stranger gets a connection to a port.
func (f *fleet) reaches(host, address, port string) error {
	out, err := f.on(host, "ip", "netns", "exec", "stranger", "timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/"+address+"/"+port)
	if err != nil {
		return &lacking{out + err.Error()}
	}
	return nil
}

func (f *fleet) rulesFile(text string) string {
	path := filepath.Join(f.t.TempDir(), "rules.yaml")
	require.NoError(f.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (f *fleet) clusterID() string {
	list := f.virsh("h1", "net-dumpxml", lan)
	_, rest, _ := strings.Cut(list, `cluster="`)
	if rest == "" {
		_, rest, _ = strings.Cut(list, "cluster='")
	}
	id, _, _ := strings.Cut(strings.ReplaceAll(rest, "'", `"`), `"`)
	return id
}

func (f *fleet) booted(name string) {
	f.t.Helper()
	f.must("vm", "console", name, "--until", lab.UpMark+" "+name, "--timeout", guestBoot)
}

func TestANetworkAnAddressAndASecurityGroup(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	foreignNetworks, foreignFilters := f.virsh("h1", "net-list", "--all", "--uuid"), f.virsh("h1", "nwfilter-list")

	began := time.Now()
	f.must("network", "create", lan, "--mode", "isolated", "--subnet", lanSubnet, "--dns-domain", "lan.test", "--assign")
	f.await("the network to be active", func() error {
		if out := f.must("network", "show", lan); !strings.Contains(out, "active") {
			return &lacking{out}
		}
		return nil
	})
	t.Logf("network create to active on the host: %s", time.Since(began))
	require.Contains(t, f.virsh("h1", "net-info", lan), "yes", "it runs and starts with the host")

	f.must("security-group", "create", "quiet", "-f", f.rulesFile("rules:\n  - {protocol: icmp}\n  - {protocol: tcp, ports: 22}\n"))
	f.must(createArgsOn("web-1", "network="+lan+",address="+lanAddress+",security-group=quiet")...)
	f.booted("web-1")
	f.guestHas("web-1", lanAddress)
	require.Contains(t, f.virsh("h1", "net-dhcp-leases", lan), lanAddress+"/24")
	require.Contains(t, f.virsh("h1", "net-dumpxml", lan), "ip='"+lanAddress+"'")

	refused := f.CLI(f.ctx, createArgsOn("web-2", "network="+lan+",address="+lanAddress)...)
	require.Contains(t, refused.Err, "belongs to virtual machine web-1")
	for _, args := range [][]string{{"network", "delete", lan, "--yes"}, {"security-group", "delete", "quiet", "--yes"}} {
		require.Contains(t, f.CLI(f.ctx, args...).Err, "is used by virtual machine web-1")
	}

	bridge := hypervisor.BridgeName(f.clusterID(), lan)
	f.stranger("h1", bridge)
	require.Error(t, f.reaches("h1", lanAddress, "80"), "a port that no rule opens is closed")
	_, err := f.on("h1", "timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/"+lanAddress+"/80")
	require.Error(t, err, "for the host itself too")
	began = time.Now()
	f.must("security-group", "update", "quiet", "-f", f.rulesFile("rules:\n  - {protocol: tcp, ports: 80}\n"))
	f.await("the port to open", func() error { return f.reaches("h1", lanAddress, "80") })
	t.Logf("security-group update to the first packet let through: %s", time.Since(began))
	f.must("security-group", "update", "quiet", "-f", f.rulesFile("rules:\n  - {protocol: tcp, ports: 80, action: drop, remote: "+peerAddress+", priority: 1}\n  - {protocol: tcp, ports: 80}\n"))
	f.await("the port to close for the stranger", func() error {
		if f.reaches("h1", lanAddress, "80") == nil {
			return &lacking{"a connection"}
		}
		return nil
	})

	f.must("vm", "delete", "web-1", "--force", "--yes")
	f.must(createArgsOn("web-2", "network="+lan+",address="+lanAddress)...)
	f.booted("web-2")
	f.guestHas("web-2", lanAddress) // although the one before said no good-bye to the DHCP server
	f.must("vm", "delete", "web-2", "--force", "--yes")
	f.must("security-group", "delete", "quiet", "--yes")
	f.must("network", "delete", lan, "--yes")
	f.await("all to be gone", func() error {
		if seen := f.virsh("h1", "net-list", "--all", "--uuid") + f.virsh("h1", "nwfilter-list"); seen != foreignNetworks+foreignFilters {
			return &lacking{seen}
		}
		return nil
	})
	f.requireNothing("h1")
}

// createArgsOn are for a machine with one card.
func createArgsOn(name, nic string) []string {
	args := createArgs(name, "--nic", nic)
	for i, arg := range args {
		if arg == "--network" {
			return append(args[:i:i], args[i+2:]...)
		}
	}
	return args
}

// guestHas waits until a guest tells, through its agent, that it has an address.
func (f *fleet) guestHas(name, address string) {
	f.t.Helper()
	f.await(name+" to have "+address, func() error {
		if out := f.CLI(f.ctx, "vm", "guest", name); !strings.Contains(out.Out, address) {
			return &lacking{out.Out + out.Err}
		}
		return nil
	})
}
