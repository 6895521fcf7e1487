package hypervisor

import (
	"context"
	"fmt"
	"io"
	"maps"
	"reflect"

	"github.com/novacron/novacron/vm"
)

// LifecycleDriver handles what runs.
type LifecycleDriver interface {
	// Suspend stops a guest's CPUs; one that is paused already is fine. Start lets it go on.
	Suspend(ctx context.Context, id string) error
	// Reboot asks the guest to restart: through its agent where connected, else by ACPI. It does not wait.
	Reboot(ctx context.Context, id string) error
	// Reset restarts the guest without asking it, as the button does.
	Reset(ctx context.Context, id string) error
	// Rename gives a stopped domain another name. A name that a different domain has is ErrExists.
	Rename(ctx context.Context, id, name string) error
	// Guest asks the guest's agent. A guest without one gives AgentConnected false and no error.
	Guest(ctx context.Context, id string) (GuestInfo, error)
	// Screenshot writes the picture on the guest's first screen to w and returns its MIME type.
	Screenshot(ctx context.Context, id string, w io.Writer) (mime string, err error)
}

// GuestInfo is what a guest tells through its agent.
type GuestInfo struct {
	AgentConnected bool
	Hostname       string
	// OS is the name that the guest gives its system, Kernel the release of its kernel.
	OS, Kernel string
	Interfaces []GuestInterface
}

// GuestInterface is one network card as the guest sees it.
type GuestInterface struct {
	Name, MAC string
	// Addresses are in CIDR form.
	Addresses []string
}

// Adjust brings what a machine is called and labelled, and its owner, in line with its definition. Nothing else of the
// definition is looked at. A name changes only while the machine is stopped.
func (m *Manager) Adjust(ctx context.Context, def *VMDefinition, owner Owner) error {
	release, err := m.machines.lock(ctx, def.UUID)
	if err != nil {
		return err
	}
	defer release()
	domain, meta, err := m.ours(ctx, def.UUID)
	if err != nil {
		return err
	}
	next := vm.Clone(*meta.Definition)
	next.Name, next.Labels, next.Annotations = def.Name, maps.Clone(def.Labels), maps.Clone(def.Annotations)
	if name := DomainName(&next); name != domain.Name {
		if err := m.driver.Rename(ctx, def.UUID, name); err != nil {
			return fmt.Errorf("rename %s to %s: %w", domain.Name, name, err)
		}
	}
	changed := !reflect.DeepEqual(next, *meta.Definition)
	meta.Definition = &next
	if changed && owner == meta.Owner {
		return m.writeMetadata(ctx, def.UUID, meta)
	}
	return m.setOwner(ctx, def.UUID, meta, owner)
}

func (m *Manager) writeMetadata(ctx context.Context, id string, meta metadata) error {
	text, err := meta.encode(true)
	if err != nil {
		return err
	}
	return m.driver.SetMetadata(ctx, id, text)
}

// Pause stops a running machine's CPUs; one that is paused already is fine.
func (m *Manager) Pause(ctx context.Context, id string) error {
	return m.live(ctx, "pause", id, m.driver.Suspend)
}

// Reboot restarts a running machine: by asking the guest, or like the reset button.
func (m *Manager) Reboot(ctx context.Context, id string, hard bool) error {
	if hard {
		return m.live(ctx, "reset", id, m.driver.Reset)
	}
	return m.live(ctx, "reboot", id, m.driver.Reboot)
}

// live does something to a machine of ours, alone.
func (m *Manager) live(ctx context.Context, what, id string, do func(context.Context, string) error) error {
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	_, meta, err := m.ours(ctx, id)
	if err != nil {
		return err
	}
	if err := do(ctx, id); err != nil {
		return fmt.Errorf("%s %s (%s): %w", what, meta.Definition.Name, id, err)
	}
	return nil
}

// Guest asks a machine's guest agent.
func (m *Manager) Guest(ctx context.Context, id string) (GuestInfo, error) {
	if _, _, err := m.ours(ctx, id); err != nil {
		return GuestInfo{}, err
	}
	return m.driver.Guest(ctx, id)
}

// Screenshot writes the picture on a machine's screen and returns its MIME type.
func (m *Manager) Screenshot(ctx context.Context, id string, w io.Writer) (string, error) {
	if _, _, err := m.ours(ctx, id); err != nil {
		return "", err
	}
	return m.driver.Screenshot(ctx, id, w)
}
