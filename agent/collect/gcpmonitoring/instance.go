package gcpmonitoring

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// instance is what the inventory knows of a machine.
type instance struct {
	ID, Name, Zone, Project, MachineType, Status string

	Started time.Time
	Labels  map[string]string
	Disks   []disk
	// NICs are their names with those of their networks.
	NICs [][2]string
}

// disk is one that is attached.
type disk struct {
	device, volume, driver, kind string
	bytes                        float64
}

// machineType is what machines of it have.
type machineType struct {
	cpus   float64
	memory float64 // bytes
}

func (j instanceJSON) instance(project string) instance {
	i := instance{
		ID: j.ID, Name: j.Name, Zone: path.Base(j.Zone), Project: project, MachineType: path.Base(j.MachineType), Status: j.Status, Labels: j.Labels,
	}
	if at, err := time.Parse(time.RFC3339Nano, j.Started); err == nil {
		i.Started = at.UTC()
	}
	for _, d := range j.Disks {
		one := disk{device: d.Device, driver: strings.ToLower(d.Interface), kind: strings.ToLower(d.Type)}
		if d.Source != "" {
			one.volume = path.Base(d.Source)
		}
		if gib, err := strconv.ParseFloat(d.SizeGB, 64); err == nil {
			one.bytes = gib * (1 << 30)
		}
		i.Disks = append(i.Disks, one)
	}
	for _, n := range j.NetworkInterfaces {
		i.NICs = append(i.NICs, [2]string{n.Name, path.Base(n.Network)})
	}
	return i
}

// states are the canonical ones of the API's.
var states = map[string]string{
	"PROVISIONING": "pending", "STAGING": "pending", "PENDING": "pending", "RUNNING": "running", "SUSPENDING": "suspended", "SUSPENDED": "suspended",
	"STOPPING": "stopping", "PENDING_STOP": "stopping", "DEPROVISIONING": "stopping", "TERMINATED": "stopped", "STOPPED": "stopped", "REPAIRING": "repairing",
}

// allStates are those of vm_state.
var allStates = []string{"pending", "running", "paused", "suspended", "stopping", "stopped", "repairing", "crashed", "terminated", "unknown"}

func (i instance) state() string {
	if state, known := states[i.Status]; known {
		return state
	}
	return "unknown"
}

// running tells whether periods go on: a machine that is about to stop or is repaired still has them.
func (i instance) running() bool { return i.Status == "RUNNING" }

// has tells whether a disk is attached.
func (i instance) has(device string) bool {
	for _, d := range i.Disks {
		if d.device == device {
			return true
		}
	}
	return false
}

// labels are those of every series of the machine.
func (i instance) labels() map[string]string {
	name := i.Name
	if name == "" {
		name = i.ID
	}
	return map[string]string{
		"cloud_provider": "gcp", "cloud_account_id": i.Project, "cloud_region": collect.GCPRegion(i.Zone), "vm_id": i.ID, "vm_name": name,
	}
}
