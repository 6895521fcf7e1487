package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// freeSubnet finds a third byte of 10.77.x.0/24 that no interface of this machine uses, starting at the one given.
func freeSubnet(first int) (int, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return 0, fmt.Errorf("lab: list the addresses of this machine: %w", err)
	}
	for i := range 256 {
		if s := (first + i) % 256; !overlaps(addrs, s) {
			return s, nil
		}
	}
	return 0, errors.New("lab: every 10.77.x.0/24 is in use on this machine: take a lab down first")
}

func overlaps(addrs []net.Addr, subnet int) bool {
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if ok && (n.Contains(net.IPv4(10, 77, byte(subnet), 1)) || n.IP.Mask(net.CIDRMask(24, 32)).Equal(net.IPv4(10, 77, byte(subnet), 0))) {
			return true
		}
	}
	return false
}

func (l *Lab) switchNS() string { return l.id + "-switch" }

// addSwitch makes the namespace with the bridge of the lab and, unless isolated, plugs the machine itself in.
func (l *Lab) addSwitch(ctx context.Context) error {
	ns := l.switchNS()
	if _, err := run(ctx, "", "ip", "netns", "add", ns); err != nil {
		return err
	}
	if _, err := run(ctx, "link add br0 type bridge\nlink set br0 up\n", "ip", "-n", ns, "-batch", "-"); err != nil {
		return err
	}
	if l.rec.Isolated {
		return nil
	}
	inside := "link set outside master br0\nlink set outside up\n"
	outside := fmt.Sprintf("link add %[1]s type veth peer name outside netns %[2]s\naddr add %[3]s/24 dev %[1]s\nlink set %[1]s up\n", l.id, ns, l.OutsideIP())
	if _, err := run(ctx, outside, "ip", "-batch", "-"); err != nil {
		return err
	}
	_, err := run(ctx, inside, "ip", "-n", ns, "-batch", "-")
	return err
}

// plug makes the host's network namespace and its cable to the switch. A cut host comes back cut.
func (h *Host) plug(ctx context.Context) error {
	if _, err := run(ctx, "", "ip", "netns", "add", h.netns()); err != nil {
		return err
	}
	state := "up"
	if h.cut() {
		state = "down"
	}
	port := fmt.Sprintf("link add %[1]s type veth peer name eth0 address %[4]s netns %[2]s\nlink set %[1]s master br0\nlink set %[1]s %[3]s\n", h.port(), h.netns(), state, h.mac())
	if _, err := run(ctx, port, "ip", "-n", h.lab.switchNS(), "-batch", "-"); err != nil {
		return err
	}
	inside := fmt.Sprintf("link set lo up\nlink add %[1]s address %[3]s type bridge\nlink set eth0 master %[1]s\nlink set eth0 up\nlink set %[1]s up\naddr add %[2]s/24 dev %[1]s\n", Bridge, h.IP, h.mac())
	_, err := run(ctx, inside, "ip", "-n", h.netns(), "-batch", "-")
	return err
}

// mac is the same at every boot: the peers of a host that crashed remember it.
func (h *Host) mac() string { return fmt.Sprintf("02:4e:43:4d:%02x:%02x", h.lab.rec.Subnet, h.number) }

// unplug deletes the network namespace; cable, bridges, taps and filter rules go with it, as in a power failure.
func (h *Host) unplug(ctx context.Context) error {
	// The cable first: the kernel frees a namespace some time after its name is gone, and the port's name must be free at once.
	if _, err := os.Stat(filepath.Join(netnsDir, h.lab.switchNS())); err == nil {
		_, _ = run(ctx, "", "ip", "-n", h.lab.switchNS(), "link", "del", h.port()) // gone already is fine
	}
	return removeNamespace(ctx, h.netns())
}

// Partition cuts the host from all others and from the machine itself, or mends the cut. Guests and daemons run on.
func (h *Host) Partition(ctx context.Context, cut bool) error {
	state := "up"
	if cut {
		state = "down"
	}
	err := h.lab.update(ctx, func(r *record) error {
		rec := r.find(h.Name)
		if rec == nil {
			return fmt.Errorf("%w: %q", ErrNoHost, h.Name)
		}
		rec.Cut = cut
		return nil
	})
	if err != nil || !h.Running() {
		return err // Boot plugs it in as recorded
	}
	_, err = run(ctx, "", "ip", "-n", h.lab.switchNS(), "link", "set", h.port(), state)
	return err
}

func (h *Host) cut() bool {
	r, err := readRecord(h.lab.dir)
	if err != nil {
		return false
	}
	rec := r.find(h.Name)
	return rec != nil && rec.Cut
}

func (l *Lab) removeNamespaces(ctx context.Context) error {
	names, err := filepath.Glob(filepath.Join(netnsDir, l.id+"-*"))
	if err != nil {
		return err
	}
	// The machine's own end, explicitly: the kernel would remove it with the namespace, but later.
	if _, err := net.InterfaceByName(l.id); err == nil {
		_, err := run(ctx, "", "ip", "link", "del", l.id)
		if err != nil {
			return err
		}
	}
	var errs []error
	for _, path := range names {
		errs = append(errs, removeNamespace(ctx, filepath.Base(path)))
	}
	return errors.Join(errs...)
}

func removeNamespace(ctx context.Context, name string) error {
	if _, err := os.Stat(filepath.Join(netnsDir, name)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := run(ctx, "", "ip", "netns", "del", name)
	return err
}

// run executes a helper program of the machine and returns its output; the error holds what it complained about.
func run(ctx context.Context, stdin string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("lab: %s %q: %w: %s", strings.Join(argv, " "), stdin, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
