package state

import (
	"fmt"
	"slices"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// cpusOf lists the logical CPUs of a host, as far as it tells them.
func cpusOf(host *statev1.HostRecord) (all []uint32) {
	for _, node := range host.GetInfo().GetCpuNodes() {
		for _, core := range node.GetCores() {
			all = append(all, core.GetCpus()...)
		}
	}
	return all
}

// reserved is how much of the promised CPUs of a host its dedicated ones take: their part of the overcommitted capacity,
// never less than they are.
func reserved(host *statev1.HostRecord, own uint64) uint64 {
	cpus, capacity := uint64(len(cpusOf(host))), uint64(host.GetInfo().GetCapacity().GetCpus())
	if cpus == 0 {
		return own
	}
	return max(own, (capacity*own+cpus-1)/cpus)
}

// needsOn is what a machine would reserve on a host besides those that are there.
func (t *tables) needsOn(host *statev1.HostRecord, spec *novacronv1.VMSpec) *novacronv1.Resources {
	need := Needs(spec)
	if spec.GetCpu().GetDedicated() {
		own := t.dedicated(host.GetId())
		need.Cpus = uint32(reserved(host, own+uint64(spec.GetCpus())) - reserved(host, own))
	}
	return need
}

// dedicated counts the CPUs of a host that belong to one machine each.
func (t *tables) dedicated(hostID string) (own uint64) {
	for vm := range t.vmsOf(hostID) {
		if vm.GetSpec().GetCpu().GetDedicated() {
			own += uint64(vm.GetSpec().GetCpus())
		}
	}
	return own
}

// tieable checks the CPUs that a plan ties a machine to: a dedicated machine gets one of its own for each virtual CPU, and
// nobody is tied to a CPU that is another's own.
func (t *tables) tieable(host *statev1.HostRecord, spec *novacronv1.VMSpec, cpus *novacronv1.HostCPUs) error {
	want := 0
	if spec.GetCpu().GetDedicated() {
		want = int(spec.GetCpus())
	}
	own := slices.Compact(slices.Sorted(slices.Values(cpus.GetOwn())))
	if len(own) != want || len(cpus.GetOwn()) != want {
		return fmt.Errorf("%w: virtual machine %s needs %d CPUs of its own, the plan gives it %v", ErrStale, spec.GetName(), want, cpus.GetOwn())
	}
	there := cpusOf(host)
	for _, cpu := range own {
		if !slices.Contains(there, cpu) {
			return fmt.Errorf("%w: host %s has no CPU %d", ErrStale, host.GetId(), cpu)
		}
	}
	for other := range t.vmsOf(host.GetId()) {
		theirs := other.GetHostCpus()
		if meets(own, theirs.GetOwn()) || meets(own, theirs.GetShared()) || meets(cpus.GetShared(), theirs.GetOwn()) {
			return fmt.Errorf("%w: CPUs of host %s that the plan gives to %s are virtual machine %s's", ErrStale, host.GetId(), spec.GetName(), other.GetSpec().GetName())
		}
	}
	return nil
}

func meets(a, b []uint32) bool {
	return slices.ContainsFunc(a, func(n uint32) bool { return slices.Contains(b, n) })
}
