package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func host(name string, capacity Resources) Host {
	return Host{ID: "id-" + name, Name: name, Up: true, Arch: "x86_64", Capacity: capacity, Pools: []string{"default"}, Networks: []string{"default"}}
}

func TestPlaceBestFit(t *testing.T) {
	big, small := host("big", Resources{64, 65536, 1000}), host("small", Resources{8, 8192, 100})
	decisions := Place([]Host{big, small}, []Request{{ID: "vm", Need: Resources{4, 4096, 10}}})
	require.Equal(t, "id-small", decisions[0].Host)
}

func TestPlaceCountsWhatItPlaced(t *testing.T) {
	only := host("only", Resources{2, 4096, 100})
	requests := []Request{{ID: "a", Need: Resources{2, 1024, 1}}, {ID: "b", Need: Resources{1, 1024, 1}}}
	decisions := Place([]Host{only}, requests)
	require.Equal(t, "id-only", decisions[0].Host)
	require.Empty(t, decisions[1].Host)
	require.Equal(t, map[string]int{"CPU": 1}, decisions[1].Refusal.Counts)
}

func TestRefusalNamesEachFilter(t *testing.T) {
	roomy := Resources{8, 8192, 100}
	base := Request{ID: "vm", Arch: "x86_64", Need: Resources{1, 128, 1}}
	for _, c := range []struct {
		reason string
		change func(*Host, *Request)
	}{
		{"down", func(h *Host, _ *Request) { h.Up = false }},
		{"not the host asked for", func(_ *Host, r *Request) { r.Host = "another" }},
		{"architecture", func(_ *Host, r *Request) { r.Arch = "aarch64" }},
		{"label", func(_ *Host, r *Request) { r.Labels = map[string]string{"disk": "ssd"} }},
		{"machine type", func(h *Host, r *Request) { h.Machines, r.Machine = []string{"pc"}, "q35" }},
		{"firmware", func(h *Host, r *Request) { h.Firmware, r.Firmware = []string{"bios"}, "uefi" }},
		{"storage pool", func(_ *Host, r *Request) { r.Pools = []string{"fast"} }},
		{"network", func(_ *Host, r *Request) { r.Networks = []string{"lan"} }},
		{"network", func(_ *Host, r *Request) { r.Bridges = []string{"br0"} }},
		{"a host not wanted", func(_ *Host, r *Request) { r.NotHosts = []string{"h"} }},
		{"affinity", func(_ *Host, r *Request) { r.Affinity = map[string]string{"app": "db"} }},
		{"anti-affinity", func(h *Host, r *Request) {
			h.Guests, r.AntiAffinity = []map[string]string{{"app": "db"}}, map[string]string{"app": "db"}
		}},
		{"CPU", func(_ *Host, r *Request) { r.Need.CPUs = 9 }},
		{"memory", func(_ *Host, r *Request) { r.Need.MemoryMB = 8193 }},
		{"disk", func(_ *Host, r *Request) { r.Need.DiskGB = 101 }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			h, r := host("h", roomy), base
			require.Equal(t, "id-h", Place([]Host{h}, []Request{r})[0].Host, "fits before the change")
			c.change(&h, &r)
			decision := Place([]Host{h}, []Request{r})[0]
			require.Empty(t, decision.Host)
			require.Equal(t, map[string]int{c.reason: 1}, decision.Refusal.Counts)
			require.Contains(t, decision.Refusal.String(), "1 by "+c.reason)
		})
	}
}

func TestRefusalWithoutHosts(t *testing.T) {
	require.Contains(t, Place(nil, []Request{{ID: "vm"}})[0].Refusal.String(), "no hosts")
}

// Whatever the hosts and requests: no host is overfilled, a refusal counts every host once, and nothing fits after all.
func TestPlaceNeverOverfills(t *testing.T) {
	resources := func(limit int64) *rapid.Generator[Resources] {
		return rapid.Custom(func(t *rapid.T) Resources {
			n := rapid.Int64Range(0, limit)
			return Resources{n.Draw(t, "cpus"), n.Draw(t, "memory"), n.Draw(t, "disk")}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		var hosts []Host
		for i := range rapid.IntRange(0, 6).Draw(t, "hosts") {
			h := host(fmt.Sprint(i), resources(20).Draw(t, "capacity"))
			h.Up = rapid.Bool().Draw(t, "up")
			hosts = append(hosts, h)
		}
		var requests []Request
		for i := range rapid.IntRange(0, 12).Draw(t, "requests") {
			requests = append(requests, Request{ID: fmt.Sprint(i), Need: resources(8).Draw(t, "need")})
		}
		used := map[string]Resources{}
		for i, d := range Place(hosts, requests) {
			if d.Host != "" {
				used[d.Host] = used[d.Host].plus(requests[i].Need)
				continue
			}
			total := 0
			for _, n := range d.Refusal.Counts {
				total += n
			}
			require.Equal(t, len(hosts), total)
		}
		for _, h := range hosts {
			u := used[h.ID]
			require.False(t, u.CPUs > h.Capacity.CPUs || u.MemoryMB > h.Capacity.MemoryMB || u.DiskGB > h.Capacity.DiskGB)
			require.True(t, h.Up || u == Resources{})
		}
	})
}

func TestAGroupStaysTogetherOrApart(t *testing.T) {
	roomy := Resources{64, 65536, 1000}
	hosts := []Host{host("a", roomy), host("b", roomy), host("c", roomy)}
	web := map[string]string{"app": "web"}
	member := func(id string) Request { return Request{ID: id, Need: Resources{1, 128, 1}, Own: web} }
	together, apart := []Request{member("1"), member("2")}, []Request{member("1"), member("2"), member("3"), member("4")}
	for i := range together {
		together[i].Affinity = web
	}
	for i := range apart {
		apart[i].AntiAffinity = web
	}
	decisions := Place(hosts, together)
	require.NotEmpty(t, decisions[0].Host, "the first of a group may go anywhere")
	require.Equal(t, decisions[0].Host, decisions[1].Host)
	used := map[string]bool{}
	decisions = Place(hosts, apart)
	for _, d := range decisions[:3] {
		require.False(t, used[d.Host])
		used[d.Host] = true
	}
	require.Equal(t, map[string]int{"anti-affinity": 3}, decisions[3].Refusal.Counts)
	require.Empty(t, hosts[0].Guests, "what is placed counts in a copy")
}
