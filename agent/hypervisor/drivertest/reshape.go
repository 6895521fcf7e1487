package drivertest

import (
	"cmp"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

const (
	reshapeDisk   = "vda"
	reshapeVolume = "contract-shape.qcow2"
	reshapeMAC    = "52:54:00:c0:17:ac"
	otherMAC      = "52:54:00:c0:17:ad"
	reshapeFilter = "clean-traffic"
)

// reshapes change a machine that is stopped, that runs, and that is stopped again: what was set without a guest is what it
// starts with, and what was set with one stays.
func (g Target) reshapes(t *testing.T) {
	g.need(t, Reshape)
	g.volume(t, hypervisor.VolumeSpec{Name: reshapeVolume, Format: "qcow2", CapacityBytes: 1 << 20})
	id := g.guestWith(t, "contract-shape", func(def *vm.Definition) {
		def.CPUs, def.CPU.Max, def.MemoryMB = 1, 3, 192
		def.Volumes = []vm.Volume{{Name: "shape", Bus: vm.BusVirtio, Pool: g.Pool, Source: reshapeVolume, Format: "qcow2"}}
		def.NetworkInterfaces = []vm.NetworkInterface{{Network: g.Network, MAC: reshapeMAC}}
	})
	first := shape{cpus: 2, memoryMB: 160, iops: 500, filter: reshapeFilter}
	g.set(t, id, first)
	g.requireShape(t, id, first)
	g.starts(t, id)
	g.requireShape(t, id, first)
	second := shape{cpus: 3, memoryMB: 128, iops: 700}
	g.set(t, id, second)
	g.requireShape(t, id, second)
	g.grows(t, id)
	g.refuses(t, id)
	require.NoError(t, g.Driver.EditDefinition(t.Context(), id, func(x *libvirtxml.Domain) error { x.OnCrash = "restart"; return nil }))
	require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	g.requireShape(t, id, second)
	require.Equal(t, "restart", g.described(t, id).OnCrash, "the next start takes it")
	third := shape{cpus: 1, memoryMB: 192, filter: reshapeFilter}
	g.set(t, id, third)
	g.requireShape(t, id, third)
}

// starts has a guest running, and up where its console tells that: only then it gives memory back.
func (g Target) starts(t *testing.T, id string) {
	t.Helper()
	if _, missing := g.Missing[Console]; missing {
		require.NoError(t, g.Driver.Start(t.Context(), id))
		return
	}
	require.NoError(t, g.boot(t, id, 2).Close())
}

// shape is what of a machine can be changed while it runs.
type shape struct {
	cpus, memoryMB, iops int
	filter               string
}

// set changes everything twice: what is so already is no error.
func (g Target) set(t *testing.T, id string, s shape) {
	t.Helper()
	ctx := t.Context()
	var limits *libvirtxml.DomainDiskIOTune
	if s.iops > 0 {
		limits = &libvirtxml.DomainDiskIOTune{TotalIopsSec: uint64(s.iops)}
	}
	for range 2 {
		require.NoError(t, g.Driver.SetCPUs(ctx, id, s.cpus))
		require.NoError(t, g.Driver.SetMemory(ctx, id, s.memoryMB))
		require.NoError(t, g.Driver.LimitDisk(ctx, id, reshapeDisk, limits))
		require.NoError(t, g.Driver.EditCard(ctx, id, reshapeMAC, func(card *libvirtxml.DomainInterface) { card.FilterRef = filterRef(s.filter) }))
	}
}

func filterRef(name string) *libvirtxml.DomainInterfaceFilterRef {
	if name == "" {
		return nil
	}
	return &libvirtxml.DomainInterfaceFilterRef{Filter: name}
}

// cardLimits are set on a card while its guest runs, and taken off again.
func (g Target) cardLimits(t *testing.T) {
	g.need(t, Reshape)
	g.need(t, CardLimits)
	id := g.guestWith(t, "contract-limits", func(def *vm.Definition) {
		def.NetworkInterfaces = []vm.NetworkInterface{{Network: g.Network, MAC: reshapeMAC}}
	})
	require.NoError(t, g.Driver.Start(t.Context(), id))
	for _, kbps := range []int{100, 200, 0} {
		var want *libvirtxml.DomainInterfaceBandwidth
		if kbps > 0 {
			limit := &libvirtxml.DomainInterfaceBandwidthParams{Average: &kbps}
			want = &libvirtxml.DomainInterfaceBandwidth{Inbound: limit, Outbound: limit}
		}
		require.NoError(t, g.Driver.EditCard(t.Context(), id, reshapeMAC, func(card *libvirtxml.DomainInterface) { card.Bandwidth = want }))
		require.Equal(t, want, hypervisor.CardAt(g.described(t, id), reshapeMAC).Bandwidth)
	}
}

func (g Target) described(t *testing.T, id string) *libvirtxml.Domain {
	t.Helper()
	seen, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	x := &libvirtxml.Domain{}
	require.NoError(t, x.Unmarshal(seen.XML))
	return x
}

func (g Target) requireShape(t *testing.T, id string, want shape) {
	t.Helper()
	// A guest gives memory back when it gets to it.
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want.memoryMB, g.memoryMB(t, id), "MiB") }, g.Patience, poll)
	x := g.described(t, id)
	require.EqualValues(t, 3, x.VCPU.Value)
	require.EqualValues(t, want.cpus, cmp.Or(x.VCPU.Current, x.VCPU.Value), "all of them is not written down")
	disk := hypervisor.DiskAt(x, reshapeDisk)
	if tune := disk.IOTune; want.iops > 0 {
		require.EqualValues(t, want.iops, tune.TotalIopsSec)
	} else {
		require.True(t, tune == nil || tune.TotalIopsSec == 0)
	}
	require.Equal(t, filterRef(want.filter), hypervisor.CardAt(x, reshapeMAC).FilterRef)
}

