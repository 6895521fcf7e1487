package azuremonitor

import (
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// fact is what the inventory says of a machine as a metric: a gauge that is true now.
type fact struct {
	name   string
	labels map[string]string
	value  float64
	// silent says that there is nothing new to tell, and that the series goes on.
	silent bool
}

// factsOf are those of a machine. Its size and state may not be known.
func factsOf(m machine, subscription string, s *size, p *power, tags []string, now time.Time) []fact {
	labels := m.labels(subscription)
	arch := ""
	facts := []fact{}
	if s != nil {
		arch = s.arch
		facts = append(facts, fact{name: "vm_memory_limit_bytes", labels: labels, value: s.memory})
	}
	if n := vcpusOf(m, s); n > 0 {
		facts = append(facts, fact{name: "vm_vcpus", labels: labels, value: float64(n)})
	}
	facts = append(facts, fact{name: "vm_info", value: 1, labels: with(labels,
		"image", m.image, "flavor", m.size, "cloud_availability_zone", m.zone, "os", m.os, "uuid", m.uuid, "resource_group", groupOf(m.id), "arch", arch)})
	if tagged := tagLabels(labels, m.tags, tags); len(tagged) > len(labels) {
		facts = append(facts, fact{name: "vm_tags", labels: tagged, value: 1})
	}
	facts = append(facts, deviceFacts(m, labels)...)
	return append(facts, powerFacts(labels, p, now)...)
}

func vcpusOf(m machine, s *size) int {
	if m.vcpus == 0 && s != nil {
		return s.vcpus
	}
	return m.vcpus
}

func deviceFacts(m machine, labels map[string]string) (facts []fact) {
	for _, d := range m.disks {
		if d.bytes > 0 { // the service tells no size of a disk that is not attached now
			facts = append(facts, fact{name: "vm_disk_capacity_bytes", labels: with(labels, "device", d.device), value: d.bytes})
		}
		facts = append(facts, fact{name: "vm_disk_info", labels: with(labels, "device", d.device, "volume_id", d.volume, "storage_type", d.storage), value: 1})
	}
	for _, card := range m.cards {
		facts = append(facts, fact{name: "vm_network_info", labels: with(labels, "interface", card), value: 1})
	}
	return facts
}

// powerFacts say in which state a machine is. Where that could not be read, the series go on without a value.
func powerFacts(labels map[string]string, p *power, now time.Time) (facts []fact) {
	for _, state := range states {
		one := fact{name: "vm_state", labels: with(labels, "state", state), silent: p == nil}
		if p != nil && p.state == state {
			one.value = 1
		}
		facts = append(facts, one)
	}
	if p != nil && p.state == "running" && !p.at.IsZero() {
		facts = append(facts,
			fact{name: "vm_start_time_seconds", labels: labels, value: float64(p.at.UnixMilli()) / 1e3},
			fact{name: "vm_uptime_seconds", labels: labels, value: now.Sub(p.at).Seconds()})
	}
	return facts
}

// tagLabels adds the tags that are allowed, whose names the service compares without regard to case.
func tagLabels(labels, tags map[string]string, allowed []string) map[string]string {
	next := with(labels)
	for tag, value := range tags {
		if slices.ContainsFunc(allowed, func(name string) bool { return strings.EqualFold(name, tag) }) {
			next["tag_"+collect.Snake(tag)] = value
		}
	}
	return next
}
