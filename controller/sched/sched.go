// Package sched chooses hosts for virtual machines: filter, score, place, as pure functions on plain structs.
package sched

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Resources are vCPUs, MiB of memory and GiB of disk.
type Resources struct{ CPUs, MemoryMB, DiskGB int64 }

// Host is what the scheduler knows of a hypervisor. Capacity is what may be promised, overcommit included.
type Host struct {
	ID, Name string
	Up       bool
	Arch     string
	Capacity Resources
	Used     Resources
	Labels   map[string]string
	Pools    []string
	Networks []string
	Bridges  []string
	Machines []string
	Firmware []string
	// Draining hosts take no more machines.
	Draining bool
	// Nodes are the processors; empty means unknown, and no dedicated machine fits. Own are the logical CPUs that belong to
	// one machine each, Pinned those that machines are tied to otherwise.
	Nodes       []CPUNode
	Own, Pinned []int
	// Guests are the labels of each virtual machine that the host owns.
	Guests []map[string]string
}

// Request is what a virtual machine needs of its host. Empty fields ask for nothing.
type Request struct {
	ID       string
	Arch     string
	Need     Resources
	Host     string
	Labels   map[string]string
	Pools    []string
	Networks []string
	Bridges  []string
	Machine  string
	Firmware string
	CPU      CPUNeed
	// Volumes are volumes that stand alone and that the machine uses: it runs where they lie.
	Volumes []Volume
	// NotHosts are names or ids of hosts that are not allowed.
	NotHosts []string
	// Own are the labels of the virtual machine itself.
	Own map[string]string
	// Affinity are labels of virtual machines that must be on the same host, AntiAffinity of those that must not. The first
	// of a group that wants to be together may go anywhere.
	Affinity, AntiAffinity map[string]string
}

// Volume is a volume on a host.
type Volume struct{ Name, HostID, HostName string }

// Decision is the host for a request or, without one, why there is none.
type Decision struct {
	Request string
	Host    string
	// OwnCPUs are the host's logical CPUs of a dedicated machine, by virtual CPU.
	OwnCPUs []int
	Refusal Refusal
}

// Refusal counts, for a request that fits nowhere, the hosts that each filter turned down. A host is counted once, at
// the first filter that it fails.
type Refusal struct {
	Hosts  int
	Counts map[string]int
	// Needs is what was asked for, by the same reasons.
	Needs map[string]string
}

// String is such as «no host fits: of 3 hosts, 2 refused by memory (64 MiB asked for), 1 by label (disk=ssd asked for)».
func (r Refusal) String() string {
	if r.Hosts == 0 {
		return "no host fits: the cluster has no hosts: join one with a token of role agent"
	}
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		reason := fmt.Sprintf("%d by %s", r.Counts[name], name)
		if need := r.Needs[name]; need != "" {
			reason += fmt.Sprintf(" (%s asked for)", need)
		}
		reasons = append(reasons, reason)
	}
	return fmt.Sprintf("no host fits: of %d hosts, refused %s", r.Hosts, strings.Join(reasons, ", "))
}

// Place decides for all requests in order. What it places counts for those that follow, in its own copy of what the hosts
// hold: hosts is not changed. Among the hosts that pass every filter the fullest wins (best fit), the name breaks ties,
// so equal inputs give equal decisions. It costs one pass over the hosts per request, and over their guests where the
// request cares for them.
func Place(hosts []Host, requests []Request) []Decision {
	hosts = slices.Clone(hosts)
	decisions := make([]Decision, len(requests))
	for i := range requests {
		best, refusal := pick(hosts, &requests[i])
		decisions[i] = Decision{Request: requests[i].ID, Refusal: refusal}
		if best >= 0 {
			own, _ := hosts[best].ownCPUs(&requests[i]) // a filter has seen that there are enough
			decisions[i] = Decision{Request: requests[i].ID, Host: hosts[best].ID, OwnCPUs: own}
			hosts[best] = hosts[best].with(&requests[i])
		}
	}
	return decisions
}

// with is the host with one more guest.
func (h Host) with(request *Request) Host {
	own, _ := h.ownCPUs(request)
	h.Used = h.Used.plus(h.need(request))
	h.Own, h.Pinned = slices.Concat(h.Own, own), slices.Concat(h.Pinned, request.CPU.Shared)
	h.Guests = append(slices.Clip(h.Guests), request.Own)
	return h
}

func pick(hosts []Host, request *Request) (int, Refusal) {
	best, bestScore := -1, 0.0
	refusal := Refusal{Hosts: len(hosts), Counts: map[string]int{}}
	first := firstOfItsKind(hosts, request)
	for i := range hosts {
		if reason := refuse(&hosts[i], request, first); reason != "" {
			refusal.Counts[reason]++
			continue
		}
		score := fullness(hosts[i].Capacity, hosts[i].Used.plus(hosts[i].need(request)))
		if best < 0 || score > bestScore || score == bestScore && hosts[i].Name < hosts[best].Name {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		refusal.Needs = asked(request)
	}
	return best, refusal
}

// firstOfItsKind tells whether a request that wants to be with its like is the first of them.
func firstOfItsKind(hosts []Host, request *Request) bool {
	if len(request.Affinity) == 0 || !hasLabels(request.Own, request.Affinity) {
		return false
	}
	for i := range hosts {
		if hosts[i].holds(request.Affinity) {
			return false
		}
	}
	return true
}

// holds tells whether a guest of the host has the labels.
func (h *Host) holds(labels map[string]string) bool {
	return slices.ContainsFunc(h.Guests, func(guest map[string]string) bool { return hasLabels(guest, labels) })
}

// fullness is the mean share of the capacity that is in use, from 0 to 1.
func fullness(capacity, used Resources) float64 {
	return (share(used.CPUs, capacity.CPUs) + share(used.MemoryMB, capacity.MemoryMB) + share(used.DiskGB, capacity.DiskGB)) / 3
}

func share(used, capacity int64) float64 {
	if capacity <= 0 {
		return 1
	}
	return float64(used) / float64(capacity)
}

func (r Resources) plus(o Resources) Resources {
	return Resources{CPUs: r.CPUs + o.CPUs, MemoryMB: r.MemoryMB + o.MemoryMB, DiskGB: r.DiskGB + o.DiskGB}
}
