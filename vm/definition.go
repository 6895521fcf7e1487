// Package vm holds the definition of a virtual machine, its defaults and its rules, as pure values that both controllers and agents use.
package vm

// Definition is what a user asks for: the YAML and JSON form of a virtual machine.
// Fields left empty are filled in once, by Normalise, when the machine is created.
type Definition struct {
	// Name is 1-63 characters of [A-Za-z0-9-], without "-" at either end, not digits alone.
	Name string `json:"name"`
	// Project is a group of machines; names are unique within one.
	Project string `json:"project,omitempty"`
	// UUID is the machine's identity everywhere, in libvirt too; the server chooses it when empty.
	UUID string `json:"uuid,omitempty"`
	// Labels are for selecting: at most MaxLabels, keys of 1-63 characters, values to maxLabelValue bytes.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are for remembering: at most MaxLabels, values to maxAnnotation bytes.
	Annotations map[string]string `json:"annotations,omitempty"`

	// OSType is the guest's system, such as debian or windows; defaults and minima follow it.
	OSType string `json:"osType,omitempty"`
	// OSVersion is the system's version; an unknown one is a warning.
	OSVersion string `json:"osVersion,omitempty"`
	// Arch is the guest architecture in libvirt's words, such as x86_64.
	Arch string `json:"arch,omitempty"`

	// CPUs are the virtual CPUs, 1 to MaxCPUs and no more than the host has.
	CPUs int `json:"cpus"`
	CPU  CPU `json:"cpu,omitzero"`
	// MemoryMB is the memory in MiB, MinMemoryMB to MaxMemoryMB and no more than the host has.
	MemoryMB int    `json:"memoryMB"`
	Memory   Memory `json:"memory,omitzero"`
	// DiskGB is the size of the root disk in GiB, to MaxDiskGB; 0 means none.
	DiskGB   int      `json:"diskGB,omitempty"`
	RootDisk RootDisk `json:"rootDisk,omitzero"`
	// Image is the image that the root disk is an overlay of; empty means a blank disk.
	Image string `json:"image,omitempty"`
	// Pool is the storage pool of the root disk and of all that names none.
	Pool string `json:"pool,omitempty"`

	// Volumes are the disks besides the root disk.
	Volumes           []Volume           `json:"volumes,omitempty"`
	NetworkInterfaces []NetworkInterface `json:"networkInterfaces,omitempty"`

	// ISO is an image that lies in a CD-ROM drive and is started from when the root disk does not start.
	ISO string `json:"iso,omitempty"`
	// CloudInit is what the guest's cloud-init finds at its first start; nil means nothing.
	CloudInit *CloudInit `json:"cloudInit,omitempty"`
	// Boot starts a kernel directly; nil means from the first disk.
	Boot      *DirectBoot `json:"boot,omitempty"`
	Devices   Devices     `json:"devices,omitzero"`
	Placement Placement   `json:"placement,omitzero"`

	// Machine is the machine type in libvirt's words, such as q35.
	Machine string `json:"machine,omitempty"`
	// Firmware is "bios" or "uefi".
	Firmware string `json:"firmware,omitempty"`
	// SecureBoot lets only signed loaders start; it needs uefi and q35.
	SecureBoot *bool `json:"secureBoot,omitempty"`
	// TPM is "2.0", "none", or "auto": one where the firmware is uefi and the host can emulate it.
	TPM string `json:"tpm,omitempty"`
	// LaunchSecurity is "none" or "sev": memory encrypted by an AMD processor.
	LaunchSecurity string `json:"launchSecurity,omitempty"`
	// Clock is "utc" or "localtime".
	Clock string `json:"clock,omitempty"`
	// HyperV offers Windows what makes it fast under a hypervisor, as far as the host has it.
	HyperV *bool `json:"hyperV,omitempty"`

	// Autostart runs the machine again when its host has started again, if it ran before.
	Autostart *bool `json:"autostart,omitempty"`
	// RestartPolicy is "always", "on-failure" or "never": what happens when the guest has stopped by itself.
	RestartPolicy string `json:"restartPolicy,omitempty"`
	// EvacuationPolicy is "migrate", "restart", "stop" or "never": what happens when its host is to be emptied.
	EvacuationPolicy string `json:"evacuationPolicy,omitempty"`
	// StopTimeoutSeconds is how long a graceful stop may take before force is used, to MaxStopSeconds.
	StopTimeoutSeconds int `json:"stopTimeoutSeconds,omitempty"`
}
