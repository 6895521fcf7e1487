package hypervisor

import (
	"path/filepath"
	"regexp"
)

// OwnerKind says to what the name of a stored volume binds it.
type OwnerKind string

// What a volume may belong to. A name that is not exactly of our pattern is foreign.
const (
	OwnerForeign OwnerKind = "foreign"
	OwnerVM      OwnerKind = "vm"
	OwnerImage   OwnerKind = "image"
	OwnerVolume  OwnerKind = "volume"
)

const uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

var (
	vmVolumeName         = regexp.MustCompile(`^` + volumePrefix + `(` + uuidPattern + `)-.+\.[a-z0-9]+$`)
	baseVolumeName       = regexp.MustCompile(`^` + basePrefix + `([0-9a-f]{64})\.[a-z0-9]+$`)
	standaloneVolumeName = regexp.MustCompile(`^` + standalonePrefix + `(` + uuidPattern + `)\.(qcow2|raw)$`)
)

// OwnerOf reads a volume's name: what it belongs to, and the id or hash of that.
func OwnerOf(volume string) (OwnerKind, string) {
	for _, pattern := range []struct {
		kind OwnerKind
		name *regexp.Regexp
	}{{OwnerImage, baseVolumeName}, {OwnerVolume, standaloneVolumeName}, {OwnerVM, vmVolumeName}} {
		if found := pattern.name.FindStringSubmatch(volume); found != nil {
			return pattern.kind, found[1]
		}
	}
	return OwnerForeign, ""
}

// standalonePrefix begins the names of volumes that belong to no machine.
const standalonePrefix = "nc-vol-"

// StandaloneName is the storage volume behind a volume of the cluster that stands alone.
func StandaloneName(id, format string) string { return standalonePrefix + id + "." + format }

// standsAlone tells the name of a volume that machines may have as a disk though it is the cluster's.
func standsAlone(volume string) bool {
	kind, _ := OwnerOf(volume)
	return kind == OwnerVolume
}

// samePath tells whether two paths name one file, as far as their spelling goes.
func samePath(a, b string) bool { return a != "" && filepath.Clean(a) == filepath.Clean(b) }
