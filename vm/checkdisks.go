package vm

import (
	"fmt"
	"slices"
)

func (c *checker) disks(def Definition) {
	c.thing("pool", def.Pool)
	c.rootDisk(def)
	if def.ISO != "" {
		c.thing("iso", def.ISO)
	}
	if len(def.Volumes) > MaxVolumes {
		c.add("volumes", fmt.Sprintf("more than %d disks", MaxVolumes), fmt.Sprintf("at most %d", MaxVolumes), "remove some")
		return
	}
	seen := map[string]string{RootVolume: "the root disk"}
	if def.CloudInit != nil {
		seen[SeedVolume] = "the cloud-init seed"
	}
	if def.ISO != "" {
		seen[ISOVolume] = "the drive of the ISO"
	}
	for i, v := range def.Volumes {
		path := fmt.Sprintf("volumes[%d]", i)
		c.volume(path, v, def)
		c.volumeName(path, v.Name, seen)
	}
	c.busRoom(def)
}

func (c *checker) rootDisk(def Definition) {
	if def.Image != "" {
		c.thing("image", def.Image)
		if def.DiskGB == 0 {
			c.add("diskGB", def.DiskGB, "at least 1 with an image", "give the size of the root disk, at least that of the image")
		}
	}
	root := def.RootDisk
	if def.DiskGB <= 0 {
		if root != (RootDisk{}) {
			c.add("rootDisk", "options of a disk", "none without a root disk", "give diskGB, or leave it out")
		}
		return
	}
	c.diskFormat("rootDisk.format", root.Format, def.Image)
	c.bus("rootDisk.bus", root.Bus, def)
	c.diskOptions("rootDisk", root.DiskOptions, root.Bus, def.CPUs)
}

func (c *checker) volumeName(path, name string, seen map[string]string) {
	if !nameForm.MatchString(name) {
		c.add(path+".name", name, "1 to 63 of A-Z a-z 0-9 -, no - at either end", "choose another name, or leave it out")
		return
	}
	if other, taken := seen[name]; taken {
		c.add(path+".name", name, "unique within the machine", "it is taken by "+other+": choose another name")
	}
	seen[name] = path
}

func (c *checker) volume(path string, v Volume, def Definition) {
	c.thing(path+".pool", v.Pool)
	c.oneOf(path+".device", v.Device, []string{DeviceDisk, DeviceCDROM, DeviceFloppy})
	if v.Image != "" {
		c.thing(path+".image", v.Image)
	}
	if v.Source != "" {
		c.thing(path+".source", v.Source)
	}
	if v.Image != "" && v.Source != "" {
		c.add(path, "image "+v.Image+" and source "+v.Source, "one of the two", "remove one")
	}
	if v.Device == DeviceCDROM || v.Device == DeviceFloppy {
		c.drive(path, v, def)
	} else {
		c.disk(path, v, def)
	}
	c.diskOptions(path, v.DiskOptions, v.Bus, def.CPUs)
}

// drive checks a CD-ROM or floppy, whose medium is an image or a volume that exists, or none.
func (c *checker) drive(path string, v Volume, def Definition) {
	if v.SizeGB != 0 {
		c.add(path+".sizeGB", v.SizeGB, "0 for a "+v.Device+", which is read-only or holds what is in it", "leave it out, or use device disk")
	}
	if v.Format != FormatRaw {
		c.add(path+".format", v.Format, "raw for a "+v.Device, "leave it out")
	}
	if v.Device == DeviceFloppy && !IsPC(def.Arch) {
		c.add(path+".device", v.Device, "disk or cdrom on "+def.Arch, "use cdrom")
	}
	if (v.Bus == BusFloppy) != (v.Device == DeviceFloppy) || v.Bus == BusVirtio {
		c.add(path+".bus", v.Bus, DriveBus(v.Device, def.Machine)+" for a "+v.Device+" on machine "+def.Machine, "leave it out")
		return
	}
	if v.Device == DeviceCDROM {
		c.bus(path+".bus", v.Bus, def)
	}
}

func (c *checker) disk(path string, v Volume, def Definition) {
	switch {
	case v.Source == "":
		c.between(path+".sizeGB", v.SizeGB, 1, MaxDiskGB, " GiB", "give the size of the disk in GiB")
	case v.SizeGB != 0:
		c.add(path+".sizeGB", v.SizeGB, "0 for a volume that exists", "leave it out")
	}
	if v.Source == "" && (v.ReadOnly || v.Shareable) {
		c.add(path, "readOnly or shareable", "neither for a new disk, which nobody else uses", "name a source, or leave it out")
	}
	c.diskFormat(path+".format", v.Format, v.Image)
	if v.Shareable && v.Format != FormatRaw {
		c.add(path+".format", v.Format, "raw for a shareable disk, because nothing else can be written by two", "use raw")
	}
	c.bus(path+".bus", v.Bus, def)
	if v.ReadOnly && (v.Bus == BusSATA || v.Bus == BusIDE) {
		c.add(path+".bus", v.Bus, "virtio or scsi for a disk that is only read", "use one of them, or device cdrom")
	}
}

