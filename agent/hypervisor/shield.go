package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// Shield keeps the machines that nobody has tied to CPUs off those that running dedicated machines have for their own,
// and lets them go everywhere again once these have stopped. What it does lasts as long as a machine runs. It never
// touches foreign domains. All machines are tried; the error tells of each that could not be tied.
func (m *Manager) Shield(ctx context.Context) error {
	domains, err := m.driver.Domains(ctx)
	if err != nil {
		return err
	}
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, tie := range m.ties(domains, facts.cpuNumbers()) {
		if err := m.driver.TieCPUs(ctx, tie.id, tie.cpus); ignoreNotFound(err) != nil {
			failures = append(failures, fmt.Errorf("tie %s to the CPUs %v: %w", tie.id, tie.cpus, err))
		}
	}
	return errors.Join(failures...)
}

// tie is a running machine with the host's CPUs that it is to run on.
type tie struct {
	id   string
	cpus []int
}

// ties are what has to change for running machines that float.
func (m *Manager) ties(domains []Domain, all []int) (changes []tie) {
	floats := map[string]*libvirtxml.Domain{}
	var owned []int
	for _, d := range domains {
		meta, ours := m.claim(d)
		var x libvirtxml.Domain
		if !ours || d.State.Off() || x.Unmarshal(d.XML) != nil {
			continue
		}
		switch {
		case meta.Definition.CPU.Dedicated:
			owned = append(owned, pinsOf(&x)...)
		case floatsFree(meta.Definition):
			floats[d.ID] = &x
		}
	}
	free := without(all, owned)
	for _, id := range slices.Sorted(maps.Keys(floats)) {
		if !tied(floats[id], free, all) {
			changes = append(changes, tie{id, free})
		}
	}
	return changes
}

// tied tells whether every virtual CPU and the emulator of a domain run on some CPUs of all that the host has. One that is
// tied to nothing runs on all: a change that was cut off leaves such.
func tied(x *libvirtxml.Domain, to, all []int) bool {
	var emulator string
	vcpus := map[uint]string{}
	if tune := x.CPUTune; tune != nil {
		for _, pin := range tune.VCPUPin {
			vcpus[pin.VCPU] = pin.CPUSet
		}
		if tune.EmulatorPin != nil {
			emulator = tune.EmulatorPin.CPUSet
		}
	}
	on := func(text string) bool {
		if text == "" {
			return slices.Equal(all, to)
		}
		set, err := vm.ParseSet(text)
		return err == nil && slices.Equal(set, to)
	}
	for vcpu := uint(0); x.VCPU != nil && vcpu < x.VCPU.Value; vcpu++ {
		if !on(vcpus[vcpu]) {
			return false
		}
	}
	return on(emulator)
}

// floatsFree tells machines whose CPUs the host chooses.
func floatsFree(def *VMDefinition) bool { return !def.CPU.Dedicated && len(def.CPU.Pinning) == 0 }

// without leaves out what belongs to others; all stays where nothing would be left.
func without(all, owned []int) []int {
	free := slices.DeleteFunc(slices.Clone(all), func(cpu int) bool { return slices.Contains(owned, cpu) })
	if len(free) == 0 {
		return all
	}
	return free
}

// cpuNumbers are the host's logical CPUs in order.
func (f HostFacts) cpuNumbers() (all []int) {
	for _, node := range f.CPUNodes {
		all = append(all, slices.Concat(node.Cores...)...)
	}
	if len(all) == 0 {
		for cpu := range f.CPUs {
			all = append(all, cpu)
		}
	}
	slices.Sort(all)
	return all
}
