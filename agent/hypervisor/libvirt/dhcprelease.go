//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"time"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// A DHCP message: RFC 2131, section 2, and RFC 2132 for the options.
const (
	dhcpServerPort  = 67
	dhcpHeaderBytes = 236
	dhcpCookie      = 0x63825363
	dhcpRequestOp   = 1
	dhcpEthernet    = 1
	dhcpRelease     = 7
)

// How often the server is told of a release, and how long it may take to act on it.
const (
	releaseTries = 10
	releasePause = 50 * time.Millisecond
)

// releaseLease gives an address back to the DHCP server in the name of the card that had it: a guest that was killed
// said no good-bye, and the server would refuse the address to the next card until the lease ran out. It is a courtesy:
// with a server that does not hear it, the next card only waits.
func (d *Driver) releaseLease(ctx context.Context, n *lv.Network, lease hypervisor.Lease) error {
	bridge, server, err := dhcpServerOf(n)
	if err != nil || server == "" {
		return err
	}
	for range releaseTries {
		held, err := holds(n, lease)
		if err != nil || !held {
			return err
		}
		if err := sendRelease(bridge, server, lease); err != nil {
			d.opts.Logger.Debug("a lease was not released", "bridge", bridge, "address", lease.Address, "error", err)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(releasePause):
		}
	}
	d.opts.Logger.Warn("the DHCP server did not hear of a release; the address is free when its lease runs out", "bridge", bridge, "address", lease.Address)
	return nil
}

// dhcpServerOf finds a running network's bridge and address; they are empty where it serves none.
func dhcpServerOf(n *lv.Network) (bridge, server string, err error) {
	active, err := n.IsActive()
	if err != nil || !active {
		return "", "", err
	}
	text, err := n.GetXMLDesc(0)
	if err != nil {
		return "", "", err
	}
	var x libvirtxml.Network
	if err := x.Unmarshal(text); err != nil {
		return "", "", err
	}
	if len(x.IPs) == 0 || x.Bridge == nil {
		return "", "", nil
	}
	return x.Bridge.Name, x.IPs[0].Address, nil
}

// holds tells whether the server has given the address to the card.
func holds(n *lv.Network, lease hypervisor.Lease) (bool, error) {
	leases, err := n.GetDHCPLeases()
	for _, l := range leases {
		if l.Mac == lease.MAC && l.IPaddr == lease.Address {
			return true, nil
		}
	}
	return false, err
}

// sendRelease sends the message through the network's bridge, where the server listens.
func sendRelease(bridge, server string, lease hypervisor.Lease) error {
	to, err := netip.ParseAddr(server)
	if err != nil {
		return err
	}
	message, err := releaseMessage(to, lease)
	if err != nil {
		return err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(socket) }() // a datagram is on its way or it is not
	if err := syscall.BindToDevice(socket, bridge); err != nil {
		return err
	}
	return syscall.Sendto(socket, message, 0, &syscall.SockaddrInet4{Port: dhcpServerPort, Addr: to.As4()})
}

func releaseMessage(server netip.Addr, lease hypervisor.Lease) ([]byte, error) {
	mac, err := net.ParseMAC(lease.MAC)
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(lease.Address)
	if err != nil {
		return nil, err
	}
	b := make([]byte, dhcpHeaderBytes, dhcpHeaderBytes+16)
	b[0], b[1], b[2] = dhcpRequestOp, dhcpEthernet, byte(len(mac))
	copy(b[12:], address.AsSlice())
	copy(b[28:], mac)
	b = binary.BigEndian.AppendUint32(b, dhcpCookie)
	b = append(b, 53, 1, dhcpRelease, 54, 4)
	b = append(b, server.AsSlice()...)
	return append(b, 255), nil
}
