package sched

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// filter turns hosts down for one reason. The order is from the cheapest and most telling to the rest.
type filter struct {
	reason string
	passes func(*Host, *Request) bool
	// needs is what the request asks for, in words; nil where the reason says it all.
	needs func(*Request) string
}

func filters() []filter {
	return []filter{
		{"down", func(h *Host, _ *Request) bool { return h.Up }, nil},
		{"draining", func(h *Host, _ *Request) bool { return !h.Draining }, nil},
		{reasonVolume, func(h *Host, r *Request) bool {
			return !slices.ContainsFunc(r.Volumes, func(v Volume) bool { return v.HostID != h.ID })
		}, func(r *Request) string { return places(r.Volumes) }},
		{"not the host asked for", func(h *Host, r *Request) bool { return r.Host == "" || r.Host == h.ID || r.Host == h.Name },
			func(r *Request) string { return r.Host }},
		{"a host not wanted", func(h *Host, r *Request) bool {
			return !slices.Contains(r.NotHosts, h.ID) && !slices.Contains(r.NotHosts, h.Name)
		}, nil},
		{"architecture", func(h *Host, r *Request) bool { return r.Arch == "" || r.Arch == h.Arch },
			func(r *Request) string { return r.Arch }},
		{"label", func(h *Host, r *Request) bool { return hasLabels(h.Labels, r.Labels) },
			func(r *Request) string { return pairs(r.Labels) }},
		{"machine type", func(h *Host, r *Request) bool { return offers(h.Machines, r.Machine) },
			func(r *Request) string { return r.Machine }},
		{"firmware", func(h *Host, r *Request) bool { return offers(h.Firmware, r.Firmware) },
			func(r *Request) string { return r.Firmware }},
		{"storage pool", func(h *Host, r *Request) bool { return hasAll(h.Pools, r.Pools) },
			func(r *Request) string { return unique(r.Pools) }},
		{"network", func(h *Host, r *Request) bool { return hasAll(h.Networks, r.Networks) && hasAll(h.Bridges, r.Bridges) },
			func(r *Request) string { return unique(slices.Concat(r.Networks, r.Bridges)) }},
		{"dedicated CPUs", func(h *Host, r *Request) bool { _, ok := h.ownCPUs(r); return ok }, dedicatedCPUs},
		{"CPU", func(h *Host, r *Request) bool { return h.Used.CPUs+h.need(r).CPUs <= h.Capacity.CPUs },
			func(r *Request) string { return fmt.Sprintf("%d", r.Need.CPUs) }},
		{"CPUs dedicated to others", func(h *Host, r *Request) bool { return disjoint(r.CPU.Shared, h.Own) },
			func(r *Request) string { return numbers(r.CPU.Shared) }},
		{"memory", func(h *Host, r *Request) bool { return h.Used.MemoryMB+r.Need.MemoryMB <= h.Capacity.MemoryMB },
			func(r *Request) string { return fmt.Sprintf("%d MiB", r.Need.MemoryMB) }},
		{"disk", func(h *Host, r *Request) bool { return h.Used.DiskGB+r.Need.DiskGB <= h.Capacity.DiskGB },
			func(r *Request) string { return fmt.Sprintf("%d GiB", r.Need.DiskGB) }},
		{"anti-affinity", func(h *Host, r *Request) bool { return len(r.AntiAffinity) == 0 || !h.holds(r.AntiAffinity) },
			func(r *Request) string { return pairs(r.AntiAffinity) }},
		{reasonAffinity, func(h *Host, r *Request) bool { return len(r.Affinity) == 0 || h.holds(r.Affinity) },
			func(r *Request) string { return pairs(r.Affinity) }},
	}
}

const (
	reasonAffinity = "affinity"
	reasonVolume   = "volume on another host"
)

// places is such as «data on host-1, logs on host-1».
func places(volumes []Volume) string {
	var text []string
	for _, v := range volumes {
		text = append(text, v.Name+" on "+v.HostName)
	}
	return strings.Join(text, ", ")
}

func dedicatedCPUs(r *Request) string {
	if len(r.CPU.Own) > 0 {
		return "the host's CPUs " + numbers(r.CPU.Own)
	}
	return fmt.Sprintf("%d", r.Need.CPUs)
}

func numbers(cpus []int) string {
	var text []string
	for _, cpu := range slices.Compact(slices.Sorted(slices.Values(cpus))) {
		text = append(text, fmt.Sprint(cpu))
	}
	return strings.Join(text, ",")
}

// asked gives what the request asks for, by the reason of the filter that cares about it.
func asked(request *Request) map[string]string {
	needs := map[string]string{}
	for _, f := range filters() {
		if f.needs != nil {
			needs[f.reason] = f.needs(request)
		}
	}
	return needs
}

func pairs(labels map[string]string) string {
	var text []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		text = append(text, key+"="+labels[key])
	}
	return strings.Join(text, ",")
}

func unique(names []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), ",")
}

// refuse names the first filter that the host fails, or "". The first of its kind has nobody to be with yet.
func refuse(host *Host, request *Request, first bool) string {
	for _, f := range filters() {
		if f.passes(host, request) || first && f.reason == reasonAffinity {
			continue
		}
		return f.reason
	}
	return ""
}

func hasLabels(have, want map[string]string) bool {
	for key, value := range want {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func hasAll(have, want []string) bool {
	for _, name := range want {
		if !slices.Contains(have, name) {
			return false
		}
	}
	return true
}

// offers treats an empty offer as unknown: the host itself checks again before it creates.
func offers(have []string, want string) bool {
	return want == "" || len(have) == 0 || slices.Contains(have, want)
}
