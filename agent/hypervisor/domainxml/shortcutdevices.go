package domainxml

import "libvirt.org/go/libvirtxml"

var (
	typePty      = []attr{{"type", "pty"}}
	typeUnix     = []attr{{"type", "unix"}}
	typeVirtio   = []attr{{"type", "virtio"}}
	typeVNC      = []attr{{"type", "vnc"}}
	typeAddress  = []attr{{"type", "address"}}
	typeEmulator = []attr{{"type", "emulator"}}
	modelRandom  = []attr{{"model", "random"}}
	nothingToSay = []attr{}
)

// shortcutDevice is shortcut for devices of which a machine has one at most.
func shortcutDevice(v any) (first []attr, body any, known bool) {
	switch v := v.(type) {
	case *libvirtxml.DomainSerial:
		first = sourceType(v.Source)
		return first, v, first != nil
	case *libvirtxml.DomainChannel:
		first = sourceType(v.Source)
		return first, v, first != nil
	case *libvirtxml.DomainChardevSource:
		return source(v)
	case *libvirtxml.DomainChannelTarget:
		return typeVirtio, v.VirtIO, v.VirtIO != nil && *v == libvirtxml.DomainChannelTarget{VirtIO: v.VirtIO}
	case *libvirtxml.DomainInput:
		return nil, v, true
	case *libvirtxml.DomainGraphic:
		return typeVNC, v.VNC, v.VNC != nil && *v == libvirtxml.DomainGraphic{XMLName: v.XMLName, VNC: v.VNC}
	case *libvirtxml.DomainGraphicListener:
		return typeAddress, v.Address, v.Address != nil && *v == libvirtxml.DomainGraphicListener{Address: v.Address}
	case *libvirtxml.DomainRNGBackend:
		return modelRandom, v.Random, v.Random != nil && *v == libvirtxml.DomainRNGBackend{Random: v.Random}
	case *libvirtxml.DomainTPMBackend:
		return typeEmulator, v.Emulator, v.Emulator != nil && *v == libvirtxml.DomainTPMBackend{Emulator: v.Emulator}
	default:
		return nil, nil, false
	}
}

// sourceType is what a serial port or channel says of its other end; nil of one that no machine of ours has.
func sourceType(s *libvirtxml.DomainChardevSource) []attr {
	switch {
	case s == nil:
		return nothingToSay
	case s.Pty != nil && *s == libvirtxml.DomainChardevSource{Pty: s.Pty}:
		return typePty
	case s.UNIX != nil && *s == libvirtxml.DomainChardevSource{UNIX: s.UNIX}:
		return typeUnix
	default:
		return nil
	}
}

// source is the other end itself, where there is more to it than its type.
func source(s *libvirtxml.DomainChardevSource) (first []attr, body any, known bool) {
	switch {
	case s.Pty != nil:
		return nil, nil, s.Pty.Path == ""
	case s.UNIX == nil:
		return nil, nil, false
	case s.UNIX.Path == "" && s.UNIX.Mode == "":
		return nil, nil, true
	default:
		return nil, s.UNIX, true
	}
}