func (c *checker) diskFormat(path, format, image string) {
	c.oneOf(path, format, []string{FormatQcow2, FormatRaw})
	if image != "" && format == FormatRaw {
		c.add(path, format, "qcow2 for a disk with an image, because it is an overlay", "use qcow2")
	}
}

func (c *checker) bus(path, bus string, def Definition) {
	c.oneOf(path, bus, []string{BusVirtio, BusSATA, BusSCSI, BusIDE})
	if bus == BusIDE && !IsI440fx(def.Machine) {
		c.add(path, bus, "virtio, sata or scsi on machine "+def.Machine, "use sata, or machine pc")
	}
	if bus == BusSATA && !IsI440fx(def.Machine) && !IsQ35(def.Machine) {
		c.add(path, bus, "virtio or scsi on machine "+def.Machine, "use virtio")
	}
}

func (c *checker) diskOptions(path string, o DiskOptions, bus string, cpus int) {
	if o.Cache != "" {
		c.oneOf(path+".cache", o.Cache, cacheModes())
	}
	if o.IO != "" {
		c.oneOf(path+".io", o.IO, ioModes())
	}
	if o.IO == "native" && o.Cache != "none" && o.Cache != "directsync" {
		c.add(path+".io", o.IO, "threads or io_uring unless cache is none or directsync", "use cache none")
	}
	if o.Discard != "" {
		c.oneOf(path+".discard", o.Discard, []string{DiscardUnmap, "ignore"})
	}
	if slices.ContainsFunc([]byte(o.Serial), func(b byte) bool { return b < ' ' || b > '~' }) || len(o.Serial) > MaxDiskSerial {
		c.add(path+".serial", o.Serial, fmt.Sprintf("up to %d printable bytes", MaxDiskSerial), "shorten it, or leave it out")
	}
	if o.Queues != 0 {
		c.between(path+".queues", o.Queues, 1, max(cpus, 1), ", one for each CPU", "ask for fewer, or leave it out")
		c.virtioOnly(path+".queues", o.Queues, bus)
	}
	if o.IOEventFD != nil {
		c.virtioOnly(path+".ioEventFD", *o.IOEventFD, bus)
	}
	c.qos(path+".qos", o.QoS)
}

func (c *checker) qos(path string, q DiskQoS) {
	if q == (DiskQoS{}) {
		return
	}
	const most = 1 << 50
	for _, kind := range []struct {
		name               string
		total, read, write int
	}{{"IOPS", q.TotalIOPS, q.ReadIOPS, q.WriteIOPS}, {"Bytes", q.TotalBytes, q.ReadBytes, q.WriteBytes}} {
		for _, n := range []struct {
			path  string
			value int
		}{{".total", kind.total}, {".read", kind.read}, {".write", kind.write}} {
			c.between(path+n.path+kind.name, n.value, 0, most, " a second", "give a positive number, or leave it out")
		}
		if kind.total != 0 && (kind.read != 0 || kind.write != 0) {
			c.add(path+".total"+kind.name, kind.total, "0 beside read"+kind.name+" or write"+kind.name, "give the total, or reading and writing each")
		}
	}
}

// busRoom counts the disks of each bus that has few places.
func (c *checker) busRoom(def Definition) {
	count := map[string]int{}
	for _, bus := range diskBuses(def) {
		count[bus]++
	}
	for _, b := range []struct {
		bus   string
		limit int
	}{{BusIDE, MaxIDE}, {BusSATA, MaxSATA}, {BusFloppy, MaxFloppy}} {
		if count[b.bus] > b.limit {
			c.add("volumes", fmt.Sprintf("%d disks on %s", count[b.bus], b.bus), fmt.Sprintf("at most %d", b.limit), "use bus virtio or scsi for the others")
		}
	}
	if slots := count[BusVirtio] + len(def.NetworkInterfaces) + len(def.Devices.HostDevices); IsI440fx(def.Machine) && slots > MaxPCISlots {
		c.add("volumes", fmt.Sprintf("%d PCI devices", slots), fmt.Sprintf("at most %d on machine %s", MaxPCISlots, def.Machine), "use machine q35, or bus scsi")
	}
}

// diskBuses is the bus of every disk, the root disk and the drives that we add among them.
func diskBuses(def Definition) []string {
	var buses []string
	if def.DiskGB > 0 {
		buses = append(buses, def.RootDisk.Bus)
	}
	for _, v := range def.Volumes {
		buses = append(buses, v.Bus)
	}
	if def.ISO != "" {
		buses = append(buses, DriveBus(DeviceCDROM, def.Machine))
	}
	if def.CloudInit != nil {
		buses = append(buses, DiskBus(def.System(), def.Machine))
	}
	return buses
}
