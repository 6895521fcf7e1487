package azuremonitor

import (
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"github.com/novacron/novacron/agent/collect"
)

// machine is what the inventory says of one virtual machine.
type machine struct {
	// recalled says that it is known of before the start alone, and little of it.
	recalled bool
	// id is the resource id in lower case, uuid the machine's own id.
	id, uuid, name, region string
	size, image, os        string
	zone                   string
	created                time.Time
	tags                   map[string]string
	disks                  []disk
	cards                  []string
	// vcpus is what was asked for in place of what the size has; 0 for none.
	vcpus int
}

// disk is one of a machine's disks.
type disk struct {
	// device is os or lun<LUN>, lun empty for the first.
	device, lun string
	volume      string
	storage     string
	bytes       float64
}

// vmID is what machines are known by: their own id, or that of the resource where it is not told.
func (m machine) vmID() string {
	if m.uuid != "" {
		return m.uuid
	}
	return m.id
}

// labels are those of every series of the machine.
func (m machine) labels(subscription string) map[string]string {
	return map[string]string{
		"cloud_provider": "azure", "cloud_account_id": subscription, "cloud_region": m.region, "vm_id": m.vmID(), "vm_name": m.name,
	}
}

func (m machine) luns() (luns []string) {
	for _, d := range m.disks {
		if d.lun != "" {
			luns = append(luns, d.lun)
		}
	}
	return luns
}

// machineOf reads what the service says of a machine. The service leaves out what it does not know.
func machineOf(vm *armcompute.VirtualMachine) machine {
	m := machine{
		id: collect.AzureID(deref(vm.ID)), name: deref(vm.Name), region: regionName(deref(vm.Location)), tags: map[string]string{},
	}
	for key, value := range vm.Tags {
		m.tags[key] = deref(value)
	}
	if len(vm.Zones) > 0 {
		m.zone = m.region + "-" + deref(vm.Zones[0])
	}
	if p := vm.Properties; p != nil {
		m.properties(p)
	}
	return m
}

func (m *machine) properties(p *armcompute.VirtualMachineProperties) {
	m.uuid, m.created = strings.ToLower(deref(p.VMID)), deref(p.TimeCreated)
	if p.HardwareProfile != nil {
		m.size = string(deref(p.HardwareProfile.VMSize))
		if asked := p.HardwareProfile.VMSizeProperties; asked != nil {
			m.vcpus = int(deref(asked.VCPUsAvailable))
		}
	}
	if p.NetworkProfile != nil {
		for _, card := range p.NetworkProfile.NetworkInterfaces {
			m.cards = append(m.cards, strings.ToLower(lastOf(deref(card.ID))))
		}
	}
	if p.StorageProfile != nil {
		m.storage(p.StorageProfile)
	}
}

func (m *machine) storage(p *armcompute.StorageProfile) {
	if p.ImageReference != nil {
		m.image = imageOf(p.ImageReference)
	}
	if d := p.OSDisk; d != nil {
		m.os = strings.ToLower(string(deref(d.OSType)))
		m.disks = append(m.disks, diskOf("os", "", d.ManagedDisk, d.DiskSizeGB))
	}
	for _, d := range p.DataDisks {
		if d.Lun == nil {
			continue
		}
		lun := strconv.Itoa(int(*d.Lun))
		m.disks = append(m.disks, diskOf("lun"+lun, lun, d.ManagedDisk, d.DiskSizeGB))
	}
}

func diskOf(device, lun string, managed *armcompute.ManagedDiskParameters, gigabytes *int32) disk {
	d := disk{device: device, lun: lun, bytes: float64(deref(gigabytes)) * (1 << 30)}
	if managed != nil {
		d.volume, d.storage = collect.AzureID(deref(managed.ID)), string(deref(managed.StorageAccountType))
	}
	return d
}

// imageOf names an image of the marketplace by its parts, another by the end of its id.
func imageOf(r *armcompute.ImageReference) string {
	if r.Publisher != nil {
		version := deref(r.ExactVersion)
		if version == "" {
			version = deref(r.Version)
		}
		return strings.Join([]string{deref(r.Publisher), deref(r.Offer), deref(r.SKU), version}, ":")
	}
	for _, id := range []*string{r.ID, r.SharedGalleryImageID, r.CommunityGalleryImageID} {
		if deref(id) != "" {
			return lastOf(*id)
		}
	}
	return ""
}

// power is a machine's state.
type power struct {
	state string
	// at is since when; zero where that is not told.
	at time.Time
}

// states are those that a machine of Azure can be in.
var states = []string{"pending", "running", "stopping", "stopped", "unknown"}

// stateOf are the canonical states of the codes that follow PowerState/.
var stateOf = map[string]string{
	"starting": "pending", "creating": "pending", "running": "running", "stopping": "stopping", "deallocating": "stopping",
	"stopped": "stopped", "deallocated": "stopped", "unknown": "unknown",
}

// powerOf finds the state among the statuses of an instance view. A machine that has none yet is being made.
func powerOf(vm *armcompute.VirtualMachine) power {
	if vm.Properties == nil || vm.Properties.InstanceView == nil {
		return power{state: "unknown"}
	}
	for _, status := range vm.Properties.InstanceView.Statuses {
		kind, code, _ := strings.Cut(deref(status.Code), "/")
		if !strings.EqualFold(kind, "PowerState") {
			continue
		}
		state, known := stateOf[strings.ToLower(code)]
		if !known {
			state = "unknown"
		}
		return power{state: state, at: deref(status.Time)}
	}
	if strings.EqualFold(deref(vm.Properties.ProvisioningState), "Creating") {
		return power{state: "pending"}
	}
	return power{state: "unknown"}
}
