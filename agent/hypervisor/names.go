package hypervisor

import (
	"strings"

	"github.com/novacron/novacron/vm"
)

// Everything that a create makes has a name derived from the machine's UUID or the image's content,
// so that it can be found again when every record of the create is lost.
const (
	volumePrefix = "nc-"
	basePrefix   = "nc-base-"
)

// VolumeName is the storage volume behind a disk of a machine.
func VolumeName(id, disk, format string) string { return volumePrefix + id + "-" + disk + "." + format }

// BaseName is the storage volume that holds an imported image.
func BaseName(sha256, format string) string { return basePrefix + sha256 + "." + format }

// ownsVolume tells whether a volume carries the name pattern of a machine.
func ownsVolume(id, volume string) bool { return strings.HasPrefix(volume, volumePrefix+id+"-") }

func isBase(volume string) bool { return strings.HasPrefix(volume, basePrefix) }

// DomainName is what libvirt calls a machine: its name, with the project in front unless it is the default one.
// A dot cannot occur in either, so different machines of a cluster never share one.
func DomainName(def *VMDefinition) string {
	if def.Project == "" || def.Project == vm.DefaultProject {
		return def.Name
	}
	return def.Project + "." + def.Name
}

// consoleLogName is the file that records a machine's serial console.
func consoleLogName(id string) string { return volumePrefix + id + "-console.log" }

// disk is one disk of a machine, the root disk among them.
type disk struct {
	name   string
	pool   string
	format string
	bus    string
	image  string
	sizeGB int
}

// disks lists the root disk, then the volumes.
func disks(def *VMDefinition) []disk {
	var all []disk
	if def.DiskGB > 0 {
		all = append(all, disk{vm.RootVolume, def.Pool, vm.FormatQcow2, vm.DiskBus(def.OSType, def.Machine), def.Image, def.DiskGB})
	}
	for _, v := range def.Volumes {
		all = append(all, disk{v.Name, v.Pool, v.Format, v.Bus, v.Image, v.SizeGB})
	}
	return all
}

// targetName is the n-th device name of a bus, from 0: vda … vdz, vdaa: bijective base 26.
func targetName(bus string, n int) string {
	prefix := map[string]string{"virtio": "vd", "ide": "hd"}[bus]
	if prefix == "" {
		prefix = "sd"
	}
	suffix := ""
	for n++; n > 0; n = (n - 1) / 26 {
		suffix = string(rune('a'+(n-1)%26)) + suffix
	}
	return prefix + suffix
}
