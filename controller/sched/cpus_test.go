package sched

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sockets are two nodes of two cores with two threads each, numbered as Linux does: 0-3 are the first threads.
func sockets() []CPUNode {
	return []CPUNode{{ID: 0, Cores: [][]int{{0, 4}, {1, 5}}}, {ID: 1, Cores: [][]int{{2, 6}, {3, 7}}}}
}

func TestChooseCPUs(t *testing.T) {
	for name, c := range map[string]struct {
		n      int
		taken  []int
		groups []CPUGroup
		want   []int
	}{
		"siblings side by side":                  {2, nil, nil, []int{0, 4}},
		"whole cores before halves":              {2, []int{0}, nil, []int{1, 5}},
		"one node though both have room":         {3, []int{0}, nil, []int{1, 5, 4}},
		"the node that it fills best":            {2, []int{2, 3, 6}, nil, []int{0, 4}},
		"the fuller node when it is enough":      {1, []int{2, 3, 6}, nil, []int{7}},
		"two nodes when it must be":              {6, nil, nil, []int{0, 4, 1, 5, 2, 6}},
		"none when there are too few":            {6, []int{0, 1, 2}, nil, nil},
		"a group on its node":                    {2, nil, []CPUGroup{{VCPUs: []int{0, 1}, Nodes: []int{1}}}, []int{2, 6}},
		"the narrow group first":                 {4, nil, []CPUGroup{{VCPUs: []int{0, 1}}, {VCPUs: []int{2, 3}, Nodes: []int{0}}}, []int{1, 5, 0, 4}},
		"none when the node of a group is full":  {1, []int{2, 3, 6, 7}, []CPUGroup{{VCPUs: []int{0}, Nodes: []int{1}}}, nil},
		"none when the node of a group is wrong": {1, nil, []CPUGroup{{VCPUs: []int{0}, Nodes: []int{9}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ChooseCPUs(sockets(), c.taken, c.n, c.groups)
			require.Equal(t, c.want != nil, ok)
			require.Equal(t, c.want, got)
		})
	}
	_, ok := ChooseCPUs(nil, nil, 1, nil)
	require.False(t, ok, "a host that does not tell its processors")
}

func TestReserved(t *testing.T) {
	require.EqualValues(t, 8, Reserved(32, 8, 2), "a fourfold overcommit")
	require.EqualValues(t, 2, Reserved(8, 8, 2))
	require.EqualValues(t, 2, Reserved(4, 8, 2), "a host that promises less than it has")
	require.EqualValues(t, 3, Reserved(4, 3, 2), "rounded up")
	require.EqualValues(t, 4, Reserved(4, 3, 3), "all of it is all of it")
	require.EqualValues(t, 2, Reserved(0, 0, 2))
}

// nodes draws a host's processors.
func drawNodes(t *rapid.T) []CPUNode {
	var nodes []CPUNode
	id := 0
	for n := range rapid.IntRange(1, 3).Draw(t, "nodes") {
		node := CPUNode{ID: n}
		for range rapid.IntRange(1, 4).Draw(t, "cores") {
			var core []int
			for range rapid.IntRange(1, 2).Draw(t, "threads") {
				core = append(core, id)
				id++
			}
			node.Cores = append(node.Cores, core)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func TestChoicesAreFreeAndOnTheFewestNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t)
		taken := rapid.SliceOfDistinct(rapid.IntRange(0, 24), rapid.ID).Draw(t, "taken")
		n := rapid.IntRange(1, 12).Draw(t, "n")
		var free []int // per node
		total := 0
		for _, node := range nodes {
			free = append(free, len(freeCPUs(node, taken)))
			total += free[len(free)-1]
		}
		own, ok := ChooseCPUs(nodes, taken, n, nil)
		require.Equal(t, total >= n, ok)
		if !ok {
			return
		}
		require.Len(t, own, n)
		require.True(t, disjoint(own, taken))
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(own))), n, "each once")
		used, fewest := 0, 0
		for i, node := range nodes {
			if free[i] > 0 && !disjoint(own, freeCPUs(node, taken)) {
				used++
			}
		}
		slices.Sort(free)
		for left := n; left > 0; left -= free[len(free)-fewest] {
			fewest++
		}
		require.Equal(t, fewest, used)
	})
}

