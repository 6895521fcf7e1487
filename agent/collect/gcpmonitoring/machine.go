package gcpmonitoring

import (
	"maps"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// about collects what the inventory tells of machines, all at one time.
type about struct {
	at     time.Time
	tags   []string
	series []cloud.Series
}

// told are the series of the turn that an inventory's value must not contradict, by name, machine and device.
type told map[[3]string]bool

func toldOf(series []cloud.Series) told {
	t := told{}
	for _, s := range series {
		if s.Source == collect.GCM {
			t[[3]string{s.Name, s.Labels["vm_id"], s.Labels["device"]}] = true
		}
	}
	return t
}

// unless adds what the inventory tells where Monitoring has not told it.
func (a *about) unless(t told, i instance, name string, value float64, labels map[string]string) {
	if value > 0 && !t[[3]string{name, i.ID, labels["device"]}] {
		a.add(i, name, value, labels)
	}
}

func (a *about) add(i instance, name string, value float64, labels map[string]string) {
	all := i.labels()
	for label, v := range labels {
		if v != "" {
			all[label] = v
		}
	}
	a.series = append(a.series, cloud.Series{
		Name: name, Labels: all, Source: collect.GCM, Kind: collect.NativeGauge, Points: []collect.Point{{Time: a.at, Value: value}},
	})
}

// machine tells all of one machine.
func (a *about) machine(i instance, typ machineType, kinds map[[2]string]diskKind, t told) {
	for _, state := range allStates {
		a.add(i, "vm_state", oneIf(state == i.state()), map[string]string{"state": state})
	}
	if !i.Started.IsZero() {
		a.add(i, "vm_start_time_seconds", float64(i.Started.UnixMilli())/1e3, nil)
	}
	a.add(i, "vm_info", 1, map[string]string{"flavor": i.MachineType, "cloud_availability_zone": i.Zone, "project": i.Project})
	a.unless(t, i, "vm_vcpus", typ.cpus, nil)
	a.unless(t, i, "vm_memory_limit_bytes", typ.memory, nil)
	a.disks(i, kinds, t)
	for _, nic := range i.NICs {
		a.add(i, "vm_network_info", 1, map[string]string{"interface": nic[0], "network": nic[1]})
	}
	a.tagsOf(i)
}

func (a *about) disks(i instance, kinds map[[2]string]diskKind, t told) {
	for _, d := range i.Disks {
		kind := kinds[[2]string{i.ID, d.device}]
		if kind.device == "" {
			kind.device = d.kind
		}
		a.add(i, "vm_disk_info", 1, map[string]string{
			"device": d.device, "volume_id": d.volume, "driver": d.driver, "storage_type": kind.storage, "device_type": kind.device,
		})
		a.unless(t, i, "vm_disk_capacity_bytes", d.bytes, map[string]string{"device": d.device})
	}
}

// diskKind is what the labels of a disk's metrics say of it.
type diskKind struct{ storage, device string }

// learnDisks keeps what the labels of disks say; the metrics themselves do not keep them.
func learnDisks(kinds map[[2]string]diskKind, all []*native) {
	for _, n := range all {
		if device := n.metric["device_name"]; device != "" && n.metric["storage_type"] != "" {
			kinds[[2]string{n.resource["instance_id"], device}] = diskKind{n.metric["storage_type"], n.metric["device_type"]}
		}
	}
}

// forgetDisks drops what is known of disks of machines that are gone.
func forgetDisks(kinds map[[2]string]diskKind, there map[string]bool) {
	maps.DeleteFunc(kinds, func(key [2]string, _ diskKind) bool { return !there[key[0]] })
}

// tagsOf tells the labels that were asked for.
func (a *about) tagsOf(i instance) {
	labels := map[string]string{}
	for _, key := range a.tags {
		if value := i.Labels[key]; value != "" {
			labels["tag_"+collect.Snake(key)] = value
		}
	}
	if len(labels) > 0 {
		a.add(i, "vm_tags", 1, labels)
	}
}

// inventoryNames are the metrics that the inventory alone decides the presence of.
var inventoryNames = map[string]bool{
	"vm_state": true, "vm_start_time_seconds": true, "vm_info": true, "vm_disk_info": true, "vm_network_info": true, "vm_tags": true,
	"vm_vcpus": true, "vm_memory_limit_bytes": true, "vm_disk_capacity_bytes": true,
}
