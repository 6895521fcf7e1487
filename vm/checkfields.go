package vm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const nameLimit = "1 to 63 of A-Z a-z 0-9 -, no - at either end, not digits alone"

func (c *checker) identity(def Definition) {
	c.name("name", def.Name)
	if def.Project != "" {
		c.name("project", def.Project)
	}
	if def.UUID != "" {
		c.uuid("uuid", def.UUID)
	}
	c.labels("labels", def.Labels, maxLabelValue, "")
	c.labels("annotations", def.Annotations, maxAnnotation, "\t\n")
}

func (c *checker) name(path, name string) {
	if !nameForm.MatchString(name) || strings.Trim(name, "0123456789") == "" {
		c.add(path, name, nameLimit, "choose another name")
	}
}

func (c *checker) uuid(path, s string) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
		c.add(path, s, "a version 4 UUID such as 6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f", "leave it out and the server chooses one")
	}
}

func (c *checker) labels(path string, labels map[string]string, maxBytes int, also string) {
	if len(labels) > MaxLabels {
		c.add(path, fmt.Sprintf("%d entries", len(labels)), fmt.Sprintf("at most %d", MaxLabels), "remove some")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !labelForm.MatchString(key) {
			c.add(path, key, "keys of 1 to 63 of A-Z a-z 0-9 . _ / -, a letter or digit at both ends", "rename the key")
			continue
		}
		c.text(path+"["+key+"]", labels[key], maxBytes, also)
	}
}

func (c *checker) system(def Definition) {
	c.oneOf("osType", def.OSType, OSTypes())
	c.thing("osVersion", def.OSVersion)
	c.oneOf("arch", def.Arch, Arches())
	if !machineAllowed(def.Arch, def.Machine) {
		c.add("machine", def.Machine, strings.Join(machineFamilies(def.Arch), ", ")+" or one of them with a version, such as pc-q35-7.2",
			"leave it out for the best one of the host")
	}
}

func (c *checker) size(def Definition) {
	c.between("cpus", def.CPUs, 1, MaxCPUs, "", "give the number of virtual CPUs")
	switch {
	case def.MemoryMB >= 1 && def.MemoryMB < MinMemoryMB:
		c.add("memoryMB", def.MemoryMB, fmt.Sprintf("%d to %d MiB", MinMemoryMB, MaxMemoryMB),
			fmt.Sprintf("did you mean %d GiB? Then write %d", def.MemoryMB, def.MemoryMB*1024))
	default:
		c.between("memoryMB", def.MemoryMB, MinMemoryMB, MaxMemoryMB, " MiB", "give the memory in MiB")
	}
	c.between("diskGB", def.DiskGB, 0, MaxDiskGB, " GiB", "give the size of the root disk in GiB, or 0 for none")
	c.between("stopTimeoutSeconds", def.StopTimeoutSeconds, 0, MaxStopSeconds, " s", "give seconds, or leave it out")
}

func (c *checker) boot(boot *DirectBoot) {
	if boot == nil {
		return
	}
	c.thing("boot.kernel", boot.Kernel)
	if boot.Initrd != "" {
		c.thing("boot.initrd", boot.Initrd)
	}
	c.text("boot.cmdline", boot.Cmdline, maxCmdline, "")
}
