package kvm

import (
	"math"
	"strconv"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
)

// one measures a machine.
func (c *Collector) one(b *batch, m *machine, s *hypervisor.DomainStats) {
	b.apply(wholeRules, s.Values, m.labels)
	b.utilization(m, s)
	b.memory(m, s.Values)
	b.vcpus(m, s.VCPUs)
	b.disks(m, s)
	b.cards(m, s)
	b.state(m, s)
	b.info(m)
	m.process = c.process(m.process, s)
	b.life(m)
}

func (b *batch) apply(rules []rule, values map[string]float64, labels map[string]string) {
	for _, r := range rules {
		if v, has := values[r.field]; has {
			of := labels
			if len(r.labels) > 0 {
				of = with(labels, r.labels...)
			}
			b.add(r.metric, collect.Libvirt, of, v*r.factor)
		}
	}
}

// utilization is the share of all vCPUs that ran between two reads.
func (b *batch) utilization(m *machine, s *hypervisor.DomainStats) {
	now, has := s.Values["cpu.time"]
	before, had := m.last.Values["cpu.time"]
	if ratio, ok := utilization(before, now, b.at.Sub(m.lastAt), s.Values["vcpu.current"]); has && had && ok {
		b.add("vm_cpu_utilization_ratio", collect.Libvirt, m.labels, ratio)
	}
}

// utilization takes CPU times in nanoseconds; ok is false where the counter began anew or there is nothing to divide by.
func utilization(before, now float64, between time.Duration, vcpus float64) (ratio float64, ok bool) {
	if now < before || between <= 0 || vcpus <= 0 {
		return 0, false
	}
	return (now - before) / float64(between) / vcpus, true
}

// frozenAfter is how many periods old what a guest told may be.
const frozenAfter = 3

// memory tells what the guest says of its memory, while it says it: without a driver, or when that has stopped, the
// values are frozen and worth nothing.
func (b *batch) memory(m *machine, v map[string]float64) {
	if v["dirtyrate.calc_status"] == 2 { // measured
		if rate, has := v["dirtyrate.megabytes_per_second"]; has {
			b.add("vm_memory_dirty_rate_bytes_per_second", collect.Libvirt, m.labels, rate*mib)
		}
	}
	told, has := v["balloon.last-update"]
	if !has || told == 0 {
		return
	}
	age := math.Max(0, float64(b.at.UnixMilli())/1e3-told)
	b.add("vm_memory_stats_age_seconds", collect.Libvirt, m.labels, age)
	if period := float64(m.about.BalloonPeriod); period == 0 || age > frozenAfter*period {
		return
	}
	b.apply(guestRules, v, m.labels)
	total, hasTotal := v["balloon.available"]
	usable, hasUsable := v["balloon.usable"]
	unused, hasUnused := v["balloon.unused"]
	switch {
	case hasUsable:
		b.add("vm_memory_available_bytes", collect.Libvirt, m.labels, usable*kib)
	case hasUnused:
		b.add("vm_memory_available_bytes", collect.Libvirt, m.labels, unused*kib)
	}
	if hasTotal && hasUsable && total > 0 {
		b.add("vm_memory_used_bytes", collect.Libvirt, m.labels, (total-usable)*kib)
		b.add("vm_memory_utilization_ratio", collect.Libvirt, m.labels, 1-usable/total)
	}
}

func (b *batch) vcpus(m *machine, vcpus []map[string]float64) {
	steal, stolen := 0.0, false
	for i, v := range vcpus {
		state, plugged := v["state"]
		if !plugged {
			continue
		}
		labels := with(m.labels, "vcpu", strconv.Itoa(i))
		b.apply(vcpuRules, v, labels)
		for number, name := range vcpuStates {
			b.add("vm_vcpu_state", collect.Libvirt, with(labels, "state", name), is(float64(number) == state))
		}
		if delay, has := v["delay"]; has {
			steal, stolen = steal+delay, true
		}
	}
	if stolen {
		b.add("vm_cpu_steal_seconds_total", collect.Libvirt, m.labels, steal*nano)
	}
}

func (b *batch) disks(m *machine, s *hypervisor.DomainStats) {
	for _, d := range topLayers(s.Disks) {
		labels := with(m.labels, "device", d.Name)
		b.apply(diskRules, d.Values, labels)
		for _, before := range topLayers(m.last.Disks) {
			if seconds, ok := latency(before.Values, d.Values); ok && before.Name == d.Name {
				b.add("vm_disk_latency_seconds", collect.Libvirt, labels, seconds)
			}
		}
	}
}

// topLayers leaves of entries with one name that of the lowest layer: the others are backing files.
func topLayers(all []hypervisor.DeviceStats) []hypervisor.DeviceStats {
	var top []hypervisor.DeviceStats
	at := map[string]int{}
	for _, d := range all {
		i, again := at[d.Name]
		switch {
		case !again:
			at[d.Name] = len(top)
			top = append(top, d)
		case d.Layer < top[i].Layer:
			top[i] = d
		}
	}
	return top
}

// latency is the mean time of the operations between two reads; ok is false where there were none.
func latency(before, now map[string]float64) (seconds float64, ok bool) {
	ops := now["rd.reqs"] + now["wr.reqs"] - before["rd.reqs"] - before["wr.reqs"]
	spent := now["rd.times"] + now["wr.times"] - before["rd.times"] - before["wr.times"]
	if _, timed := now["rd.times"]; !timed || before == nil || ops <= 0 || spent < 0 {
		return 0, false
	}
	return spent * nano / ops, true
}

func (b *batch) cards(m *machine, s *hypervisor.DomainStats) {
	for _, card := range s.Cards {
		if name := m.cardOf(card.Name); name != "" {
			b.apply(cardRules, card.Values, with(m.labels, "interface", name))
		}
	}
}

func (b *batch) state(m *machine, s *hypervisor.DomainStats) {
	number, known := s.Values["state.state"]
	now := stateName(number, known)
	for _, name := range allStates {
		b.add("vm_state", collect.Libvirt, with(m.labels, "state", name), is(name == now))
	}
	if reason, has := s.Values["state.reason"]; has {
		b.add("vm_state_reason_code", collect.Libvirt, m.labels, reason)
	}
	b.add("vm_available", collect.Libvirt, m.labels, is(now == "running"))
}

// info tells what a machine is, to be joined with what it does.
func (b *batch) info(m *machine) {
	a := m.about
	b.add("vm_info", collect.Libvirt, with(m.labels, "uuid", m.labels["vm_id"], "image", a.Image, "os", a.OS, "machine", a.Machine, "arch", a.Arch, "project", a.Project, "hypervisor", a.Type), 1)
	for _, d := range a.Disks {
		b.add("vm_disk_info", collect.Libvirt, with(m.labels, "device", d.Device, "path", d.Path, "serial", d.Serial, "driver", d.Driver, "format", d.Format), 1)
	}
	for _, card := range a.Cards {
		b.add("vm_network_info", collect.Libvirt, with(m.labels, "interface", card.Name, "mac", card.MAC, "bridge", card.Bridge, "network", card.Network, "target", card.Target), 1)
	}
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
