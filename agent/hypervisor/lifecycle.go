package hypervisor

import (
	"context"
	"fmt"
	"io"
)

// LifecycleDriver handles what runs.
type LifecycleDriver interface {
	// Suspend stops a guest's CPUs; one that is paused already is fine. Start lets it go on.
	Suspend(ctx context.Context, id string) error
	// Reboot asks the guest to restart: through its agent where connected, else by ACPI. It does not wait.
	Reboot(ctx context.Context, id string) error
	// Reset restarts the guest without asking it, as the button does.
	Reset(ctx context.Context, id string) error
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
