package hypervisor

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

const agentChannel = "org.qemu.guest_agent.0"

func (t *Template) devices(def *VMDefinition) *libvirtxml.DomainDeviceList {
	d := &libvirtxml.DomainDeviceList{
		Disks:      t.diskDevices(def),
		Interfaces: nicDevices(def),
		MemBalloon: balloon(def),
		TPMs:       t.tpm(def),
		Watchdogs:  watchdogs(def),
		Hostdevs:   hostDevices(def),
	}
	if vm.On(def.Devices.Serial) {
		d.Serials = []libvirtxml.DomainSerial{t.serial(def)}
	}
	if vm.On(def.Devices.GuestAgent) {
		d.Channels = []libvirtxml.DomainChannel{guestAgent()}
	}
	if vm.On(def.Devices.RNG) {
		d.RNGs = []libvirtxml.DomainRNG{randomness(def)}
	}
	if def.Devices.Graphics == vm.GraphicsVNC {
		t.screen(def, d)
	}
	d.Controllers = controllers(def, d)
	return d
}

// serial is the console: a pseudo-terminal, recorded to a file whether anyone listens or not.
func (t *Template) serial(def *VMDefinition) libvirtxml.DomainSerial {
	port := uint(0)
	s := libvirtxml.DomainSerial{
		Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
		Target: &libvirtxml.DomainSerialTarget{Port: &port},
	}
	if t.ConsoleLogDir != "" {
		s.Log = &libvirtxml.DomainChardevLog{File: path.Join(t.ConsoleLogDir, consoleLogName(def.UUID)), Append: "on"}
	}
	return s
}

func guestAgent() libvirtxml.DomainChannel {
	return libvirtxml.DomainChannel{
		Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind"}},
		Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: agentChannel}},
	}
}

func randomness(def *VMDefinition) libvirtxml.DomainRNG {
	r := libvirtxml.DomainRNG{Model: "virtio", Backend: &libvirtxml.DomainRNGBackend{
		Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}}}
	if encrypted(def) {
		r.Driver = &libvirtxml.DomainRNGDriver{IOMMU: "on"}
	}
	return r
}

func balloon(def *VMDefinition) *libvirtxml.DomainMemBalloon {
	if !vm.On(def.Memory.Balloon) {
		return &libvirtxml.DomainMemBalloon{Model: "none"}
	}
	b := &libvirtxml.DomainMemBalloon{Model: "virtio", Stats: &libvirtxml.DomainMemBalloonStats{Period: balloonPeriod}}
	if encrypted(def) {
		b.Driver = &libvirtxml.DomainMemBalloonDriver{IOMMU: "on"}
	}
	return b
}

// encrypted tells a guest whose memory devices can reach only through bounce buffers.
func encrypted(def *VMDefinition) bool { return def.LaunchSecurity == vm.LaunchSEV }

// tpm is an emulated one: where it was asked for, or where there is UEFI and the host has the emulator.
func (t *Template) tpm(def *VMDefinition) []libvirtxml.DomainTPM {
	auto := def.TPM == vm.TPMAuto && def.Firmware == vm.FirmwareUEFI && t.Host.Guest != nil && t.Host.Guest.TPM
	if def.TPM != vm.TPM2 && !auto {
		return nil
	}
	model := map[string]string{"x86_64": "tpm-crb", "i686": "tpm-crb", "ppc64": "tpm-spapr"}[def.Arch]
	if model == "" {
		model = "tpm-tis"
	}
	return []libvirtxml.DomainTPM{{Model: model, Backend: &libvirtxml.DomainTPMBackend{
		Emulator: &libvirtxml.DomainTPMBackendEmulator{Version: vm.TPM2}}}}
}

func watchdogs(def *VMDefinition) []libvirtxml.DomainWatchdog {
	if def.Devices.Watchdog == "" {
		return nil
	}
	model := "i6300esb"
	if def.Arch == "s390x" {
		model = "diag288"
	}
	return []libvirtxml.DomainWatchdog{{Model: model, Action: def.Devices.Watchdog}}
}

func hostDevices(def *VMDefinition) []libvirtxml.DomainHostdev {
	var list []libvirtxml.DomainHostdev
	for _, h := range def.Devices.HostDevices {
		if h.PCI != "" {
			list = append(list, libvirtxml.DomainHostdev{Managed: "yes", SubsysPCI: &libvirtxml.DomainHostdevSubsysPCI{
				Source: &libvirtxml.DomainHostdevSubsysPCISource{Address: pciAddress(h.PCI)}}})
			continue
		}
		vendor, product, _ := strings.Cut(h.USB, ":")
		list = append(list, libvirtxml.DomainHostdev{Managed: "yes", SubsysUSB: &libvirtxml.DomainHostdevSubsysUSB{
			Source: &libvirtxml.DomainHostdevSubsysUSBSource{
				Vendor:  &libvirtxml.DomainHostDevProductVendorID{ID: "0x" + vendor},
				Product: &libvirtxml.DomainHostDevProductVendorID{ID: "0x" + product},
			}}})
	}
	return list
}

// pciAddress reads an address such as 0000:3b:00.0, whose form validation has made sure of.
func pciAddress(text string) *libvirtxml.DomainAddressPCI {
	var part [4]uint
	for i, hex := range strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '.' }) {
		n, _ := strconv.ParseUint(hex, 16, 32)
		part[i] = uint(n)
	}
	return &libvirtxml.DomainAddressPCI{Domain: &part[0], Bus: &part[1], Slot: &part[2], Function: &part[3]}
}

// screen adds VNC on the loopback device, for TCP and for browsers, and a pointer that knows where it is.
func (t *Template) screen(def *VMDefinition, d *libvirtxml.DomainDeviceList) {
	const loopback = "127.0.0.1"
	d.Graphics = []libvirtxml.DomainGraphic{{VNC: &libvirtxml.DomainGraphicVNC{Port: -1, AutoPort: "yes", WebSocket: -1,
		Listeners: []libvirtxml.DomainGraphicListener{{Address: &libvirtxml.DomainGraphicListenerAddress{Address: loopback}}}}}}
	d.Videos = []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: t.videoModel(def), Primary: "yes", Heads: 1}}}
	d.Inputs = []libvirtxml.DomainInput{{Type: "tablet", Bus: inputBus(def)}}
	if !vm.IsPC(def.Arch) {
		d.Inputs = append(d.Inputs, libvirtxml.DomainInput{Type: "keyboard", Bus: inputBus(def)})
	}
}

func (t *Template) videoModel(def *VMDefinition) string {
	offered := t.Host.Guest == nil || slices.Contains(t.Host.Guest.VideoModels, "virtio")
	if vm.IsPC(def.Arch) && (def.System().Windows || !offered) {
		return "vga"
	}
	return "virtio"
}

// inputBus is USB but on mainframes, which have none.
func inputBus(def *VMDefinition) string {
	if def.Arch == "s390x" {
		return "virtio"
	}
	return "usb"
}