// Whatever is created and deleted: no CPU belongs to two machines, or to one that has it and one that is tied to it; and
// what floats never exceeds what the rest may carry.
func TestDedicatedCPUsNeverOverlap(t *testing.T) {
	type placed struct {
		request Request
		host    string
		own     []int
	}
	rapid.Check(t, func(t *rapid.T) {
		var empty []Host
		for i := range rapid.IntRange(1, 3).Draw(t, "hosts") {
			h := host(fmt.Sprint(i), Resources{MemoryMB: 1 << 20, DiskGB: 1 << 20})
			h.Nodes = drawNodes(t)
			h.Capacity.CPUs = h.cpus() * rapid.Int64Range(1, 4).Draw(t, "overcommit")
			empty = append(empty, h)
		}
		var there []placed
		for step := range rapid.IntRange(1, 25).Draw(t, "steps") {
			if len(there) > 0 && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				gone := rapid.IntRange(0, len(there)-1).Draw(t, "which")
				there = slices.Delete(there, gone, gone+1)
				continue
			}
			hosts := slices.Clone(empty)
			for _, p := range there {
				i := slices.IndexFunc(hosts, func(h Host) bool { return h.ID == p.host })
				r := p.request
				r.CPU.Own = p.own
				hosts[i] = hosts[i].with(&r)
			}
			request := drawRequest(t, step)
			decision := Place(hosts, []Request{request})[0]
			if decision.Host == "" {
				continue
			}
			there = append(there, placed{request, decision.Host, decision.OwnCPUs})
			for _, h := range empty {
				own, shared, floating := []int{}, []int{}, int64(0)
				for _, p := range there {
					if p.host != h.ID {
						continue
					}
					require.True(t, h.has(p.own))
					require.True(t, disjoint(p.own, own), "two machines on one CPU")
					own, shared = append(own, p.own...), append(shared, p.request.CPU.Shared...)
					if p.request.CPU.Dedicated {
						require.Len(t, p.own, int(p.request.Need.CPUs))
					} else {
						floating += p.request.Need.CPUs
					}
				}
				require.True(t, disjoint(own, shared), "a machine tied to another's CPU")
				rest := h.cpus() - int64(len(own))
				require.LessOrEqual(t, floating*h.cpus(), rest*h.Capacity.CPUs, "the rest carries too much")
			}
		}
	})
}

func drawRequest(t *rapid.T, step int) Request {
	cpu := rapid.IntRange(0, 12)
	r := Request{ID: fmt.Sprint(step), Need: Resources{CPUs: rapid.Int64Range(1, 5).Draw(t, "cpus"), MemoryMB: 1}}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		r.CPU.Dedicated = true
	case 1:
		r.CPU.Dedicated = true
		r.CPU.Own = rapid.SliceOfNDistinct(cpu, int(r.Need.CPUs), int(r.Need.CPUs), rapid.ID).Draw(t, "own")
	case 2:
		r.CPU.Shared = rapid.SliceOfDistinct(cpu, rapid.ID).Draw(t, "shared")
	}
	return r
}

func TestFiltersOfCPUsAndVolumes(t *testing.T) {
	h := host("h", Resources{32, 8192, 100})
	h.Nodes, h.Own, h.Pinned = sockets(), []int{0, 4}, []int{1}
	base := Request{ID: "vm", Need: Resources{1, 128, 1}}
	for text, change := range map[string]func(*Host, *Request){
		"1 by dedicated CPUs (6 asked for)":                 func(_ *Host, r *Request) { r.Need.CPUs, r.CPU.Dedicated = 6, true },
		"1 by dedicated CPUs (the host's CPUs 1 asked for)": func(_ *Host, r *Request) { r.CPU.Dedicated, r.CPU.Own = true, []int{1} },
		"1 by CPUs dedicated to others (4,5 asked for)":     func(_ *Host, r *Request) { r.CPU.Shared = []int{5, 4} },
		"1 by draining": func(h *Host, _ *Request) { h.Draining = true },
		"1 by volume on another host (data on h1, logs on h2 asked for)": func(_ *Host, r *Request) { r.Volumes = []Volume{{"data", "1", "h1"}, {"logs", "2", "h2"}} },
		"1 by CPU (30 asked for)": func(h *Host, r *Request) { h.Used.CPUs, r.Need.CPUs = 8, 30 },
		"1 by volume on another host (mine on h, data on h1 asked for)": func(_ *Host, r *Request) { r.Volumes = []Volume{{"mine", "id-h", "h"}, {"data", "1", "h1"}} },
		"1 by dedicated CPUs (the host's CPUs 99 asked for)":            func(_ *Host, r *Request) { r.CPU.Dedicated, r.CPU.Own = true, []int{99} },
		"1 by CPU (2 asked for)":                                        func(h *Host, r *Request) { h.Used.CPUs, r.Need.CPUs, r.CPU.Dedicated = 25, 2, true },
		"1 by dedicated CPUs (1 asked for)":                             func(h *Host, r *Request) { h.Nodes, r.CPU.Dedicated = nil, true },
		"1 by CPUs dedicated to others (0 asked for)":                   func(_ *Host, r *Request) { r.CPU.Shared = []int{0} },
	} {
		t.Run(text, func(t *testing.T) {
			host, request := h, base
			require.NotEmpty(t, Place([]Host{host}, []Request{request})[0].Host, "fits before the change")
			change(&host, &request)
			decision := Place([]Host{host}, []Request{request})[0]
			require.Empty(t, decision.Host)
			require.Contains(t, decision.Refusal.String(), text)
		})
	}
	request := base
	request.Volumes = []Volume{{"data", "id-h", "h"}}
	request.CPU.Dedicated = true
	require.Equal(t, []int{5}, Place([]Host{h}, []Request{request})[0].OwnCPUs, "the half core, so that whole ones stay")
}
