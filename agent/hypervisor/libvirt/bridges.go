//go:build cgo && libvirt_dlopen

package libvirt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
)

// Attributes of a link that syscall does not name: include/uapi/linux/if_link.h.
const (
	attrLinkInfo = 18
	attrInfoKind = 1
)

// bridges lists the bridges of this network namespace with their MTUs in bytes. It asks the kernel over netlink, because /sys may show another
// namespace than the one that the process is in.
func bridges() (map[string]int, error) {
	dump, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list network links: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, fmt.Errorf("list network links: %w", err)
	}
	mtus := map[string]int{}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, fmt.Errorf("list network links: %w", err)
		}
		if name := bridgeName(attrs); name != "" {
			mtus[name] = linkMTU(attrs)
		}
	}
	return mtus, nil
}

// linkMTU is in bytes; 0 where the kernel does not tell.
func linkMTU(attrs []syscall.NetlinkRouteAttr) int {
	for _, a := range attrs {
		if a.Attr.Type == syscall.IFLA_MTU && len(a.Value) >= 4 {
			return int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return 0
}

// bridgeName is the link's name where its kind is bridge.
func bridgeName(attrs []syscall.NetlinkRouteAttr) string {
	name, bridge := "", false
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.IFLA_IFNAME:
			name = string(bytes.TrimRight(a.Value, "\x00"))
		case attrLinkInfo:
			bridge = linkKind(a.Value) == "bridge"
		}
	}
	if !bridge {
		return ""
	}
	return name
}

// linkKind walks over nested attributes, each of a length, a type and a value padded to four bytes.
func linkKind(nested []byte) string {
	for len(nested) >= 4 {
		length := int(binary.NativeEndian.Uint16(nested))
		if length < 4 || length > len(nested) {
			return ""
		}
		if binary.NativeEndian.Uint16(nested[2:]) == attrInfoKind {
			return string(bytes.TrimRight(nested[4:length], "\x00"))
		}
		nested = nested[min(len(nested), (length+3)&^3):]
	}
	return ""
}
