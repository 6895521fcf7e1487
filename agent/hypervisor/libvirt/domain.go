//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Domains lists every domain of the host.
func (d *Driver) Domains(ctx context.Context) ([]hypervisor.Domain, error) {
	return call(ctx, d, func(conn *lv.Connect) ([]hypervisor.Domain, error) {
		handles, err := conn.ListAllDomains(0)
		if err != nil {
			return nil, err
		}
		var list []hypervisor.Domain
		for i := range handles {
			defer handles[i].Free()
			one, err := seen(&handles[i])
			switch {
			case errors.Is(err, lv.ERR_NO_DOMAIN):
				// It went away since it was listed.
			case err != nil:
				return nil, err
			default:
				list = append(list, one)
			}
		}
		return list, nil
	})
}

func seen(dom *lv.Domain) (hypervisor.Domain, error) {
	text, err := dom.GetXMLDesc(0)
	if err != nil {
		return hypervisor.Domain{}, err
	}
	state, reason, err := dom.GetState()
	if err != nil {
		return hypervisor.Domain{}, err
	}
	one, err := hypervisor.ParseDomain(text)
	one.State = stateOf(state)
	if state == lv.DOMAIN_SHUTOFF && lv.DomainShutoffReason(reason) == lv.DOMAIN_SHUTOFF_CRASHED {
		one.State = hypervisor.StateCrashed
	}
	return one, err
}

func stateOf(s lv.DomainState) hypervisor.State {
	switch s {
	case lv.DOMAIN_RUNNING, lv.DOMAIN_BLOCKED, lv.DOMAIN_SHUTDOWN:
		return hypervisor.StateRunning
	case lv.DOMAIN_PAUSED, lv.DOMAIN_PMSUSPENDED:
		return hypervisor.StatePaused
	case lv.DOMAIN_CRASHED:
		return hypervisor.StateCrashed
	default:
		return hypervisor.StateStopped
	}
}

// with looks a domain up and frees its handle after use.
func with[T any](ctx context.Context, d *Driver, id string, do func(*lv.Domain) (T, error)) (T, error) {
	return call(ctx, d, func(conn *lv.Connect) (T, error) {
		dom, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			var none T
			return none, err
		}
		defer dom.Free()
		return do(dom)
	})
}

// act is with without a value, for what takes the domain's lock.
func act(ctx context.Context, d *Driver, id string, do func(*lv.Domain) error) error {
	_, err := with(ctx, d, id, func(dom *lv.Domain) (struct{}, error) {
		if d.abandoned(dom, id) {
			return struct{}{}, unavailable(errAbandoned)
		}
		return struct{}{}, do(dom)
	})
	return err
}

// abandoned tells whether a domain's lock is held by a start that nobody ends: waiting for it would be in vain.
func (d *Driver) abandoned(dom *lv.Domain, id string) bool {
	if d.opts.StatusDir == "" {
		return false
	}
	state, reason, err := dom.GetState()
	if err != nil || state != lv.DOMAIN_PAUSED || reason != int(lv.DOMAIN_PAUSED_STARTING_UP) {
		return false
	}
	name, err := dom.GetName()
	return err == nil && statusDir(d.opts.StatusDir).abandoned(id, name)
}

// Domain looks one up.
func (d *Driver) Domain(ctx context.Context, id string) (hypervisor.Domain, error) {
	return with(ctx, d, id, seen)
}

// Define makes or replaces a persistent domain.
func (d *Driver) Define(ctx context.Context, text string) error {
	want, err := hypervisor.ParseDomain(text)
	if err != nil {
		return err
	}
	return run(ctx, d, func(conn *lv.Connect) error {
		if err := nameFree(conn, want); err != nil {
			return err
		}
		dom, err := conn.DomainDefineXMLFlags(text, lv.DOMAIN_DEFINE_VALIDATE)
		if err != nil {
			return err
		}
		return dom.Free()
	})
}

// nameFree makes sure that the name is nobody else's, which libvirt tells only in words.
func nameFree(conn *lv.Connect, want hypervisor.Domain) error {
	other, err := conn.LookupDomainByName(want.Name)
	if errors.Is(err, lv.ERR_NO_DOMAIN) {
		return nil
	}
	if err != nil {
		return err
	}
	defer other.Free()
	id, err := other.GetUUIDString()
	if err == nil && id != want.ID {
		return fmt.Errorf("domain name %s is that of %s: %w; rename one of them", want.Name, id, hypervisor.ErrExists)
	}
	return err
}

// Undefine forgets a stopped domain with all that libvirt keeps of it.
func (d *Driver) Undefine(ctx context.Context, id string) error {
	const all = lv.DOMAIN_UNDEFINE_MANAGED_SAVE | lv.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
		lv.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | lv.DOMAIN_UNDEFINE_NVRAM
	return act(ctx, d, id, func(dom *lv.Domain) error {
		if err := tidyStopped(dom); err != nil {
			return err
		}
		err := dom.UndefineFlags(all | lv.DOMAIN_UNDEFINE_TPM)
		// Older libvirts do not know the flag of TPM state, and the test driver knows none.
		if refusesFlags(err) {
			err = dom.UndefineFlags(all)
		}
		if refusesFlags(err) {
			err = dom.Undefine()
		}
		return err
	})
}

