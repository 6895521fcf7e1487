// Package fake is a hypervisor in memory, with faults and delays to inject, that can keep its state in a folder so that guests outlive the process as real ones do.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Options shape a fake host. The zero value is a host of 64 CPUs, 256 GiB and the pools "default" and "images".
type Options struct {
	// Dir keeps the state across processes; empty means in memory alone.
	Dir string
	// Facts replaces what the host says about itself; empty fields keep their defaults.
	Facts hypervisor.HostFacts
	// Fault, when set, is asked before every operation, with the method's name and its domain or volume, and may fail it.
	Fault func(op, object string) error
	// Latency, when set, is how long an operation takes.
	Latency func(op string) time.Duration
	// ShutdownTime is how long a guest takes to obey a shutdown request; IgnoreShutdown guests never do.
	ShutdownTime   time.Duration
	IgnoreShutdown bool
	// LockedDrives makes running guests lock what lies in their drives.
	LockedDrives bool
	// IgnoreTerm makes hypervisor processes outlive the gentle kill.
	IgnoreTerm bool
	// Stats, when set, adds to what is counted of a domain; Usage is what the agent in a guest tells.
	Stats func(hypervisor.DomainStats) hypervisor.DomainStats
	Usage func(id string) hypervisor.GuestUsage
}

// Driver is a fake hypervisor. It is safe for concurrent use.
type Driver struct {
	hypervisor.EventHub
	opts Options

	mu       sync.Mutex
	state    state
	consoles map[string][]*console
	// contents are the bytes of uploaded volumes, by path; those of a former life are zeros.
	contents map[string][]byte
}

var _ hypervisor.Driver = (*Driver)(nil)

// state is what Dir keeps.
type state struct {
	Domains map[string]*domain                           `json:"domains"`
	Volumes map[string]map[string]*hypervisor.VolumeInfo `json:"volumes"`
	// Networks and Filters are by UUID.
	Networks map[string]*hypervisor.Network `json:"networks"`
	Filters  map[string]*filter             `json:"filters"`
	Pools    []hypervisor.PoolFacts         `json:"pools"`
}

type domain struct {
	XML   string           `json:"xml"`
	State hypervisor.State `json:"state"`
	// Tied are the host's CPUs that a running domain was tied to.
	Tied []int `json:"tied,omitempty"`
}

// New returns a fake host, with what Dir kept of a former one.
func New(opts Options) (*Driver, error) {
	d := &Driver{opts: opts, consoles: map[string][]*console{}, contents: map[string][]byte{}}
	d.state = state{Domains: map[string]*domain{}, Volumes: map[string]map[string]*hypervisor.VolumeInfo{}}
	d.state.Networks, d.state.Filters = map[string]*hypervisor.Network{}, map[string]*filter{}
	if opts.Dir == "" {
		return d, nil
	}
	data, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fake host: %w", err)
	}
	if err := json.Unmarshal(data, &d.state); err != nil {
		return nil, fmt.Errorf("fake host: %s: %w", d.file(), err)
	}
	return d, nil
}

func (d *Driver) file() string { return filepath.Join(d.opts.Dir, "fake-host.json") }

// save keeps the state. The caller holds the lock.
func (d *Driver) save() error {
	if d.opts.Dir == "" {
		return nil
	}
	data, err := json.Marshal(d.state)
	if err == nil {
		err = os.WriteFile(d.file()+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(d.file()+".new", d.file())
	}
	if err != nil {
		return fmt.Errorf("fake host: %w", err)
	}
	return nil
}

// begin takes the time of an operation and injects its fault.
func (d *Driver) begin(ctx context.Context, op, object string) error {
	if d.opts.Latency != nil {
		if err := wait(ctx, d.opts.Latency(op)); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.opts.Fault == nil {
		return nil
	}
	return d.opts.Fault(op, object)
}

func wait(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Facts tells what the host can do.
func (d *Driver) Facts(ctx context.Context) (hypervisor.HostFacts, error) {
	if err := d.begin(ctx, "Facts", ""); err != nil {
		return hypervisor.HostFacts{}, err
	}
	d.mu.Lock()
	facts := d.facts()
	d.mu.Unlock()
	facts.Networks = d.networkNames(facts.Networks)
	return facts, nil
}

// facts needs the lock.
func (d *Driver) facts() hypervisor.HostFacts {
	f := d.opts.Facts
	f.Driver = "fake"
	set(&f.Arch, "x86_64")
	set(&f.CPUModel, "fake")
	set(&f.Accelerator, hypervisor.AcceleratorQEMU)
	set(&f.HypervisorVersion, "7.2.0")
	set(&f.LibvirtVersion, "9.0.0")
	if f.CPUs == 0 {
		f.CPUs = 64
	}
	if f.CPUNodes == nil {
		f.CPUNodes = hypervisor.OneNode(f.CPUs)
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = 256 << 10
	}
	if f.Pools == nil {
		f.Pools = []hypervisor.PoolFacts{
			{Name: "default", Type: "dir", CapacityBytes: 10 << 40, FreeBytes: 9 << 40},
			{Name: "images", Type: "dir", CapacityBytes: 10 << 40, FreeBytes: 9 << 40},
		}
	}
	f.Pools = slices.Concat(f.Pools, d.state.Pools)
	if f.Networks == nil {
		f.Networks = []string{"default"}
	}
	if f.MachineTypes == nil {
		f.MachineTypes = []string{"pc-i440fx-7.2", "pc-q35-7.2"}
		f.MachineAliases = map[string]string{"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
	}
	if f.Firmwares == nil {
		f.Firmwares = []string{"bios", "uefi"}
	}
	return f
}

func set(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Close ends the connection; the guests run on in Dir.
func (d *Driver) Close() error { return nil }

// Crash is the death of the host: every guest stops at once, without an event.
func (d *Driver) Crash() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, dom := range d.state.Domains {
		dom.State = hypervisor.StateStopped
		d.hangUp(id)
	}
	return d.save()
}

// SetState makes a guest stop, crash or pause by itself, with the event that the hypervisor would send.
func (d *Driver) SetState(id string, to hypervisor.State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	return d.move(id, dom, to)
}

// Leftovers lists every domain's name and every volume, sorted: what a test wants to be empty.
func (d *Driver) Leftovers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for id := range d.state.Domains {
		all = append(all, "domain "+id)
	}
	for pool, volumes := range d.state.Volumes {
		for name := range maps.Keys(volumes) {
			all = append(all, "volume "+pool+"/"+name)
		}
	}
	for _, n := range d.state.Networks {
		all = append(all, "network "+n.Name)
	}
	for _, f := range d.state.Filters {
		all = append(all, "filter "+f.Name)
	}
	slices.Sort(all)
	return all
}
