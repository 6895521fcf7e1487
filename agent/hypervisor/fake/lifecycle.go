package fake

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"io"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Suspend stops a guest's CPUs.
func (d *Driver) Suspend(ctx context.Context, id string) error {
	return d.running(ctx, "Suspend", id, func(dom *domain) error { return d.move(id, dom, hypervisor.StatePaused) })
}

// Reboot restarts an obedient guest.
func (d *Driver) Reboot(ctx context.Context, id string) error {
	return d.running(ctx, "Reboot", id, func(*domain) error {
		if !d.opts.IgnoreShutdown {
			d.Publish(hypervisor.Event{ID: id, Kind: "rebooted"})
		}
		return nil
	})
}

// Reset restarts any guest.
func (d *Driver) Reset(ctx context.Context, id string) error {
	return d.running(ctx, "Reset", id, func(*domain) error {
		d.Publish(hypervisor.Event{ID: id, Kind: "rebooted"})
		return nil
	})
}

// Rename gives a stopped domain another name.
func (d *Driver) Rename(ctx context.Context, id, name string) error {
	if err := d.begin(ctx, "Rename", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	if !dom.State.Off() {
		return fmt.Errorf("rename %s: it is %s: stop it first", id, dom.State)
	}
	var parsed libvirtxml.Domain
	if err := parsed.Unmarshal(dom.XML); err != nil {
		return err
	}
	parsed.Name = name
	text, err := parsed.Marshal()
	if err != nil {
		return err
	}
	return d.define(id, name, text)
}

// Guest answers for a guest whose agent runs.
func (d *Driver) Guest(ctx context.Context, id string) (info hypervisor.GuestInfo, err error) {
	err = d.running(ctx, "Guest", id, func(*domain) error {
		info = hypervisor.GuestInfo{AgentConnected: true, Hostname: id, OS: "fake"}
		return nil
	})
	return info, err
}

// Screenshot draws a black screen.
func (d *Driver) Screenshot(ctx context.Context, id string, w io.Writer) (string, error) {
	err := d.running(ctx, "Screenshot", id, func(*domain) error {
		return png.Encode(w, image.NewGray(image.Rect(0, 0, 640, 400)))
	})
	return "image/png", err
}

// running does something to a domain that is not stopped.
func (d *Driver) running(ctx context.Context, op, id string, do func(*domain) error) error {
	if err := d.begin(ctx, op, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	if dom.State.Off() {
		return fmt.Errorf("%s %s: it is %s: start it first", op, id, dom.State)
	}
	return do(dom)
}
