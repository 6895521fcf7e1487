//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

// ChangeMedium puts a volume into a CD-ROM drive: of the running instance first, whose guest may refuse, then of the definition.
func (d *Driver) ChangeMedium(ctx context.Context, id string, m hypervisor.Medium) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		active, err := dom.IsActive()
		if err != nil {
			return err
		}
		if active {
			if err := changeMedium(dom, m, 0, lv.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
				return err
			}
		}
		return changeMedium(dom, m, lv.DOMAIN_XML_INACTIVE, lv.DOMAIN_DEVICE_MODIFY_CONFIG)
	})
}

func changeMedium(dom *lv.Domain, m hypervisor.Medium, of lv.DomainXMLFlags, to lv.DomainDeviceModifyFlags) error {
	x, err := described(dom, of)
	if err != nil {
		return err
	}
	drive := driveAt(x, m.Target)
	if drive == nil {
		return fmt.Errorf("drive %s: %w", m.Target, hypervisor.ErrNotFound)
	}
	alias := drive.Alias
	hypervisor.Insert(drive, m)
	text, err := drive.Marshal()
	if err != nil {
		return err
	}
	if to == lv.DOMAIN_DEVICE_MODIFY_CONFIG || alias == nil {
		return dom.UpdateDeviceFlags(text, to)
	}
	return changeLive(dom, text, alias.Name, m.Force)
}

// changeLive opens the tray itself where libvirt does not: until it has started again, libvirt does not know that a drive which
// was plugged in has one. A guest that has locked the tray is asked to open it, and may need a moment.
func changeLive(dom *lv.Domain, text, alias string, force bool) error {
	flags := lv.DOMAIN_DEVICE_MODIFY_LIVE
	if force {
		flags |= lv.DOMAIN_DEVICE_MODIFY_FORCE
	}
	err := dom.UpdateDeviceFlags(text, flags)
	if !errors.Is(err, lv.ERR_INTERNAL_ERROR) && !errors.Is(err, lv.ERR_OPERATION_FAILED) {
		return err
	}
	if openTray(dom, alias, force) != nil {
		return err
	}
	if err := dom.UpdateDeviceFlags(text, flags); err != nil {
		return fmt.Errorf("%w; the guest may have locked it: eject it in the guest, or use force", err)
	}
	return nil
}

func openTray(dom *lv.Domain, alias string, force bool) error {
	command, err := json.Marshal(map[string]any{"execute": "blockdev-open-tray", "arguments": map[string]any{"id": alias, "force": force}})
	if err != nil {
		return err
	}
	answer, err := dom.QemuMonitorCommand(string(command), lv.DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT)
	if err != nil {
		return err
	}
	var failed struct {
		Error *struct{ Desc string } `json:"error"`
	}
	if err := json.Unmarshal([]byte(answer), &failed); err != nil || failed.Error == nil {
		return err
	}
	return errors.New(failed.Error.Desc)
}

func described(dom *lv.Domain, of lv.DomainXMLFlags) (*libvirtxml.Domain, error) {
	text, err := dom.GetXMLDesc(of)
	if err != nil {
		return nil, err
	}
	x := &libvirtxml.Domain{}
	if err := x.Unmarshal(text); err != nil {
		return nil, err
	}
	if x.Devices == nil {
		x.Devices = &libvirtxml.DomainDeviceList{}
	}
	return x, nil
}

func driveAt(x *libvirtxml.Domain, target string) *libvirtxml.DomainDisk {
	i := slices.IndexFunc(x.Devices.Disks, func(disk libvirtxml.DomainDisk) bool {
		return disk.Device == vm.DeviceCDROM && disk.Target != nil && disk.Target.Dev == target
	})
	if i < 0 {
		return nil
	}
	return &x.Devices.Disks[i]
}

// PlugDrive adds a drive, with its controller where there is none, to the running instance and to the definition.
func (d *Driver) PlugDrive(ctx context.Context, id string, m hypervisor.Medium) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		if err := plugDrive(dom, m, 0, lv.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
			return err
		}
		return plugDrive(dom, m, lv.DOMAIN_XML_INACTIVE, lv.DOMAIN_DEVICE_MODIFY_CONFIG)
	})
}

func plugDrive(dom *lv.Domain, m hypervisor.Medium, of lv.DomainXMLFlags, to lv.DomainDeviceModifyFlags) error {
	x, err := described(dom, of)
	if err != nil {
		return err
	}
	if driveAt(x, m.Target) != nil {
		return changeMedium(dom, m, of, to)
	}
	if !slices.ContainsFunc(x.Devices.Controllers, func(c libvirtxml.DomainController) bool { return c.Type == vm.BusSCSI }) {
		index := uint(0)
		controller := libvirtxml.DomainController{Type: vm.BusSCSI, Index: &index, Model: "virtio-scsi"}
		if err := attach(dom, &controller, to); err != nil {
			return err
		}
	}
	drive := hypervisor.DriveXML(m, vm.BusSCSI)
	return attach(dom, &drive, to)
}

func attach(dom *lv.Domain, device interface{ Marshal() (string, error) }, to lv.DomainDeviceModifyFlags) error {
	text, err := device.Marshal()
	if err != nil {
		return err
	}
	return dom.AttachDeviceFlags(text, to)
}
