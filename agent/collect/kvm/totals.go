package kvm

import (
	"context"
	"errors"
	"fmt"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
)

// totals are what the machines of a host come to.
type totals struct {
	byState            map[string]float64
	vcpus, memoryBytes float64
}

func (t *totals) add(s *hypervisor.DomainStats) {
	if t.byState == nil {
		t.byState = map[string]float64{}
	}
	number, known := s.Values["state.state"]
	t.byState[stateName(number, known)]++
	if isUp(s) {
		t.vcpus += s.Values["vcpu.current"]
		t.memoryBytes += s.Values["balloon.current"] * kib
	}
}

func (t *totals) tell(b *batch, host string) {
	labels := map[string]string{"host": host}
	for _, state := range allStates {
		b.add("host_vms", collect.Libvirt, with(labels, "state", state), t.byState[state])
	}
	b.add("host_vcpus_allocated", collect.Libvirt, labels, t.vcpus)
	b.add("host_memory_allocated_bytes", collect.Libvirt, labels, t.memoryBytes)
}

// pools tells how full the storage pools are.
func (b *batch) pools(ctx context.Context, c *Collector) {
	pools, err := ask(ctx, &c.asked, "pools", c.cfg.PatienceEach, c.cfg.Hypervisor.PoolStats)
	if err != nil && !errors.Is(err, hypervisor.ErrUnsupported) {
		b.err = errors.Join(b.err, fmt.Errorf("storage pools: %w", err))
	}
	for _, p := range pools {
		labels := map[string]string{"host": c.cfg.Host, "pool": p.Name}
		b.add("host_storage_pool_capacity_bytes", collect.Libvirt, labels, float64(p.CapacityBytes))
		b.add("host_storage_pool_allocation_bytes", collect.Libvirt, labels, float64(p.AllocationBytes))
		b.add("host_storage_pool_available_bytes", collect.Libvirt, labels, float64(p.AvailBytes))
	}
}
