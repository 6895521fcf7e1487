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
}

// Decision is the host for a request or, without one, why there is none.
type Decision struct {
	Request string
	Host    string
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

// Place decides for all requests in order. What it places counts as used for those that follow, in its own copy of the
// usage: hosts is not changed. Among the hosts that pass every filter the fullest wins (best fit), the name breaks ties,
// so equal inputs give equal decisions. It costs one pass over the hosts per request.
func Place(hosts []Host, requests []Request) []Decision {
	used := make([]Resources, len(hosts))
	for i := range hosts {
		used[i] = hosts[i].Used
	}
	decisions := make([]Decision, len(requests))
	for i := range requests {
		best, refusal := pick(hosts, used, &requests[i])
		decisions[i] = Decision{Request: requests[i].ID, Refusal: refusal}
		if best >= 0 {
			decisions[i] = Decision{Request: requests[i].ID, Host: hosts[best].ID}
			used[best] = used[best].plus(requests[i].Need)
		}
	}
	return decisions
}

func pick(hosts []Host, used []Resources, request *Request) (int, Refusal) {
	best, bestScore := -1, 0.0
	refusal := Refusal{Hosts: len(hosts), Counts: map[string]int{}}
	for i := range hosts {
		if reason := refuse(&hosts[i], used[i], request); reason != "" {
			refusal.Counts[reason]++
			continue
		}
		score := fullness(hosts[i].Capacity, used[i].plus(request.Need))
		if best < 0 || score > bestScore || score == bestScore && hosts[i].Name < hosts[best].Name {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		refusal.Needs = asked(request)
	}
	return best, refusal
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