// tidyStopped removes what an earlier start may have left of a domain that does not run.
func tidyStopped(dom *lv.Domain) error {
	if active, err := dom.IsActive(); err != nil || active {
		return err
	}
	conn, err := dom.DomainGetConnect()
	if err != nil {
		return err
	}
	defer conn.Close()
	return dropBindings(conn, dom)
}

func refusesFlags(err error) bool {
	return errors.Is(err, lv.ERR_INVALID_ARG) || errors.Is(err, lv.ERR_ARGUMENT_UNSUPPORTED) || errors.Is(err, lv.ERR_NO_SUPPORT)
}

// How often a start is tried where libvirt finds the domain in another state than it had just told, and the pause between:
// another start may be under way, or libvirtd has begun anew and finds its guests one by one. So it is where a network card
// gets the name of one whose filter is still there.
const (
	startTries = 5
	startPause = 200 * time.Millisecond
)

// Start runs a defined domain, or lets a paused one go on.
func (d *Driver) Start(ctx context.Context, id string) error {
	for try := 1; ; try++ {
		err := act(ctx, d, id, startNow)
		if try == startTries || !errors.Is(err, lv.ERR_OPERATION_INVALID) && !bindingTaken(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(startPause):
		}
	}
}

func startNow(dom *lv.Domain) error {
	state, _, err := dom.GetState()
	switch {
	case err != nil:
		return err
	case stateOf(state) == hypervisor.StateRunning:
		return nil
	case stateOf(state) == hypervisor.StatePaused:
		return dom.Resume()
	}
	if err := tidyStopped(dom); err != nil {
		return err
	}
	err = dom.Create()
	if now, _, stateErr := dom.GetState(); err != nil && stateErr == nil && stateOf(now) == hypervisor.StateRunning {
		return nil // another start was faster
	}
	return err
}

// Shutdown asks the guest to power off: through its agent where connected, else by ACPI.
func (d *Driver) Shutdown(ctx context.Context, id string) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		if agentConnected(dom) && dom.ShutdownFlags(lv.DOMAIN_SHUTDOWN_GUEST_AGENT) == nil {
			return nil
		}
		err := dom.ShutdownFlags(lv.DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
		if refusesFlags(err) {
			err = dom.Shutdown()
		}
		return stoppedIsFine(dom, err)
	})
}

func agentConnected(dom *lv.Domain) bool {
	text, err := dom.GetXMLDesc(0)
	if err != nil {
		return false
	}
	var x libvirtxml.Domain
	if x.Unmarshal(text) != nil || x.Devices == nil {
		return false
	}
	for _, c := range x.Devices.Channels {
		if c.Target != nil && c.Target.VirtIO != nil && c.Target.VirtIO.State == "connected" {
			return true
		}
	}
	return false
}

// stoppedIsFine drops the error of stopping what is stopped.
func stoppedIsFine(dom *lv.Domain, err error) error {
	if err == nil {
		return nil
	}
	if active, activeErr := dom.IsActive(); activeErr == nil && !active {
		return nil
	}
	return err
}

// Kill ends the hypervisor process.
func (d *Driver) Kill(ctx context.Context, id string, gently bool) error {
	flags := lv.DOMAIN_DESTROY_DEFAULT
	if gently {
		flags = lv.DOMAIN_DESTROY_GRACEFUL
	}
	return act(ctx, d, id, func(dom *lv.Domain) error { return stoppedIsFine(dom, dom.DestroyFlags(flags)) })
}

// SetMetadata replaces our element, in the running instance too.
func (d *Driver) SetMetadata(ctx context.Context, id, element string) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		flags := lv.DOMAIN_AFFECT_CONFIG
		if active, err := dom.IsActive(); err != nil {
			return err
		} else if active {
			flags |= lv.DOMAIN_AFFECT_LIVE
		}
		return dom.SetMetadata(lv.DOMAIN_METADATA_ELEMENT, element, hypervisor.MetadataPrefix, hypervisor.MetadataNamespace, flags)
	})
}

// lifecycle passes libvirt's events on. It runs on the event loop and must not block.
func (d *Driver) lifecycle(_ *lv.Connect, dom *lv.Domain, event *lv.DomainEventLifecycle) {
	id, err := dom.GetUUIDString()
	if err != nil {
		return
	}
	if kind := eventKind(event.Event); kind != "" {
		d.Publish(hypervisor.Event{ID: id, Kind: kind})
	}
}

// rebooted passes on that a guest began anew within its domain, whoever asked for it. It must not block either.
func (d *Driver) rebooted(_ *lv.Connect, dom *lv.Domain) {
	if id, err := dom.GetUUIDString(); err == nil {
		d.Publish(hypervisor.Event{ID: id, Kind: "rebooted"})
	}
}

func eventKind(e lv.DomainEventType) string {
	switch e {
	case lv.DOMAIN_EVENT_DEFINED:
		return "defined"
	case lv.DOMAIN_EVENT_UNDEFINED:
		return "undefined"
	case lv.DOMAIN_EVENT_STARTED:
		return "started"
	case lv.DOMAIN_EVENT_SUSPENDED, lv.DOMAIN_EVENT_PMSUSPENDED:
		return "paused"
	case lv.DOMAIN_EVENT_RESUMED:
		return "resumed"
	case lv.DOMAIN_EVENT_STOPPED:
		return "stopped"
	case lv.DOMAIN_EVENT_CRASHED:
		return "crashed"
	default:
		return ""
	}
}
