package fake

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Domains lists every domain.
func (d *Driver) Domains(ctx context.Context) ([]hypervisor.Domain, error) {
	if err := d.begin(ctx, "Domains", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []hypervisor.Domain
	for _, id := range slices.Sorted(maps.Keys(d.state.Domains)) {
		one, err := d.state.Domains[id].seen()
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// Domain looks one up.
func (d *Driver) Domain(ctx context.Context, id string) (hypervisor.Domain, error) {
	if err := d.begin(ctx, "Domain", id); err != nil {
		return hypervisor.Domain{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return hypervisor.Domain{}, err
	}
	return dom.seen()
}

func (dom *domain) seen() (hypervisor.Domain, error) {
	text, err := dom.running()
	if err != nil {
		return hypervisor.Domain{}, err
	}
	seen, err := hypervisor.ParseDomain(text)
	seen.State = dom.State
	return seen, err
}

// find looks up a domain. The caller holds the lock.
func (d *Driver) find(id string) (*domain, error) {
	dom, ok := d.state.Domains[id]
	if !ok {
		return nil, fmt.Errorf("domain %s: %w", id, hypervisor.ErrNotFound)
	}
	return dom, nil
}

// Define makes or replaces a domain.
func (d *Driver) Define(ctx context.Context, text string) error {
	var parsed libvirtxml.Domain
	if err := parsed.Unmarshal(text); err != nil {
		return fmt.Errorf("domain XML: %w", err)
	}
	if err := d.begin(ctx, "Define", parsed.UUID); err != nil {
		return err
	}
	if parsed.UUID == "" {
		parsed.UUID = uuid.NewString()
	}
	d.resolveMachine(&parsed)
	resolved, err := parsed.Marshal()
	if err != nil {
		return fmt.Errorf("domain XML: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.define(parsed.UUID, parsed.Name, resolved)
}

// resolveMachine replaces an alias by the versioned type, as libvirt does.
func (d *Driver) resolveMachine(parsed *libvirtxml.Domain) {
	if parsed.OS == nil || parsed.OS.Type == nil {
		return
	}
	if versioned, ok := d.facts().MachineAliases[parsed.OS.Type.Machine]; ok {
		parsed.OS.Type.Machine = versioned
	}
}

func (d *Driver) define(id, name, text string) error {
	for other, dom := range d.state.Domains {
		seen, err := dom.seen()
		if err != nil {
			return err
		}
		if other != id && seen.Name == name {
			return fmt.Errorf("domain name %s is that of %s: %w", name, other, hypervisor.ErrExists)
		}
	}
	if dom, ok := d.state.Domains[id]; ok {
		dom.XML = text
	} else {
		d.state.Domains[id] = &domain{XML: text, State: hypervisor.StateStopped}
	}
	d.Publish(hypervisor.Event{ID: id, Kind: "defined"})
	return d.save()
}

// Undefine forgets a stopped domain.
func (d *Driver) Undefine(ctx context.Context, id string) error {
	if err := d.begin(ctx, "Undefine", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	if !dom.State.Off() {
		return fmt.Errorf("undefine %s: it is %s", id, dom.State)
	}
	delete(d.state.Domains, id)
	d.Publish(hypervisor.Event{ID: id, Kind: "undefined"})
	return d.save()
}

// Start runs a domain whose volumes are all there.
func (d *Driver) Start(ctx context.Context, id string) error {
	if err := d.begin(ctx, "Start", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil || dom.State == hypervisor.StateRunning {
		return err
	}
	if err := d.checkDisks(dom.XML); err != nil {
		return fmt.Errorf("start %s: %w", id, err)
	}
	return d.move(id, dom, hypervisor.StateRunning)
}

// checkDisks fails where a volume, or what it is an overlay of, is missing.
func (d *Driver) checkDisks(text string) error {
	var parsed libvirtxml.Domain
	if err := parsed.Unmarshal(text); err != nil {
		return err
	}
	if parsed.Devices == nil {
		return nil
	}
	for _, disk := range parsed.Devices.Disks {
		if disk.Source == nil || disk.Source.Volume == nil {
			continue
		}
		v, err := d.volume(disk.Source.Volume.Pool, disk.Source.Volume.Volume)
		if err != nil {
			return err
		}
		if v.BackingPath != "" && !d.hasPath(v.BackingPath) {
			return fmt.Errorf("backing file %s: %w", v.BackingPath, hypervisor.ErrNotFound)
		}
	}
	return nil
}

// Shutdown asks the guest to power off.
func (d *Driver) Shutdown(ctx context.Context, id string) error {
	if err := d.begin(ctx, "Shutdown", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil || d.opts.IgnoreShutdown {
		return err
	}
	if d.opts.ShutdownTime == 0 {
		return d.move(id, dom, hypervisor.StateStopped)
	}
	time.AfterFunc(d.opts.ShutdownTime, func() { _ = d.SetState(id, hypervisor.StateStopped) })
	return nil
}

// Kill ends the guest at once.
func (d *Driver) Kill(ctx context.Context, id string, gently bool) error {
	if err := d.begin(ctx, "Kill", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	if gently && d.opts.IgnoreTerm && dom.State != hypervisor.StateStopped {
		return fmt.Errorf("kill %s: it outlives SIGTERM", id)
	}
	return d.move(id, dom, hypervisor.StateStopped)
}

// move changes a domain's state and tells so. The caller holds the lock.
func (d *Driver) move(id string, dom *domain, to hypervisor.State) error {
	if dom.State == to {
		return nil
	}
	kind := map[hypervisor.State]string{
		hypervisor.StateRunning: "started", hypervisor.StateStopped: "stopped",
		hypervisor.StatePaused: "paused", hypervisor.StateCrashed: "crashed",
	}[to]
	if dom.State == hypervisor.StatePaused && to == hypervisor.StateRunning {
		kind = "resumed"
	}
	dom.State = to
	if to.Off() {
		dom.Tied = nil
	}
	if to == hypervisor.StateStopped {
		d.hangUp(id)
	}
	d.Publish(hypervisor.Event{ID: id, Kind: kind})
	return d.save()
}

// SetMetadata replaces our element and leaves those of others.
func (d *Driver) SetMetadata(ctx context.Context, id, element string) error {
	if err := d.begin(ctx, "SetMetadata", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	var parsed libvirtxml.Domain
	if err := parsed.Unmarshal(dom.XML); err != nil {
		return err
	}
	others := ""
	if parsed.Metadata != nil {
		others = withoutElement(parsed.Metadata.XML, hypervisor.MetadataNamespace)
	}
	qualified := strings.Replace(element, "<vm", `<vm xmlns="`+hypervisor.MetadataNamespace+`"`, 1)
	parsed.Metadata = &libvirtxml.DomainMetadata{XML: others + qualified}
	if dom.XML, err = parsed.Marshal(); err != nil {
		return err
	}
	return d.save()
}

// withoutElement cuts the top-level elements of a namespace out of a text.
func withoutElement(text, namespace string) string {
	var kept strings.Builder
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		from := decoder.InputOffset()
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return kept.String()
		}
		if start, ok := token.(xml.StartElement); ok {
			if err := decoder.Skip(); err != nil {
				return kept.String()
			}
			if start.Name.Space == namespace {
				continue
			}
		}
		if err != nil {
			return kept.String()
		}
		kept.WriteString(text[from:decoder.InputOffset()])
	}
}
