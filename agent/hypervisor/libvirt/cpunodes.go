//go:build cgo && libvirt_dlopen

package libvirt

import (
	"cmp"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

// cpuNodes reads the host's processors. Where libvirt does not tell more, they are one node of single CPUs.
func cpuNodes(caps libvirtxml.Caps, cpus int) []hypervisor.CPUNode {
	if caps.Host.NUMA == nil || caps.Host.NUMA.Cells == nil {
		return hypervisor.OneNode(cpus)
	}
	var nodes []hypervisor.CPUNode
	for _, cell := range caps.Host.NUMA.Cells.Cells {
		if cell.CPUS != nil && len(cell.CPUS.CPUs) > 0 {
			nodes = append(nodes, hypervisor.CPUNode{ID: cell.ID, Cores: cores(cell.CPUS.CPUs)})
		}
	}
	if nodes == nil {
		return hypervisor.OneNode(cpus)
	}
	return nodes
}

// cores groups CPUs by their siblings. One that is switched off is not listed, and counts for nothing.
func cores(cpus []libvirtxml.CapsHostNUMACPU) [][]int {
	var all [][]int
	here := func(id int) bool {
		return slices.ContainsFunc(cpus, func(c libvirtxml.CapsHostNUMACPU) bool { return c.ID == id })
	}
	for _, cpu := range cpus {
		siblings, err := vm.ParseSet(cpu.Siblings)
		siblings = slices.DeleteFunc(siblings, func(id int) bool { return !here(id) })
		if err != nil || len(siblings) == 0 {
			siblings = []int{cpu.ID}
		}
		if siblings[0] == cpu.ID {
			all = append(all, siblings)
		}
	}
	slices.SortFunc(all, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return all
}
