package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novacron/novacron/vm"
)

const (
	pollInterval = 100 * time.Millisecond
	// askTimeout is how long a guest agent may take to hear a request.
	askTimeout = 5 * time.Second
	// startBase is how long a start may take at least.
	startBase = 30 * time.Second
	startNIC  = 5 * time.Second
	// startPCI is how many times as long a start may take with devices of the host, which have to be reset.
	startPCI = 4
	// startHugePages is the least with hugepages, which have to be found.
	startHugePages = 150 * time.Second
)

// Start runs a machine; one that runs already is fine.
func (m *Manager) Start(ctx context.Context, id string) error {
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	_, meta, err := m.ours(ctx, id)
	if err != nil {
		return err
	}
	if err := m.start(ctx, meta.Definition); err != nil {
		return fmt.Errorf("start %s (%s): %w", meta.Definition.Name, id, err)
	}
	return nil
}

// start gives a large machine more time than a small one.
func (m *Manager) start(ctx context.Context, def *VMDefinition) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout(def))
	defer cancel()
	return m.driver.Start(ctx, def.UUID)
}

// startTimeout is 30 s, or a second for each GiB of memory where that is more; four times as long with PCI devices of the
// host, at least 150 s with hugepages, and 5 s more for each network card.
func startTimeout(def *VMDefinition) time.Duration {
	timeout := max(startBase, time.Duration(def.MemoryMB/1024)*time.Second)
	if slices.ContainsFunc(def.Devices.HostDevices, func(h vm.HostDevice) bool { return h.PCI != "" }) {
		timeout *= startPCI
	}
	if def.Memory.HugePages != "" {
		timeout = max(timeout, startHugePages)
	}
	return timeout + time.Duration(len(def.NetworkInterfaces))*startNIC
}

// Stop ends a machine's run: gracefully until the timeout, then by force. One that is stopped already is fine.
func (m *Manager) Stop(ctx context.Context, id string, opts StopOptions) error {
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	_, meta, err := m.ours(ctx, id)
	if err != nil {
		return err
	}
	if err := m.stop(ctx, id, meta.Definition, opts); err != nil {
		return fmt.Errorf("stop %s (%s): %w", meta.Definition.Name, id, err)
	}
	return nil
}

func (m *Manager) stop(ctx context.Context, id string, def *VMDefinition, opts StopOptions) error {
	d, err := m.driver.Domain(ctx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if d.State == StateStopped {
		return nil
	}
	// A paused or crashed guest cannot answer.
	if !opts.Force && d.State == StateRunning {
		stopped, err := m.askGuest(ctx, id, stopTimeout(def, opts))
		if stopped || err != nil {
			return err
		}
		m.log.Warn("guest did not stop in time, ending it by force", "id", id, "name", def.Name)
	}
	return m.kill(ctx, id, opts.Force)
}

func stopTimeout(def *VMDefinition, opts StopOptions) time.Duration {
	if opts.Timeout > 0 {
		return opts.Timeout
	}
	return time.Duration(def.StopTimeoutSeconds) * time.Second
}

// kill ends the process: gently first, so that disks are flushed, unless that is skipped.
func (m *Manager) kill(ctx context.Context, id string, hard bool) error {
	if !hard {
		if err := m.driver.Kill(ctx, id, true); err == nil || errors.Is(err, ErrNotFound) {
			return nil
		}
	}
	return ignoreNotFound(m.driver.Kill(ctx, id, false))
}

// askGuest asks the guest to power off, again and again, until it has or the timeout is over.
func (m *Manager) askGuest(ctx context.Context, id string, timeout time.Duration) (stopped bool, err error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	resend := time.NewTicker(m.config.Resend)
	defer resend.Stop()
	m.ask(ctx, id)
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return false, nil
		case <-resend.C:
			m.ask(ctx, id)
		case <-poll.C:
			d, err := m.driver.Domain(ctx, id)
			if errors.Is(err, ErrNotFound) || err == nil && d.State.Off() {
				return true, nil
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrUnavailable) {
				return false, err
			}
		}
	}
}

// ask sends one request. A guest that cannot be asked is stopped by force in the end, so failing is worth a note only.
func (m *Manager) ask(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := m.driver.Shutdown(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
		m.log.Info("guest could not be asked to stop", "id", id, "error", err)
	}
}
