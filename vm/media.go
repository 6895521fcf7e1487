package vm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoDrive is a machine without a CD-ROM drive that could take a medium, or without the one that was named.
var ErrNoDrive = errors.New("no such CD-ROM drive")

// Medium is what lies in a CD-ROM drive: an image of the cluster, or a volume that a pool has. Empty is nothing.
type Medium struct {
	Image string
	// Pool and Source name the volume.
	Pool, Source string
}

// Drive is a CD-ROM drive of a machine. The drive of the ISO has the name ISOVolume.
type Drive struct {
	Name, Bus string
	Medium    Medium
}

// Drives lists the CD-ROM drives of a definition in the order in which the guest sees them. A seed for systems that read it
// from a CD-ROM is none: nothing else ever lies in it.
func (d Definition) Drives() []Drive {
	var all []Drive
	for _, v := range d.Volumes {
		if v.Device == DeviceCDROM {
			all = append(all, Drive{v.Name, v.Bus, Medium{v.Image, v.Pool, v.Source}.plain()})
		}
	}
	if d.ISO != "" {
		all = append(all, Drive{ISOVolume, DriveBus(DeviceCDROM, d.Machine), Medium{Image: d.ISO}})
	}
	return all
}

// plain leaves out the pool where it says nothing.
func (m Medium) plain() Medium {
	if m.Source == "" {
		m.Pool = ""
	}
	return m
}

// BootsISO tells whether the drive of the ISO has something in it to start from, however the definition says so.
func (d Definition) BootsISO() bool {
	return slices.ContainsFunc(d.Drives(), func(drive Drive) bool { return drive.Name == ISOVolume && drive.Medium != (Medium{}) })
}

// WithMedium gives a normalised definition with a medium in a drive, in place of what lies there. The drive is named, or is
// that of the ISO, or the first. A machine without one gets the drive of the ISO: while it is stopped as a definition with
// iso has it, while it runs on SCSI, the one bus that takes a drive then. The error is ErrNoDrive where that is not possible.
func WithMedium(def Definition, drive string, m Medium, runs bool) (Definition, error) {
	def = Clone(def)
	if name, found := def.chooseDrive(drive); found {
		def.fillDrive(name, m)
		return def, nil
	}
	if drive != "" && drive != ISOVolume || def.hasVolume(ISOVolume) {
		return def, def.noDrive(drive)
	}
	if runs {
		if err := def.takesDrive(); err != nil {
			return def, err
		}
	}
	fresh := def.emptyDrive()
	if runs {
		fresh.Bus = BusSCSI
	}
	def.Volumes = append(def.Volumes, fresh)
	def.fillDrive(ISOVolume, m)
	return def, nil
}

// WithoutMedium gives a normalised definition with nothing in a drive, which stays. It is chosen as by WithMedium, but among
// those that hold something.
func WithoutMedium(def Definition, drive string) (Definition, error) {
	def = Clone(def)
	if drive == "" {
		for _, d := range def.Drives() {
			if d.Medium != (Medium{}) && (drive == "" || d.Name == ISOVolume) {
				drive = d.Name
			}
		}
	}
	name, found := def.chooseDrive(drive)
	if !found {
		return def, def.noDrive(drive)
	}
	def.fillDrive(name, Medium{})
	return def, nil
}

// chooseDrive is the drive that is named, else that of the ISO, else the first.
func (d Definition) chooseDrive(name string) (string, bool) {
	drives := d.Drives()
	if name == "" {
		name = ISOVolume
		if len(drives) > 0 && !slices.ContainsFunc(drives, func(d Drive) bool { return d.Name == ISOVolume }) {
			name = drives[0].Name
		}
	}
	return name, slices.ContainsFunc(drives, func(d Drive) bool { return d.Name == name })
}

func (d Definition) hasVolume(name string) bool {
	return slices.ContainsFunc(d.Volumes, func(v Volume) bool { return v.Name == name })
}

// emptyDrive is what is left of an ISO's drive without the ISO.
func (d Definition) emptyDrive() Volume {
	return Volume{Name: ISOVolume, Pool: d.Pool, Format: FormatRaw, Bus: DriveBus(DeviceCDROM, d.Machine), Device: DeviceCDROM, ReadOnly: true}
}

// fillDrive changes what lies in a drive that is there. An image in the plain drive of the ISO is written as iso, which is
// the same: iso comes after all volumes, so that the order of the disks does not change.
func (d *Definition) fillDrive(name string, m Medium) {
	if name == ISOVolume && d.ISO != "" {
		d.ISO = ""
		d.Volumes = append(d.Volumes, d.emptyDrive())
	}
	i := slices.IndexFunc(d.Volumes, func(v Volume) bool { return v.Name == name })
	v := &d.Volumes[i]
	v.Image, v.Source = m.Image, m.Source
	switch {
	case m.Source != "":
		v.Pool = m.Pool
	case name == ISOVolume:
		v.Pool = d.Pool
	}
	plain := d.emptyDrive()
	plain.Image = m.Image
	if last := len(d.Volumes) - 1; i == last && *v == plain && m.Image != "" {
		d.ISO, d.Volumes = m.Image, d.Volumes[:last]
	}
	if len(d.Volumes) == 0 {
		d.Volumes = nil
	}
}

// takesDrive tells why a machine cannot be given a drive while it runs.
func (d Definition) takesDrive() error {
	onSCSI := slices.ContainsFunc(d.Volumes, func(v Volume) bool { return v.Bus == BusSCSI }) || d.RootDisk.Bus == BusSCSI
	switch {
	case !d.System().VirtioDisk:
		return fmt.Errorf("%w: it has none, and its system %s has no driver for one that is plugged in while it runs: stop it first, or give it one at creation with iso", ErrNoDrive, d.OSType)
	case IsI440fx(d.Machine) && !onSCSI:
		return fmt.Errorf("%w: it has none, and machine type %s takes none while it runs: stop it first, or give it one at creation with iso", ErrNoDrive, d.Machine)
	}
	return nil
}

func (d Definition) noDrive(name string) error {
	var names []string
	for _, drive := range d.Drives() {
		names = append(names, drive.Name)
	}
	switch {
	case len(names) > 0:
		return fmt.Errorf("%w: %q: its drives are %s", ErrNoDrive, name, strings.Join(names, ", "))
	case d.hasVolume(ISOVolume):
		return fmt.Errorf("%w: it has none, and its disk %q has the name that one would get", ErrNoDrive, ISOVolume)
	}
	return fmt.Errorf("%w: it has none", ErrNoDrive)
}
