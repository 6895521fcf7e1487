//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

const (
	probeInterval  = 50 * time.Millisecond
	probeMemoryMiB = 32
	// kvmPatience is how many times as long as under emulation a guest may take under KVM, which should be faster.
	kvmPatience = 3
)

// accelerator finds out what really runs a guest. A /dev/kvm that opens proves nothing: there are machines on which
// guests hang under it.
func (d *Driver) accelerator(ctx context.Context, facts hypervisor.HostFacts) (string, error) {
	if d.opts.Accelerator != "" {
		return d.opts.Accelerator, nil
	}
	if facts.Accelerator != hypervisor.AcceleratorKVM || facts.Arch != "x86_64" {
		return facts.Accelerator, nil
	}
	took, err := d.probe(ctx, hypervisor.AcceleratorKVM)
	if ctx.Err() != nil || errors.Is(err, hypervisor.ErrUnavailable) {
		return "", err
	}
	if err == nil {
		err = d.compare(ctx, took)
	}
	if err != nil {
		d.opts.Logger.Warn("guests do not run well under KVM here, using software emulation", "error", err)
		return hypervisor.AcceleratorQEMU, nil
	}
	return hypervisor.AcceleratorKVM, nil
}

// compare refuses a KVM that is much slower than software emulation: KVM that is itself emulated runs a BIOS, slowly,
// and hangs a kernel.
func (d *Driver) compare(ctx context.Context, underKVM time.Duration) error {
	emulated, err := d.probe(ctx, hypervisor.AcceleratorQEMU)
	if err == nil && underKVM > kvmPatience*emulated {
		return fmt.Errorf("a guest took %v under KVM and %v emulated", underKVM, emulated)
	}
	return nil
}

// probe runs a guest without a disk. Its BIOS finds nothing to boot and resets at once, which ends the domain: a guest
// that is gone has executed thousands of instructions, one that is still there at the deadline hangs.
func (d *Driver) probe(ctx context.Context, accelerator string) (took time.Duration, err error) {
	text, err := probeXML(accelerator)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	probing, cancel := context.WithTimeout(ctx, d.opts.ProbeTimeout)
	defer cancel()
	id, err := call(probing, d, func(conn *lv.Connect) (string, error) {
		dom, err := conn.DomainCreateXML(text, lv.DOMAIN_START_AUTODESTROY)
		if err != nil {
			return "", err
		}
		defer dom.Free()
		return dom.GetUUIDString()
	})
	if err != nil {
		return 0, fmt.Errorf("start a guest under %s: %w", accelerator, err)
	}
	err = d.awaitEnd(ctx, probing, id)
	return time.Since(start), err
}

// awaitEnd waits for a probe to end by itself, and ends it where it does not.
func (d *Driver) awaitEnd(ctx, probing context.Context, id string) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-probing.Done():
			cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.opts.ProbeTimeout)
			defer cancel()
			_ = d.Kill(cleaning, id, false)
			return fmt.Errorf("the guest made no progress: %w", probing.Err())
		case <-tick.C:
			if _, err := d.Domain(probing, id); errors.Is(err, hypervisor.ErrNotFound) {
				return nil
			}
		}
	}
}

func probeXML(accelerator string) (string, error) {
	now := 0
	x := libvirtxml.Domain{
		Type:     accelerator,
		Name:     "nc-probe-" + uuid.NewString(),
		Memory:   &libvirtxml.DomainMemory{Value: probeMemoryMiB, Unit: "MiB"},
		VCPU:     &libvirtxml.DomainVCPU{Value: 1},
		OS:       &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "q35", Type: "hvm"}, BIOS: &libvirtxml.DomainBIOS{RebootTimeout: &now}},
		CPU:      hypervisor.GuestCPU(accelerator),
		OnReboot: "destroy",
		Devices: &libvirtxml.DomainDeviceList{
			Controllers: []libvirtxml.DomainController{{Type: "usb", Model: "none"}},
			MemBalloon:  &libvirtxml.DomainMemBalloon{Model: "none"},
		},
	}
	return x.Marshal()
}
