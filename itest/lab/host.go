package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Host is a machine of the lab: its own network, processes, mounts, control groups, host name and libvirt.
type Host struct {
	Name    string
	IP      string // on the bridge of the lab, a /24
	Libvirt bool   // false for a host made by AddNode

	lab    *Lab
	number int
}

func (l *Lab) host(r hostRecord) *Host {
	return &Host{Name: r.Name, IP: address(l.rec.Subnet, r.Number), Libvirt: r.Libvirt, lab: l, number: r.Number}
}

// Dir is the host's folder on the machine. It has the same path inside the host, survives crashes and goes with Down.
func (h *Host) Dir() string { return filepath.Join(h.lab.dir, "hosts", h.Name) }

func (h *Host) file(elem ...string) string {
	return filepath.Join(append([]string{h.Dir()}, elem...)...)
}

// netns is the name of the host's network namespace and of its control groups.
func (h *Host) netns() string { return h.lab.id + "-" + h.Name }

// port is the switch's end of the host's cable.
func (h *Host) port() string { return fmt.Sprintf("p%d", h.number) }

// pidRecord names the two processes of a running host, and the second one's start to tell it from a later process.
type pidRecord struct {
	outer int // unshare, which waits for the first process
	first int // process 1 inside, by its number outside
	start string
}

func (h *Host) readPID() (pidRecord, error) {
	var p pidRecord
	b, err := os.ReadFile(h.file("pid"))
	if err == nil {
		_, err = fmt.Sscan(string(b), &p.outer, &p.first, &p.start)
	}
	if err != nil || startTime(p.first) != p.start {
		return pidRecord{}, fmt.Errorf("%w: %q: Boot it", ErrHostDown, h.Name)
	}
	return p, nil
}

func (p pidRecord) write(file string) error {
	return os.WriteFile(file, fmt.Appendln(nil, p.outer, p.first, p.start), 0o644)
}

// PID is the number, on the machine, of the host's first process; ErrHostDown when there is none.
func (h *Host) PID() (int, error) {
	p, err := h.readPID()
	return p.first, err
}

// Running tells whether the host is up.
func (h *Host) Running() bool {
	_, err := h.readPID()
	return err == nil
}

// Root is the path under which the machine sees the host's files, sockets in /run too, until the host stops.
func (h *Host) Root() (string, error) {
	pid, err := h.PID()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/root", pid), nil
}

// Crash ends the host as a power failure does: the cable goes dead first, so that no peer hears a farewell, then
// every process, guests included, dies. It returns when they are gone; files stay, Boot starts the host again.
func (h *Host) Crash(ctx context.Context) error {
	p, err := h.readPID()
	if err != nil {
		return err
	}
	if _, err := run(ctx, "", "ip", "-n", h.lab.switchNS(), "link", "set", h.port(), "down"); err != nil {
		return err
	}
	return h.kill(ctx, p)
}

func (h *Host) kill(ctx context.Context, p pidRecord) error {
	if err := syscall.Kill(p.first, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("lab: kill host %q, process %d: %w", h.Name, p.first, err)
	}
	if err := errors.Join(waitGone(ctx, p.first), waitGone(ctx, p.outer)); err != nil {
		return fmt.Errorf("lab: host %q does not die: %w", h.Name, err)
	}
	_ = os.Remove(h.file("pid")) // its start time tells that it is stale anyway
	h.lab.log.Info("host is down", "host", h.Name)
	return nil
}

// stop takes away all of the host but its files; one that is down or half made is fine.
func (h *Host) stop(ctx context.Context) error {
	var errs []error
	if p, err := h.readPID(); err == nil {
		errs = append(errs, h.kill(ctx, p))
	}
	errs = append(errs, h.lab.removeCgroups(ctx, h.netns()), h.unplug(ctx))
	return errors.Join(errs...)
}

// Remove stops the host and takes it out of the lab with its files.
func (h *Host) Remove(ctx context.Context) error {
	if err := h.stop(ctx); err != nil {
		return err
	}
	err := h.lab.update(ctx, func(r *record) error {
		for i := range r.Hosts {
			if r.Hosts[i].Name == h.Name {
				r.Hosts = append(r.Hosts[:i], r.Hosts[i+1:]...)
				break
			}
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(h.Dir()))
}
