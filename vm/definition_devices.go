package vm

// RootDisk says how the root disk is attached; its size, image and pool stand in the definition itself.
type RootDisk struct {
	// Format is "qcow2" or "raw".
	Format string `json:"format,omitempty"`
	// Bus is "virtio", "sata", "scsi" or "ide".
	Bus string `json:"bus,omitempty"`
	DiskOptions
}

// Volume is one disk besides the root disk.
type Volume struct {
	// Name is unique within the machine; data-1, data-2 … where left out.
	Name string `json:"name"`
	// Pool is the storage pool of the volume.
	Pool string `json:"pool,omitempty"`
	// SizeGB is the virtual size in GiB, 1 to MaxDiskGB.
	SizeGB int `json:"sizeGB,omitempty"`
	// Format is "qcow2" or "raw".
	Format string `json:"format,omitempty"`
	// Image is the image that the disk is an overlay of, or that lies in the drive.
	Image string `json:"image,omitempty"`
	// Bus is "virtio", "sata", "scsi", "ide" or "fdc".
	Bus string `json:"bus,omitempty"`
	// Device is "disk", "cdrom" or "floppy".
	Device string `json:"device,omitempty"`
	// Source is a volume that the pool has already. It is used as it is and outlives the machine.
	Source string `json:"source,omitempty"`
	// ReadOnly lets other machines that only read use the same Source.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Shareable lets other machines write to the same Source; its format is raw.
	Shareable bool `json:"shareable,omitempty"`
	DiskOptions
}

// DiskOptions are what the root disk and all others have in common.
type DiskOptions struct {
	// Cache is "none", "writeback", "writethrough", "directsync" or "unsafe"; empty leaves it to the hypervisor.
	Cache string `json:"cache,omitempty"`
	// IO is "threads", "native" or "io_uring"; empty leaves it to the hypervisor.
	IO string `json:"io,omitempty"`
	// Discard is "unmap" or "ignore": what becomes of blocks that the guest has given up.
	Discard string `json:"discard,omitempty"`
	// BootOrder counts from 1 over disks and network cards; 0 means not started from, if any other has an order.
	BootOrder int `json:"bootOrder,omitempty"`
	// Serial is what the guest sees as the serial number: up to MaxDiskSerial printable bytes.
	Serial string `json:"serial,omitempty"`
	// Queues let several CPUs serve a disk on the bus virtio; 0 leaves it to the hypervisor.
	Queues int `json:"queues,omitempty"`
	// IOEventFD is for the bus virtio too: requests are handled beside the guest's CPUs.
	IOEventFD *bool   `json:"ioEventFD,omitempty"`
	QoS       DiskQoS `json:"qos,omitzero"`
}

// DiskQoS limits a disk, per second: a total, or reading and writing each; 0 means no limit.
type DiskQoS struct {
	// TotalIOPS are requests a second.
	TotalIOPS int `json:"totalIOPS,omitempty"`
	// ReadIOPS are requests a second, without a total.
	ReadIOPS int `json:"readIOPS,omitempty"`
	// WriteIOPS are requests a second, without a total.
	WriteIOPS int `json:"writeIOPS,omitempty"`
	// TotalBytes are bytes a second.
	TotalBytes int `json:"totalBytes,omitempty"`
	// ReadBytes are bytes a second, without a total.
	ReadBytes int `json:"readBytes,omitempty"`
	// WriteBytes are bytes a second, without a total.
	WriteBytes int `json:"writeBytes,omitempty"`
}

// NetworkInterface is one network card: on a libvirt network, on a bridge of the host, or behind the hypervisor process.
type NetworkInterface struct {
	// Network is a network of the cluster or of libvirt.
	Network string `json:"network,omitempty"`
	// Bridge is a bridge of the host, instead of a network.
	Bridge string `json:"bridge,omitempty"`
	// User lets the hypervisor process itself forward packets: out, never in.
	User bool `json:"user,omitempty"`
	// Model is "virtio", "e1000e", "e1000" or "rtl8139".
	Model string `json:"model,omitempty"`
	// MAC is a unicast address; one in 52:54:00 is chosen when empty.
	MAC string `json:"mac,omitempty"`
	// VLAN is 1 to MaxVLAN; 0 means untagged.
	VLAN int `json:"vlan,omitempty"`
	// MTU is in bytes, from MinMTU to the bridge's; 0 means that of the network.
	MTU int `json:"mtu,omitempty"`
	// Queues lets several CPUs serve a virtio card, at most MaxQueues and one for each; 0 means one.
	Queues int    `json:"queues,omitempty"`
	QoS    NICQoS `json:"qos,omitzero"`
	// SecurityGroup is a security group of the cluster, or a filter of libvirt such as clean-traffic.
	SecurityGroup string `json:"securityGroup,omitempty"`
	// Address is an IPv4 address on a network of the cluster; empty means the next free one where the network assigns them.
	Address string `json:"address,omitempty"`
	// HostInterface is the name of the card's other end on the host, to MaxInterfaceName bytes; empty means one that the host chooses.
	HostInterface string `json:"hostInterface,omitempty"`
	// BootOrder counts from 1 over disks and network cards; 0 means not started from.
	BootOrder int `json:"bootOrder,omitempty"`
}

// NICQoS limits a network card, as seen from the guest.
type NICQoS struct {
	Inbound  Bandwidth `json:"inbound,omitzero"`
	Outbound Bandwidth `json:"outbound,omitzero"`
}

// Bandwidth is a limit in KiB a second, with a peak that is allowed for a burst of that many KiB.
type Bandwidth struct {
	// AverageKBps is in KiB a second.
	AverageKBps int `json:"averageKBps,omitempty"`
	// PeakKBps is in KiB a second, at least the average.
	PeakKBps int `json:"peakKBps,omitempty"`
	// BurstKB is how many KiB may pass at the peak.
	BurstKB int `json:"burstKB,omitempty"`
}

// Devices are the smaller ones. Each is as the guest's system needs it where nothing is said.
type Devices struct {
	// Serial is the console.
	Serial *bool `json:"serial,omitempty"`
	// Graphics is "none" or "vnc": a screen, seen from the host alone.
	Graphics string `json:"graphics,omitempty"`
	// GuestAgent is the channel of the QEMU guest agent.
	GuestAgent *bool `json:"guestAgent,omitempty"`
	// RNG gives the guest randomness of the host.
	RNG *bool `json:"rng,omitempty"`
	// Watchdog is what happens when the guest no longer feeds its watchdog: "reset", "poweroff", "pause",
	// "inject-nmi" or "none"; empty means that it has none.
	Watchdog string `json:"watchdog,omitempty"`
	// HostDevices are devices of the host that the guest gets to itself.
	HostDevices []HostDevice `json:"hostDevices,omitempty"`
}

// HostDevice is a device of the host: one of the two.
type HostDevice struct {
	// PCI is an address such as 0000:3b:00.0.
	PCI string `json:"pci,omitempty"`
	// USB is a vendor and a product such as 046d:c52b.
	USB string `json:"usb,omitempty"`
}
