//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// factsCache keeps what does not change while a connection lasts.
type factsCache struct {
	// fill is held while the facts are found out, so that one guest is probed and not many.
	fill   sync.Mutex
	mu     sync.Mutex
	known  bool
	static hypervisor.HostFacts
}

func (f *factsCache) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = false
}

func (f *factsCache) get() (hypervisor.HostFacts, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.static, f.known
}

func (f *factsCache) put(facts hypervisor.HostFacts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.static, f.known = facts, true
}

// Facts tells what the host can do: pools, networks and bridges as they are now, the rest as found out at first.
func (d *Driver) Facts(ctx context.Context) (hypervisor.HostFacts, error) {
	facts, err := d.staticFacts(ctx)
	if err != nil {
		return facts, err
	}
	facts.BridgeMTUs, err = bridges()
	if err != nil {
		return facts, err
	}
	facts.Bridges = slices.Sorted(maps.Keys(facts.BridgeMTUs))
	return call(ctx, d, func(conn *lv.Connect) (hypervisor.HostFacts, error) {
		var poolErr, netErr error
		facts.Pools, poolErr = pools(conn)
		facts.Networks, netErr = networks(conn)
		facts.NetworkFilters = networkFilters(conn)
		facts.HostDevices = hostDevices(conn)
		return facts, errors.Join(poolErr, netErr)
	})
}

func (d *Driver) staticFacts(ctx context.Context) (hypervisor.HostFacts, error) {
	d.facts.fill.Lock()
	defer d.facts.fill.Unlock()
	if facts, known := d.facts.get(); known {
		return facts, nil
	}
	facts, err := call(ctx, d, capabilities)
	if err != nil {
		return facts, fmt.Errorf("capabilities of the host: %w", err)
	}
	if facts.Accelerator != acceleratorTest {
		if facts.Accelerator, err = d.accelerator(ctx, facts); err != nil {
			return facts, err
		}
	}
	facts, err = call(ctx, d, func(conn *lv.Connect) (hypervisor.HostFacts, error) { return withGuestFacts(conn, facts), nil })
	if err != nil {
		return facts, err
	}
	d.facts.put(facts)
	return facts, nil
}

// capabilities reads the processor, the versions and the machine types. Accelerator is the best that libvirt lists.
func capabilities(conn *lv.Connect) (hypervisor.HostFacts, error) {
	facts := hypervisor.HostFacts{Driver: "libvirt"}
	node, err := conn.GetNodeInfo()
	if err != nil {
		return facts, err
	}
	facts.CPUs, facts.MemoryMB = int(node.Cpus), int(node.Memory/1024)
	text, err := conn.GetCapabilities()
	if err != nil {
		return facts, err
	}
	var caps libvirtxml.Caps
	if err := caps.Unmarshal(text); err != nil {
		return facts, fmt.Errorf("capabilities XML: %w", err)
	}
	memoryFacts(&facts, caps)
	facts.CPUNodes = cpuNodes(caps, facts.CPUs)
	if caps.Host.CPU != nil {
		facts.Arch, facts.CPUModel = caps.Host.CPU.Arch, caps.Host.CPU.Model
		facts.CPUSignature = signature(caps.Host.CPU)
	}
	guest(&facts, caps)
	if v, err := conn.GetLibVersion(); err == nil {
		facts.LibvirtVersion = dotted(v)
	}
	if v, err := conn.GetVersion(); err == nil {
		facts.HypervisorVersion = dotted(v)
	}
	return facts, nil
}

// signature is the same for processors of the same kind with the same features, whatever their speed and microcode.
func signature(cpu *libvirtxml.CapsHostCPU) string {
	features := make([]string, 0, len(cpu.FeatureFlags))
	for _, flag := range cpu.FeatureFlags {
		features = append(features, flag.Name)
	}
	slices.Sort(features)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{cpu.Arch, cpu.Vendor, cpu.Model}, features...), " ")))
	return hex.EncodeToString(sum[:8])
}

// guest reads what guests of the host's own architecture may be.
func guest(facts *hypervisor.HostFacts, caps libvirtxml.Caps) {
	facts.MachineAliases = map[string]string{}
	for _, g := range caps.Guests {
		test := slices.ContainsFunc(g.Arch.Domains, func(d libvirtxml.CapsGuestDomain) bool { return d.Type == acceleratorTest })
		if test {
			facts.Accelerator, facts.Arch = acceleratorTest, ""
			return
		}
		if g.Arch.Name != facts.Arch || g.OSType != "hvm" {
			continue
		}
		for _, d := range g.Arch.Domains {
			if facts.Accelerator != hypervisor.AcceleratorKVM {
				facts.Accelerator = d.Type
			}
		}
		for _, m := range g.Arch.Machines {
			if m.Canonical != "" {
				facts.MachineAliases[m.Name] = m.Canonical
			}
			facts.MachineTypes = append(facts.MachineTypes, m.Name)
		}
	}
	slices.Sort(facts.MachineTypes)
	facts.MachineTypes = slices.Compact(facts.MachineTypes)
}

// dotted writes libvirt's version numbers: a million for the major one, a thousand for the minor one.
func dotted(v uint32) string { return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000) }
