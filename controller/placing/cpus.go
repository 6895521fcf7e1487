package placing

import (
	"cmp"
	"slices"

	"github.com/novacron/novacron/controller/sched"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// nodesOf are a host's processors in the scheduler's terms.
func nodesOf(info *novacronv1.HostInfo) []sched.CPUNode {
	var nodes []sched.CPUNode
	for _, node := range info.GetCpuNodes() {
		one := sched.CPUNode{ID: int(node.GetId())}
		for _, core := range node.GetCores() {
			one.Cores = append(one.Cores, ints(core.GetCpus()))
		}
		nodes = append(nodes, one)
	}
	return nodes
}

// cpuNeedOf is what a definition, which has been checked, wants of the host's processors by number.
func cpuNeedOf(spec *novacronv1.VMSpec) sched.CPUNeed {
	cpu := spec.GetCpu()
	need := sched.CPUNeed{Dedicated: cpu.GetDedicated(), Groups: groupsOf(spec)}
	pins := slices.SortedFunc(slices.Values(cpu.GetPinning()), func(a, b *novacronv1.CPUPin) int { return cmp.Compare(a.GetVcpu(), b.GetVcpu()) })
	for _, pin := range pins {
		if need.Dedicated {
			need.Own = append(need.Own, numbersIn(pin.GetHostCpus())...)
		} else {
			need.Shared = append(need.Shared, numbersIn(pin.GetHostCpus())...)
		}
	}
	need.Shared = append(need.Shared, numbersIn(cpu.GetEmulatorCpus())...)
	need.Shared = slices.DeleteFunc(need.Shared, func(n int) bool { return slices.Contains(need.Own, n) })
	slices.Sort(need.Shared)
	need.Shared = slices.Compact(need.Shared)
	return need
}

// groupsOf divides the virtual CPUs of a dedicated machine by its NUMA cells.
func groupsOf(spec *novacronv1.VMSpec) []sched.CPUGroup {
	if !spec.GetCpu().GetDedicated() {
		return nil
	}
	var groups []sched.CPUGroup
	for _, cell := range spec.GetCpu().GetNuma() {
		groups = append(groups, sched.CPUGroup{VCPUs: numbersIn(cell.GetCpus()), Nodes: numbersIn(cell.GetHostNodes())})
	}
	return groups
}

// numbersIn reads a set; an empty one is empty.
func numbersIn(text string) []int {
	set, _ := vm.ParseSet(text) // checked with the definition
	return set
}

// HostCPUs are the CPUs that a decision ties a machine to; nil where it ties it to none.
func HostCPUs(decision sched.Decision, request *sched.Request) *novacronv1.HostCPUs {
	if len(decision.OwnCPUs) == 0 && len(request.CPU.Shared) == 0 {
		return nil
	}
	return &novacronv1.HostCPUs{Own: uints(decision.OwnCPUs), Shared: uints(request.CPU.Shared)}
}

// WithPins is the definition with a pin for each virtual CPU that has a CPU of its own.
func WithPins(spec *novacronv1.VMSpec, cpus *novacronv1.HostCPUs) *novacronv1.VMSpec {
	definition := vm.FromProto(spec)
	definition.CPU = definition.CPU.PinnedTo(ints(cpus.GetOwn()))
	return vm.ToProto(definition)
}

func ints(numbers []uint32) []int {
	var all []int
	for _, n := range numbers {
		all = append(all, int(n))
	}
	return all
}

func uints(numbers []int) []uint32 {
	var all []uint32
	for _, n := range numbers {
		all = append(all, uint32(n))
	}
	return all
}
