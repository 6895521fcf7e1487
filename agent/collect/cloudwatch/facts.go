package cloudwatch

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// states are those that a machine of AWS can have, by EC2's name.
var states = map[types.InstanceStateName]string{
	types.InstanceStateNamePending:      "pending",
	types.InstanceStateNameRunning:      "running",
	types.InstanceStateNameStopping:     "stopping",
	types.InstanceStateNameShuttingDown: "stopping",
	types.InstanceStateNameStopped:      "stopped",
	types.InstanceStateNameTerminated:   "terminated",
}

var stateNames = []string{"pending", "running", "stopping", "stopped", "terminated", "unknown"}

// factNames are the metrics that the inventory tells.
var factNames = []string{
	"vm_vcpus", "vm_memory_limit_bytes", "vm_disk_capacity_bytes", "vm_state", "vm_start_time_seconds", "vm_uptime_seconds",
	"vm_info", "vm_disk_info", "vm_network_info", "vm_tags",
}

// facts are what the inventory tells of what is there.
type facts struct {
	wants  func(metric string) bool
	tags   []string
	now    time.Time
	series []cloud.Series
}

func (f *facts) add(name string, labels map[string]string, v float64) {
	if f.wants(name) {
		f.series = append(f.series, cloud.Series{
			Name: name, Labels: labels, Source: collect.CloudWatch, Kind: collect.NativeGauge, Points: []collect.Point{{Time: f.now, Value: v}},
		})
	}
}

// tell goes through a region's machines and volumes.
func (f *facts) tell(k known, labelsOf func(machine) map[string]string) {
	machines := map[string]machine{}
	for _, item := range k.machines {
		if item.Alive() {
			machines[item.ID] = item.Resource
			f.machine(item.Resource, labelsOf(item.Resource))
		}
	}
	for _, item := range k.volumes {
		if m, has := machines[item.Resource.Machine]; has && item.Alive() {
			f.volume(item.Resource, labelsOf(m))
		}
	}
}

func (f *facts) machine(m machine, labels map[string]string) {
	f.state(m, labels)
	if m.VCPUs > 0 {
		f.add("vm_vcpus", labels, float64(m.VCPUs))
	}
	if m.Model.Memory > 0 {
		f.add("vm_memory_limit_bytes", labels, float64(m.Model.Memory))
	}
	f.add("vm_info", filled(labels, "image", m.Image, "flavor", m.Type, "cloud_availability_zone", m.Zone, "os", m.OS, "arch", m.Arch, "hypervisor", m.Hypervisor), 1)
	for _, c := range m.Cards {
		f.add("vm_network_info", filled(labels, "interface", c.ID, "mac", c.MAC, "network", c.Network), 1)
	}
	allowed := map[string]string{}
	for _, key := range f.tags {
		if value, has := m.Tags[key]; has {
			allowed["tag_"+collect.Snake(key)] = value
		}
	}
	if len(allowed) > 0 {
		f.add("vm_tags", with(labels, allowed), 1)
	}
}

// state tells in which of the states a machine is. A start is one only of what has started.
func (f *facts) state(m machine, labels map[string]string) {
	now, known := states[m.State]
	if !known {
		now = "unknown"
	}
	for _, name := range stateNames {
		v := 0.0
		if name == now {
			v = 1
		}
		f.add("vm_state", with(labels, map[string]string{"state": name}), v)
	}
	if m.running() && !m.Launched.IsZero() {
		f.add("vm_start_time_seconds", labels, float64(m.Launched.UnixMilli())/1e3)
		f.add("vm_uptime_seconds", labels, f.now.Sub(m.Launched).Seconds())
	}
}

func (f *facts) volume(v volume, labels map[string]string) {
	labels = with(labels, map[string]string{"device": v.device()})
	f.add("vm_disk_capacity_bytes", labels, float64(v.Size))
	f.add("vm_disk_info", filled(labels, "path", v.Path, "volume_id", v.ID, "storage_type", v.Type), 1)
}

// filled adds the labels that have a value.
func filled(labels map[string]string, pairs ...string) map[string]string {
	more := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			more[pairs[i]] = pairs[i+1]
		}
	}
	return with(labels, more)
}
