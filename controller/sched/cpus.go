package sched

import (
	"cmp"
	"slices"
)

// CPUNode is a NUMA node of a host: its cores, each with the logical CPUs that share it.
type CPUNode struct {
	ID    int
	Cores [][]int
}

// CPUGroup are virtual CPUs of a machine, counted from 0, that belong near each other.
type CPUGroup struct {
	VCPUs []int
	// Nodes are the only NUMA nodes allowed; empty means any.
	Nodes []int
}

// CPUNeed is what a machine wants of its host's processors beyond a share. The zero value wants nothing.
type CPUNeed struct {
	// Dedicated wants a logical CPU of its own for each virtual CPU.
	Dedicated bool
	// Groups divide the virtual CPUs of a dedicated machine; they are chosen for one after the other.
	Groups []CPUGroup
	// Own are the CPUs that a dedicated machine asks for by number, by virtual CPU; empty leaves the choice to ChooseCPUs.
	Own []int
	// Shared are CPUs that the machine is tied to together with others.
	Shared []int
}

// Reserved is how much of a host's promised CPUs its dedicated logical CPUs take: their part of the overcommitted capacity,
// so that the rest carries no more floating CPUs each than before. It is never less than own.
func Reserved(capacity, cpus, own int64) int64 {
	if cpus <= 0 {
		return own
	}
	return max(own, (capacity*own+cpus-1)/cpus)
}

// cpus counts the host's logical CPUs.
func (h *Host) cpus() (n int64) {
	for _, node := range h.Nodes {
		for _, core := range node.Cores {
			n += int64(len(core))
		}
	}
	return n
}

// need is what the request takes of this host.
func (h *Host) need(request *Request) Resources {
	need := request.Need
	if request.CPU.Dedicated {
		own, all := int64(len(h.Own)), h.cpus()
		need.CPUs = Reserved(h.Capacity.CPUs, all, own+request.Need.CPUs) - Reserved(h.Capacity.CPUs, all, own)
	}
	return need
}

// ownCPUs are the CPUs that a dedicated machine gets on the host, by virtual CPU; ok is false where the host cannot give
// them. Without a wish there are none. No CPU comes that another machine has for its own or is tied to.
func (h *Host) ownCPUs(request *Request) (own []int, ok bool) {
	if !request.CPU.Dedicated {
		return nil, true
	}
	taken := slices.Concat(h.Own, h.Pinned)
	if len(request.CPU.Own) > 0 {
		return request.CPU.Own, h.has(request.CPU.Own) && disjoint(request.CPU.Own, taken)
	}
	return ChooseCPUs(h.Nodes, taken, int(request.Need.CPUs), request.CPU.Groups)
}

// has tells whether all CPUs are the host's.
func (h *Host) has(cpus []int) bool {
	all := map[int]bool{}
	for _, node := range h.Nodes {
		for _, core := range node.Cores {
			for _, cpu := range core {
				all[cpu] = true
			}
		}
	}
	return !slices.ContainsFunc(cpus, func(cpu int) bool { return !all[cpu] })
}

func disjoint(a, b []int) bool {
	return !slices.ContainsFunc(a, func(n int) bool { return slices.Contains(b, n) })
}

// ChooseCPUs gives n virtual CPUs a logical CPU each that is not taken, by virtual CPU; ok is false where there are too few.
// Each group lies on the fewest NUMA nodes possible, in the one that it fills best, whole cores first and siblings side by
// side. Equal inputs give equal choices. The groups that allow the fewest nodes choose first; that is greedy, so groups
// whose nodes overlap in part may miss a choice that exists.
func ChooseCPUs(nodes []CPUNode, taken []int, n int, groups []CPUGroup) (own []int, ok bool) {
	if len(groups) == 0 {
		groups = []CPUGroup{{VCPUs: upTo(n)}}
	}
	own, taken = make([]int, n), slices.Clone(taken)
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, func(a, b CPUGroup) int { return cmp.Compare(narrowness(a), narrowness(b)) })
	for _, group := range groups {
		chosen := near(allowed(nodes, group.Nodes), taken, len(group.VCPUs))
		if chosen == nil && len(group.VCPUs) > 0 {
			return nil, false
		}
		for i, vcpu := range group.VCPUs {
			own[vcpu] = chosen[i]
		}
		taken = append(taken, chosen...)
	}
	return own, true
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// narrowness orders groups: those that may lie anywhere come last.
func narrowness(g CPUGroup) int {
	if len(g.Nodes) == 0 {
		return 1 << 20
	}
	return len(g.Nodes)
}

func allowed(nodes []CPUNode, ids []int) []CPUNode {
	if len(ids) == 0 {
		return nodes
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n CPUNode) bool { return !slices.Contains(ids, n.ID) })
}

// near takes n free CPUs from the fewest nodes: the emptiest in whole, then, for the rest, the fullest that has enough.
func near(nodes []CPUNode, taken []int, n int) (chosen []int) {
	var free [][]int
	for _, node := range nodes {
		free = append(free, freeCPUs(node, taken))
	}
	slices.SortStableFunc(free, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })
	for len(free) > 0 && len(free[0]) < n {
		chosen, n, free = append(chosen, free[0]...), n-len(free[0]), free[1:]
	}
	if len(free) == 0 {
		return nil
	}
	best := free[0]
	for _, cpus := range free[1:] {
		if len(cpus) >= n && len(cpus) < len(best) {
			best = cpus
		}
	}
	return append(chosen, best[:n]...)
}

// freeCPUs lists the free CPUs of a node: cores that are free as a whole, then what is left of the others.
func freeCPUs(node CPUNode, taken []int) []int {
	var whole, rest []int
	for _, core := range node.Cores {
		free := slices.DeleteFunc(slices.Clone(core), func(cpu int) bool { return slices.Contains(taken, cpu) })
		if len(free) == len(core) {
			whole = append(whole, free...)
		} else {
			rest = append(rest, free...)
		}
	}
	return append(whole, rest...)
}
