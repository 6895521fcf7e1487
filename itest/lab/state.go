package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	stateFile    = "lab.json"
	stateVersion = 1
)

// record is the state file: what a later process has to know to act on the lab or to take it down.
type record struct {
	Version  int          `json:"version"`
	ID       string       `json:"id"`
	Subnet   int          `json:"subnet"`
	Isolated bool         `json:"isolated,omitempty"`
	Hosts    []hostRecord `json:"hosts"`
}

type hostRecord struct {
	Name    string `json:"name"`
	Number  int    `json:"number"` // last byte of the address
	Libvirt bool   `json:"libvirt"`
	Cut     bool   `json:"cut,omitempty"` // partitioned from the others
}

func (r *record) find(name string) *hostRecord {
	for i := range r.Hosts {
		if r.Hosts[i].Name == name {
			return &r.Hosts[i]
		}
	}
	return nil
}

// add gives a new host the lowest free number.
func (r *record) add(name string, libvirt bool) (hostRecord, error) {
	if r.find(name) != nil {
		return hostRecord{}, fmt.Errorf("%w: %q", ErrHostExists, name)
	}
	used := map[int]bool{}
	for _, h := range r.Hosts {
		used[h.Number] = true
	}
	for n := 1; n <= maxHosts; n++ {
		if !used[n] {
			h := hostRecord{Name: name, Number: n, Libvirt: libvirt}
			r.Hosts = append(r.Hosts, h)
			return h, nil
		}
	}
	return hostRecord{}, fmt.Errorf("lab: no room for host %q: %d hosts are the limit", name, maxHosts)
}

func readRecord(dir string) (record, error) {
	var r record
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%w in %s: create one with New", ErrNoLab, dir)
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("lab: state file %s: %w", filepath.Join(dir, stateFile), err)
	}
	if r.Version != stateVersion {
		return r, fmt.Errorf("lab: state file in %s has version %d, this program knows %d: use the program that created it", dir, r.Version, stateVersion)
	}
	return r, nil
}

// writeHosts writes what all hosts see as /etc/hosts, in place because they hold the file by a bind mount.
func (r *record) writeHosts(file string) error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	for _, h := range r.Hosts {
		text += address(r.Subnet, h.Number) + " " + h.Name + "\n"
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func (r *record) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, stateFile+".new")
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, stateFile))
}

// update changes the state file, and the hosts' /etc/hosts with it, under a lock that other processes respect too.
func (l *Lab) update(ctx context.Context, change func(*record) error) error {
	unlock, err := lock(ctx, l.dir)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := readRecord(l.dir)
	if err != nil {
		return err
	}
	if err := change(&r); err != nil {
		return err
	}
	return errors.Join(r.write(l.dir), r.writeHosts(l.hostsFile()))
}

// lock takes an exclusive lock on a folder; it ends with the process at the latest.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return lockFile(ctx, f)
}

// lockMachine takes a lock of that name that all labs on the machine respect; it ends with the process at the latest.
func lockMachine(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile("/run/novacron-lab-"+name+".lock", os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return lockFile(ctx, f)
}

func lockFile(ctx context.Context, f *os.File) (unlock func(), err error) {
	// Not the blocking call: that would not hear of the context.
	if err := retry(ctx, func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lab: lock %s, which another process holds: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}
