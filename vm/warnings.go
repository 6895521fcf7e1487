package vm

import (
	"fmt"

	"github.com/novacron/novacron/vm/ostype"
)

// Warnings is what is unusual about a definition and not wrong.
type Warnings = Faults

// Warn tells everything that is allowed and probably not meant, by a table of operating systems.
func Warn(def Definition, systems ostype.Table) Warnings {
	def = normalForm(def)
	c := &checker{}
	s, known := systems.Lookup(def.OSType, def.OSVersion)
	if !known {
		c.add("osVersion", def.OSVersion, "a version of "+def.OSType+" that is known here", "it is treated as "+s.Type+" "+s.Version+"; nothing needs to be done where that fits")
	}
	c.minima(def, s)
	if s.MinMemoryMB == 0 && def.MemoryMB >= MinMemoryMB && def.MemoryMB < 64 {
		c.add("memoryMB", def.MemoryMB, "at least 64 MiB for most systems", fmt.Sprintf("did you mean %d GiB? Then write %d", def.MemoryMB, def.MemoryMB*1024))
	}
	return c.faults
}

func (c *checker) minima(def Definition, s ostype.System) {
	name := s.Type + " " + s.Version
	if def.MemoryMB < s.MinMemoryMB {
		c.add("memoryMB", def.MemoryMB, fmt.Sprintf("at least %d MiB for %s", s.MinMemoryMB, name), "ask for more, or see whether it starts")
	}
	if def.DiskGB > 0 && def.DiskGB < s.MinDiskGB {
		c.add("diskGB", def.DiskGB, fmt.Sprintf("at least %d GiB for %s", s.MinDiskGB, name), "ask for more, or see whether it installs")
	}
	if def.CPUs < s.MinCPUs {
		c.add("cpus", def.CPUs, fmt.Sprintf("at least %d for %s", s.MinCPUs, name), "ask for more")
	}
}
