// Package vm holds the definition of a virtual machine, its defaults and its rules, as pure values that both controllers and agents use.
package vm

// Definition is what a user asks for: the YAML and JSON form of a virtual machine.
// Fields left empty are filled in once, by Normalise, when the machine is created.
type Definition struct {
	// Name is 1-63 characters of [A-Za-z0-9-], without "-" at either end, not digits alone.
	Name string `json:"name"`
	// Project groups machines; names are unique within one. Default "default".
	Project string `json:"project,omitempty"`
	// UUID is the machine's identity everywhere, in libvirt too; the server chooses it when empty.
	UUID string `json:"uuid,omitempty"`
	// Labels are for selecting, Annotations for remembering.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	OSType    string `json:"osType,omitempty"`
	OSVersion string `json:"osVersion,omitempty"`
	// Arch is the guest architecture in libvirt's words, such as x86_64.
	Arch string `json:"arch,omitempty"`

	CPUs int `json:"cpus"`
	// MemoryMB is in MiB.
	MemoryMB int `json:"memoryMB"`
	// DiskGB is the size of the root disk in GiB; 0 means none.
	DiskGB int `json:"diskGB,omitempty"`
	// Image is the image that the root disk is an overlay of; empty means a blank disk.
	Image string `json:"image,omitempty"`
	// Pool is the storage pool of the root disk.
	Pool string `json:"pool,omitempty"`

	// Volumes are the disks besides the root disk.
	Volumes           []Volume           `json:"volumes,omitempty"`
	NetworkInterfaces []NetworkInterface `json:"networkInterfaces,omitempty"`

	// Boot starts a kernel directly; nil means from the first disk.
	Boot      *DirectBoot `json:"boot,omitempty"`
	Placement Placement   `json:"placement,omitzero"`

	// Machine is the machine type in libvirt's words, such as q35.
	Machine string `json:"machine,omitempty"`
	// Firmware is "bios" or "uefi".
	Firmware string `json:"firmware,omitempty"`
	// StopTimeoutSeconds is how long a graceful stop may take before force is used.
	StopTimeoutSeconds int `json:"stopTimeoutSeconds,omitempty"`
}

// Volume is one disk.
type Volume struct {
	// Name is unique within the machine.
	Name string `json:"name"`
	Pool string `json:"pool,omitempty"`
	// SizeGB is the virtual size in GiB.
	SizeGB int `json:"sizeGB,omitempty"`
	// Format is "qcow2" or "raw".
	Format string `json:"format,omitempty"`
	// Image is the image that the disk is an overlay of.
	Image string `json:"image,omitempty"`
	// Bus is "virtio", "sata", "scsi" or "ide".
	Bus string `json:"bus,omitempty"`
}

// NetworkInterface is one network card, on a libvirt network or on a bridge of the host.
type NetworkInterface struct {
	Network string `json:"network,omitempty"`
	Bridge  string `json:"bridge,omitempty"`
	// Model is "virtio", "e1000e", "e1000" or "rtl8139".
	Model string `json:"model,omitempty"`
	MAC   string `json:"mac,omitempty"`
}

// DirectBoot names images that hold a kernel and an initial RAM disk.
type DirectBoot struct {
	Kernel  string `json:"kernel"`
	Initrd  string `json:"initrd,omitempty"`
	Cmdline string `json:"cmdline,omitempty"`
}

// Placement narrows down the hosts that a machine may run on.
type Placement struct {
	// Host is the name or id of the only host allowed.
	Host string `json:"host,omitempty"`
	// HostLabels are labels that the host must have.
	HostLabels map[string]string `json:"hostLabels,omitempty"`
}
