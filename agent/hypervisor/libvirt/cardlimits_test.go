//go:build cgo && libvirt_dlopen

package libvirt

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

// limitsProbe sets up what libvirt does for a limited card: classes with fair queues for what goes in, a police action
// for what comes out.
const limitsProbe = `ip tuntap add dev probe mode tap && trap 'ip link delete probe' EXIT
tc qdisc add dev probe root handle 1: htb && tc class add dev probe parent 1: classid 1:1 htb rate 1mbps &&
tc qdisc add dev probe parent 1:1 handle 2: sfq && tc qdisc add dev probe ingress &&
tc filter add dev probe parent ffff: protocol all u32 match u32 0 0 police rate 1mbps burst 10kb drop flowid :1`

// noCardLimits says why cards cannot be limited on a host; empty means that they can.
func noCardLimits(t *testing.T, host *lab.Host) string {
	t.Helper()
	out, err := host.Output(t.Context(), "sh", "-c", "exec 2>&1\n"+limitsProbe)
	if err == nil {
		return ""
	}
	return "the kernel lacks what libvirt limits cards by: tc says: " + strings.TrimSpace(out)
}

// interfaceLimits are the limits that libvirt says a card has, in its definition or in the running domain.
func interfaceLimits(t *testing.T, d *Driver, id, card string, of lv.DomainModificationImpact) (all lv.DomainInterfaceParameters) {
	t.Helper()
	require.NoError(t, act(t.Context(), d, id, func(dom *lv.Domain) error {
		found, err := dom.GetInterfaceParameters(card, of)
		if err == nil {
			all = *found
		}
		return err
	}))
	return all
}

func requireLimits(t *testing.T, want vm.NICQoS, has lv.DomainInterfaceParameters) {
	t.Helper()
	require.EqualValues(t, want.Inbound.AverageKBps, has.BandwidthInAverage)
	require.EqualValues(t, want.Inbound.PeakKBps, has.BandwidthInPeak)
	require.EqualValues(t, want.Inbound.BurstKB, has.BandwidthInBurst)
	require.EqualValues(t, want.Outbound.AverageKBps, has.BandwidthOutAverage)
}

// TestCardsAreLimited looks at the limits of a card where they are: in libvirt's parameters of the definition and of the
// running domain, and in the kernel's class of the card. A kernel that cannot limit refuses, and nothing half done stays.
func TestCardsAreLimited(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{}).(*Driver)
	m := labManager(t, d, t.TempDir(), nil)
	order := labOrder(newLabImages(t, guest))
	limits := vm.NICQoS{Inbound: vm.Bandwidth{AverageKBps: 100, PeakKBps: 200, BurstKB: 64}, Outbound: vm.Bandwidth{AverageKBps: 300}}
	card := &order.Definition.NetworkInterfaces[0]
	card.QoS, order.Start = limits, false
	id, err := m.Create(t.Context(), order)
	require.NoError(t, err)
	requireLimits(t, limits, interfaceLimits(t, d, id, card.MAC, lv.DOMAIN_AFFECT_CONFIG))
	if why := noCardLimits(t, host); why != "" {
		requireRefused(t, host, d, m, id, limits)
		t.Skip(why)
	}
	require.NoError(t, m.Start(t.Context(), id))
	requireLimits(t, limits, interfaceLimits(t, d, id, card.MAC, lv.DOMAIN_AFFECT_LIVE))
	require.Contains(t, classes(t, host), "rate 800Kbit ceil 1600Kbit")
	next := vm.Clone(*order.Definition)
	next.NetworkInterfaces[0].QoS.Inbound.AverageKBps = 150
	require.NoError(t, m.Reshape(t.Context(), &next))
	requireLimits(t, next.NetworkInterfaces[0].QoS, interfaceLimits(t, d, id, card.MAC, lv.DOMAIN_AFFECT_LIVE))
	require.Contains(t, classes(t, host), "rate 1200Kbit ceil 1600Kbit")
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Empty(t, leftovers(t, d))
}

// requireRefused has a kernel without fair queues: neither does a limited guest start, nor is one limited that runs.
func requireRefused(t *testing.T, host *lab.Host, d *Driver, m *hypervisor.Manager, id string, limits vm.NICQoS) {
	t.Helper()
	require.ErrorContains(t, m.Start(t.Context(), id), "tc ", "it says what was refused")
	machines, err := m.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateStopped, machines[0].State)
	unlimited := vm.Clone(*machines[0].Definition)
	card := &unlimited.NetworkInterfaces[0]
	card.QoS = vm.NICQoS{}
	require.NoError(t, m.Reshape(t.Context(), &unlimited))
	require.NoError(t, m.Start(t.Context(), id))
	limited := vm.Clone(unlimited)
	limited.NetworkInterfaces[0].QoS = limits
	require.ErrorContains(t, m.Reshape(t.Context(), &limited), "tc ")
	if made := classes(t, host); made != "" {
		require.Contains(t, made, "rate 800Kbit ceil 1600Kbit", "the step before the one that was refused")
	}
	requireLimits(t, vm.NICQoS{}, interfaceLimits(t, d, id, card.MAC, lv.DOMAIN_AFFECT_LIVE))
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Empty(t, leftovers(t, d))
}

// classes are the traffic classes of the only guest's card.
func classes(t *testing.T, host *lab.Host) string {
	t.Helper()
	out, err := host.Output(t.Context(), "sh", "-c", `for card in $(ls /sys/class/net | grep '^vnet'); do tc class show dev "$card"; done`)
	require.NoError(t, err)
	return out
}
