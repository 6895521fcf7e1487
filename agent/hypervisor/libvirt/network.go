//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

func withNetwork[T any](ctx context.Context, d *Driver, id string, do func(*lv.Network) (T, error)) (T, error) {
	return call(ctx, d, func(conn *lv.Connect) (T, error) {
		var none T
		n, err := conn.LookupNetworkByUUIDString(id)
		if err != nil {
			return none, err
		}
		defer n.Free()
		return do(n)
	})
}

// Networks lists every network of the host.
func (d *Driver) Networks(ctx context.Context) ([]hypervisor.Network, error) {
	return call(ctx, d, func(conn *lv.Connect) ([]hypervisor.Network, error) {
		handles, err := conn.ListAllNetworks(0)
		if err != nil {
			return nil, err
		}
		var list []hypervisor.Network
		for i := range handles {
			defer handles[i].Free()
			n, err := seenNetwork(&handles[i])
			switch {
			case errors.Is(err, lv.ERR_NO_NETWORK):
				// It went away since it was listed.
			case err != nil:
				return nil, err
			default:
				list = append(list, n)
			}
		}
		return list, nil
	})
}

func seenNetwork(handle *lv.Network) (hypervisor.Network, error) {
	text, err := handle.GetXMLDesc(0)
	if err != nil {
		return hypervisor.Network{}, err
	}
	n, err := hypervisor.ParseNetwork(text)
	if err != nil {
		return n, err
	}
	if n.Active, err = handle.IsActive(); err != nil {
		return n, err
	}
	if persistent, err := handle.IsPersistent(); err != nil || !persistent {
		return n, err // what is not persistent knows no autostart
	}
	n.Autostart, err = handle.GetAutostart()
	return n, err
}

// DefineNetwork makes or changes a network.
func (d *Driver) DefineNetwork(ctx context.Context, text string) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		n, err := conn.NetworkDefineXML(text)
		if err != nil {
			return taken(err)
		}
		return n.Free()
	})
}

// taken gives libvirt's word for a name or UUID that something else has our name.
func taken(err error) error {
	if errors.Is(err, lv.ERR_OPERATION_FAILED) || errors.Is(err, lv.ERR_NETWORK_EXIST) {
		return fmt.Errorf("%w: %w", hypervisor.ErrExists, err)
	}
	return err
}

// StartNetwork runs a network, now and at every boot.
func (d *Driver) StartNetwork(ctx context.Context, id string) error {
	_, err := withNetwork(ctx, d, id, func(n *lv.Network) (struct{}, error) {
		active, err := n.IsActive()
		if err == nil && !active {
			err = n.Create()
		}
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, n.SetAutostart(true)
	})
	return err
}

// RemoveNetwork stops and forgets a network.
func (d *Driver) RemoveNetwork(ctx context.Context, id string) error {
	_, err := withNetwork(ctx, d, id, func(n *lv.Network) (struct{}, error) {
		active, err := n.IsActive()
		if err == nil && active {
			err = n.Destroy()
		}
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, n.Undefine()
	})
	return err
}

// SetLease gives an address to a card.
func (d *Driver) SetLease(ctx context.Context, id string, lease hypervisor.Lease) error {
	text, err := hypervisor.LeaseXML(lease)
	if err != nil {
		return err
	}
	_, err = withNetwork(ctx, d, id, func(n *lv.Network) (struct{}, error) {
		if err := dropLease(n, lease.MAC); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, everywhere(n, func(flag lv.NetworkUpdateFlags) error {
			return n.Update(lv.NETWORK_UPDATE_COMMAND_ADD_LAST, lv.NETWORK_SECTION_IP_DHCP_HOST, -1, text, flag)
		})
	})
	return err
}

// DropLease takes it back.
func (d *Driver) DropLease(ctx context.Context, id string, lease hypervisor.Lease) error {
	_, err := withNetwork(ctx, d, id, func(n *lv.Network) (struct{}, error) {
		// The server must hear of it first: without a card to serve, it serves nobody.
		if err := d.releaseLease(ctx, n, lease); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, dropLease(n, lease.MAC)
	})
	return err
}

// everywhere does something to the definition of a network and, where it runs, to the network.
func everywhere(n *lv.Network, do func(lv.NetworkUpdateFlags) error) error {
	active, err := n.IsActive()
	if err != nil {
		return err
	}
	err = do(lv.NETWORK_UPDATE_AFFECT_CONFIG)
	if active {
		err = errors.Join(err, do(lv.NETWORK_UPDATE_AFFECT_LIVE))
	}
	return err
}

// dropLease removes what DHCP keeps for a card, wherever it does.
func dropLease(n *lv.Network, mac string) error {
	type host struct {
		XMLName xml.Name `xml:"host"`
		MAC     string   `xml:"mac,attr"`
	}
	text, err := xml.Marshal(host{MAC: mac})
	if err != nil {
		return err
	}
	return everywhere(n, func(flag lv.NetworkUpdateFlags) error {
		has, err := hasLease(n, mac, flag)
		if err != nil || !has {
			return err
		}
		return n.Update(lv.NETWORK_UPDATE_COMMAND_DELETE, lv.NETWORK_SECTION_IP_DHCP_HOST, -1, string(text), flag)
	})
}

func hasLease(n *lv.Network, mac string, flag lv.NetworkUpdateFlags) (bool, error) {
	var which lv.NetworkXMLFlags
	if flag == lv.NETWORK_UPDATE_AFFECT_CONFIG {
		which = lv.NETWORK_XML_INACTIVE
	}
	text, err := n.GetXMLDesc(which)
	if err != nil {
		return false, err
	}
	parsed, err := hypervisor.ParseNetwork(text)
	for _, l := range parsed.Leases {
		if l.MAC == mac {
			return true, nil
		}
	}
	return false, err
}

// Filters lists every packet filter of the host.
func (d *Driver) Filters(ctx context.Context) ([]hypervisor.Filter, error) {
	return call(ctx, d, func(conn *lv.Connect) ([]hypervisor.Filter, error) {
		handles, err := conn.ListAllNWFilters(0)
		if err != nil {
			return nil, err
		}
		list := make([]hypervisor.Filter, len(handles))
		for i := range handles {
			defer handles[i].Free()
			if list[i].Name, err = handles[i].GetName(); err != nil {
				return nil, err
			}
			if list[i].ID, err = handles[i].GetUUIDString(); err != nil {
				return nil, err
			}
		}
		return list, nil
	})
}

// DefineFilter makes or changes a filter, for running guests too.
func (d *Driver) DefineFilter(ctx context.Context, text string) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		f, err := conn.NWFilterDefineXML(text)
		if err != nil {
			return taken(err)
		}
		return f.Free()
	})
}

// RemoveFilter forgets a filter.
func (d *Driver) RemoveFilter(ctx context.Context, id string) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		f, err := conn.LookupNWFilterByUUIDString(id)
		if err != nil {
			return err
		}
		defer f.Free()
		return f.Undefine()
	})
}