func (g Target) memoryMB(t *testing.T, id string) int {
	has := g.described(t, id).CurrentMemory
	if has.Unit == "MiB" {
		return int(has.Value)
	}
	require.Equal(t, "KiB", has.Unit)
	return int(has.Value >> 10)
}

// grows makes the disk of a running guest larger, and never smaller.
func (g Target) grows(t *testing.T, id string) {
	t.Helper()
	for range 2 {
		require.NoError(t, g.Driver.GrowDisk(t.Context(), id, reshapeDisk, 2<<20))
	}
	require.ErrorContains(t, g.Driver.GrowDisk(t.Context(), id, reshapeDisk, 1<<20), "never shrinks")
	require.Eventually(t, func() bool {
		seen, err := g.Driver.Volume(t.Context(), g.Pool, reshapeVolume)
		return err == nil && seen.CapacityBytes == 2<<20
	}, g.Patience, poll)
}

// refuses asks for what there is not.
func (g Target) refuses(t *testing.T, id string) {
	t.Helper()
	ctx, nobody := t.Context(), uuid.NewString()
	require.Error(t, g.Driver.SetCPUs(ctx, id, 4), "more than the most")
	edit := func(*libvirtxml.DomainInterface) {}
	require.ErrorIs(t, g.Driver.EditCard(ctx, id, otherMAC, edit), hypervisor.ErrNotFound)
	for name, err := range map[string]error{
		"EditDefinition": g.Driver.EditDefinition(ctx, nobody, func(*libvirtxml.Domain) error { return nil }),
		"SetCPUs":        g.Driver.SetCPUs(ctx, nobody, 1),
		"SetMemory":      g.Driver.SetMemory(ctx, nobody, 64),
		"GrowDisk":       g.Driver.GrowDisk(ctx, nobody, reshapeDisk, 1),
		"LimitDisk":      g.Driver.LimitDisk(ctx, nobody, reshapeDisk, nil),
		"EditCard":       g.Driver.EditCard(ctx, nobody, reshapeMAC, edit),
	} {
		require.ErrorIs(t, err, hypervisor.ErrNotFound, name)
	}
	unsure := errors.New("no edit after all")
	require.ErrorIs(t, g.Driver.EditDefinition(ctx, id, func(x *libvirtxml.Domain) error { x.Title = "nobody's"; return unsure }), unsure)
	require.Empty(t, g.described(t, id).Title, "an edit that fails changes nothing")
}
