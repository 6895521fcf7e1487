package vm

import "strconv"

// PinnedTo is the CPU with a pin for each virtual CPU, to the host's CPU at its place in own. Nil leaves the pins as they are.
func (c CPU) PinnedTo(own []int) CPU {
	if own == nil {
		return c
	}
	c.Pinning = nil
	for vcpu, hostCPU := range own {
		c.Pinning = append(c.Pinning, CPUPin{VCPU: vcpu, HostCPUs: strconv.Itoa(hostCPU)})
	}
	return c
}
