//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// maxScreenshot bounds a picture, in bytes: an 8K screen without compression.
const maxScreenshot = 128 << 20

// Suspend stops a guest's CPUs.
func (d *Driver) Suspend(ctx context.Context, id string) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		state, _, err := dom.GetState()
		if err != nil || stateOf(state) == hypervisor.StatePaused {
			return err
		}
		return dom.Suspend()
	})
}

// Reboot asks the guest to restart: through its agent where connected, else by ACPI.
func (d *Driver) Reboot(ctx context.Context, id string) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		if agentConnected(dom) && dom.Reboot(lv.DOMAIN_REBOOT_GUEST_AGENT) == nil {
			return nil
		}
		err := dom.Reboot(lv.DOMAIN_REBOOT_ACPI_POWER_BTN)
		if refusesFlags(err) {
			err = dom.Reboot(lv.DOMAIN_REBOOT_DEFAULT)
		}
		return err
	})
}

// Reset restarts the guest without asking it.
func (d *Driver) Reset(ctx context.Context, id string) error {
	return act(ctx, d, id, func(dom *lv.Domain) error { return dom.Reset(0) })
}

// Rename gives a stopped domain another name.
func (d *Driver) Rename(ctx context.Context, id, name string) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		if err := nameFree(conn, hypervisor.Domain{ID: id, Name: name}); err != nil {
			return err
		}
		dom, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer dom.Free()
		return dom.Rename(name, 0)
	})
}

// Guest asks the guest's agent.
func (d *Driver) Guest(ctx context.Context, id string) (hypervisor.GuestInfo, error) {
	return with(ctx, d, id, func(dom *lv.Domain) (hypervisor.GuestInfo, error) {
		if !agentConnected(dom) {
			return hypervisor.GuestInfo{}, nil
		}
		told, err := dom.GetGuestInfo(lv.DOMAIN_GUEST_INFO_OS|lv.DOMAIN_GUEST_INFO_HOSTNAME, 0)
		if errors.Is(err, lv.ERR_AGENT_UNRESPONSIVE) {
			return hypervisor.GuestInfo{}, nil
		}
		if err != nil {
			return hypervisor.GuestInfo{}, err
		}
		info := hypervisor.GuestInfo{AgentConnected: true, Hostname: told.Hostname}
		if told.OS != nil {
			info.OS, info.Kernel = told.OS.PrettyName, told.OS.KernelRelease
		}
		info.Interfaces, err = interfaces(dom)
		return info, err
	})
}

func interfaces(dom *lv.Domain) ([]hypervisor.GuestInterface, error) {
	cards, err := dom.ListAllInterfaceAddresses(lv.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
	if err != nil {
		return nil, err
	}
	var seen []hypervisor.GuestInterface
	for _, card := range cards {
		one := hypervisor.GuestInterface{Name: card.Name, MAC: card.Hwaddr}
		for _, a := range card.Addrs {
			one.Addresses = append(one.Addresses, fmt.Sprintf("%s/%d", a.Addr, a.Prefix))
		}
		seen = append(seen, one)
	}
	return seen, nil
}

// Screenshot writes the picture on the guest's first screen.
func (d *Driver) Screenshot(ctx context.Context, id string, w io.Writer) (string, error) {
	return call(ctx, d, func(conn *lv.Connect) (string, error) {
		dom, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return "", err
		}
		defer dom.Free()
		stream, err := conn.NewStream(0)
		if err != nil {
			return "", err
		}
		defer stream.Free()
		mime, err := dom.Screenshot(stream, 0, 0)
		if err != nil {
			return "", err
		}
		limited := &limitedWriter{w: w, left: maxScreenshot}
		if err := stream.RecvAll(func(_ *lv.Stream, data []byte) (int, error) { return limited.Write(data) }); err != nil {
			_ = stream.Abort() // the first error counts
			return "", err
		}
		return mime, stream.Finish()
	})
}

// limitedWriter refuses what is beyond its limit.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(data []byte) (int, error) {
	if len(data) > l.left {
		return 0, fmt.Errorf("the picture is larger than %d bytes", maxScreenshot)
	}
	l.left -= len(data)
	return l.w.Write(data)
}
