package sched

import "slices"

// filter turns hosts down for one reason. The order is from the cheapest and most telling to the rest.
type filter struct {
	reason string
	passes func(*Host, Resources, *Request) bool
}

func filters() [11]filter {
	return [...]filter{
		{"down", func(h *Host, _ Resources, _ *Request) bool { return h.Up }},
		{"not the host asked for", func(h *Host, _ Resources, r *Request) bool {
			return r.Host == "" || r.Host == h.ID || r.Host == h.Name
		}},
		{"architecture", func(h *Host, _ Resources, r *Request) bool { return r.Arch == "" || r.Arch == h.Arch }},
		{"label", func(h *Host, _ Resources, r *Request) bool { return hasLabels(h.Labels, r.Labels) }},
		{"machine type", func(h *Host, _ Resources, r *Request) bool { return offers(h.Machines, r.Machine) }},
		{"firmware", func(h *Host, _ Resources, r *Request) bool { return offers(h.Firmware, r.Firmware) }},
		{"storage pool", func(h *Host, _ Resources, r *Request) bool { return hasAll(h.Pools, r.Pools) }},
		{"network", func(h *Host, _ Resources, r *Request) bool {
			return hasAll(h.Networks, r.Networks) && hasAll(h.Bridges, r.Bridges)
		}},
		{"CPU", func(h *Host, used Resources, r *Request) bool { return used.CPUs+r.Need.CPUs <= h.Capacity.CPUs }},
		{"memory", func(h *Host, used Resources, r *Request) bool {
			return used.MemoryMB+r.Need.MemoryMB <= h.Capacity.MemoryMB
		}},
		{"disk", func(h *Host, used Resources, r *Request) bool { return used.DiskGB+r.Need.DiskGB <= h.Capacity.DiskGB }},
	}
}

// refuse names the first filter that the host fails, or "".
func refuse(host *Host, used Resources, request *Request) string {
	for _, f := range filters() {
		if !f.passes(host, used, request) {
			return f.reason
		}
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
