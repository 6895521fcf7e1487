package hypervisor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/novacron/novacron/vm"
)

// CheckHost tells everything that a definition asks for and a host does not have, at once, as vm.Faults. Facts that a
// driver cannot tell, such as an empty list of machine types, refuse nothing. Volumes are sparse, so that space is
// checked against the pool's capacity.
func CheckHost(def *VMDefinition, facts HostFacts) error {
	c := &hostCheck{facts: facts}
	c.atMost("cpus", def.CPUs, facts.CPUs, "logical CPUs of the host")
	c.atMost("memoryMB", def.MemoryMB, facts.MemoryMB, "MiB of the host's memory")
	if def.Arch != facts.Arch && facts.Arch != "" {
		c.add("arch", def.Arch, facts.Arch, "choose a host of that architecture")
	}
	c.oneOf("firmware", def.Firmware, facts.Firmwares)
	c.machine(def.Machine)
	c.disks(def)
	for i, n := range def.NetworkInterfaces {
		if n.Bridge != "" {
			c.oneOf(fmt.Sprintf("networkInterfaces[%d].bridge", i), n.Bridge, append([]string{""}, facts.Bridges...))
		} else {
			c.oneOf(fmt.Sprintf("networkInterfaces[%d].network", i), n.Network, append([]string{""}, facts.Networks...))
		}
	}
	return c.faults.Err()
}

type hostCheck struct {
	facts  HostFacts
	faults vm.Faults
}

func (c *hostCheck) add(path, value, limit, wayOut string) {
	c.faults = append(c.faults, vm.Fault{Path: path, Value: value, Limit: limit, WayOut: wayOut})
}

func (c *hostCheck) atMost(path string, value, limit int, what string) {
	if value > limit && limit > 0 {
		c.add(path, fmt.Sprint(value), fmt.Sprintf("the %d %s", limit, what), "ask for less, or choose a larger host")
	}
}

func (c *hostCheck) oneOf(path, value string, have []string) {
	if len(have) == 0 || slices.Contains(have, value) {
		return
	}
	has := strings.Join(slices.DeleteFunc(slices.Clone(have), func(s string) bool { return s == "" }), ", ")
	if has == "" {
		has = "none"
	}
	c.add(path, fmt.Sprintf("%q", value), "what the host has: "+has, "choose another, or make it on the host")
}

func (c *hostCheck) machine(machine string) {
	if _, alias := c.facts.MachineAliases[machine]; !alias {
		c.oneOf("machine", machine, c.facts.MachineTypes)
	}
}

func (c *hostCheck) disks(def *VMDefinition) {
	var names []string
	capacity := map[string]uint64{}
	for _, p := range c.facts.Pools {
		names = append(names, p.Name)
		capacity[p.Name] = p.CapacityBytes
	}
	for _, d := range disks(def) {
		path := "volumes[" + d.name + "]"
		if d.name == vm.RootVolume {
			path = "root disk"
		}
		c.oneOf(path+" pool", d.pool, append([]string{""}, names...))
		if room := capacity[d.pool]; room > 0 && uint64(d.sizeGB)*gib > room {
			c.add(path+" size", fmt.Sprintf("%d GiB", d.sizeGB), fmt.Sprintf("the pool's %d GiB", room/gib), "ask for less, or choose a larger pool")
		}
	}
}
