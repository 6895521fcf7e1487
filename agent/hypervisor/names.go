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

// isBase tells an imported image; a name that merely begins alike is somebody else's.
func isBase(volume string) bool {
	kind, _ := OwnerOf(volume)
	return kind == OwnerImage
}

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
