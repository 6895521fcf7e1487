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
	// Name is unique within the machine.
	Name string `json:"name"`
	Pool string `json:"pool,omitempty"`
	// SizeGB is the virtual size in GiB.
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
	// ReadOnly and Shareable let other machines use the same Source.
	ReadOnly  bool `json:"readOnly,omitempty"`
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
	// Serial is what the guest sees as the serial number: up to 20 printable bytes.
	Serial string `json:"serial,omitempty"`
	// Queues and IOEventFD are for the bus virtio.
	Queues    int     `json:"queues,omitempty"`
	IOEventFD *bool   `json:"ioEventFD,omitempty"`
	QoS       DiskQoS `json:"qos,omitzero"`
}

// DiskQoS limits a disk, per second: a total, or reading and writing each; 0 means no limit.
type DiskQoS struct {
	TotalIOPS  int `json:"totalIOPS,omitempty"`
	ReadIOPS   int `json:"readIOPS,omitempty"`
	WriteIOPS  int `json:"writeIOPS,omitempty"`
	TotalBytes int `json:"totalBytes,omitempty"`
	ReadBytes  int `json:"readBytes,omitempty"`
	WriteBytes int `json:"writeBytes,omitempty"`
}

// NetworkInterface is one network card: on a libvirt network, on a bridge of the host, or behind the hypervisor process.
type NetworkInterface struct {
	Network string `json:"network,omitempty"`
	Bridge  string `json:"bridge,omitempty"`
	// User lets the hypervisor process itself forward packets: out, never in.
	User bool `json:"user,omitempty"`
	// Model is "virtio", "e1000e", "e1000" or "rtl8139".
	Model string `json:"model,omitempty"`
	MAC   string `json:"mac,omitempty"`
	// VLAN is 1-4094; 0 means untagged.
	VLAN int `json:"vlan,omitempty"`
	// MTU is in bytes; 0 means that of the network.
	MTU int `json:"mtu,omitempty"`
	// Queues lets several CPUs serve a virtio card; 0 means one.
	Queues int    `json:"queues,omitempty"`
	QoS    NICQoS `json:"qos,omitzero"`
	// SecurityGroup is a security group of the cluster, or a filter of libvirt such as clean-traffic.
	SecurityGroup string `json:"securityGroup,omitempty"`
	// Address is an IPv4 address on a network of the cluster; empty means the next free one where the network assigns them.
	Address string `json:"address,omitempty"`
	// HostInterface is the name of the card's other end on the host; empty means one that the host chooses.
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
	AverageKBps int `json:"averageKBps,omitempty"`
	PeakKBps    int `json:"peakKBps,omitempty"`
	BurstKB     int `json:"burstKB,omitempty"`
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
