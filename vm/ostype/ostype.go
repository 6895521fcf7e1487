// Package ostype knows what operating systems need and what they bring drivers for.
package ostype

import (
	"strings"
	"sync"
)

// System is one version of an operating system. The minima are what its makers ask for, and warnings only.
type System struct {
	Type    string
	Version string
	// MinMemoryMB is in MiB, MinDiskGB in GiB; 0 means unknown.
	MinMemoryMB int
	MinDiskGB   int
	MinCPUs     int
	// MaxCPUs is what the system can use; 0 means unknown.
	MaxCPUs int
	// VirtioDisk and VirtioNIC say that drivers for virtio devices come with it.
	VirtioDisk bool
	VirtioNIC  bool
	// UEFI, SecureBoot and TPM say that it does not install without.
	UEFI       bool
	SecureBoot bool
	TPM        bool
	// Windows says that it keeps local time, knows Hyper-V and wants a screen.
	Windows bool
}

// Generic is the version that stands for every one that is not in the table.
const Generic = "generic"

// Table holds systems: generic ones and versions.
type Table struct {
	systems map[string]System
	types   []string
}

// Builtin is the table that every host has. Nobody changes it.
func Builtin() Table { return builtin() }

var builtin = sync.OnceValue(build)

func build() Table {
	t := Table{systems: map[string]System{}}
	for _, family := range families() {
		t.types = append(t.types, family.generic.Type)
		t.add(family.generic)
		for _, v := range family.versions {
			t.add(family.version(v))
		}
	}
	return t
}

func (t Table) add(s System) { t.systems[key(s.Type, s.Version)] = s }

func key(osType, version string) string {
	return strings.ToLower(osType) + " " + strings.ToLower(version)
}

// Types lists the types that definitions may name.
func (t Table) Types() []string { return t.types }

// Lookup finds a version of a type. Where the version is unknown it returns the type's generic entry and false; an
// unknown type is as the generic one.
func (t Table) Lookup(osType, version string) (System, bool) {
	if s, ok := t.systems[key(osType, version)]; ok {
		return s, true
	}
	if s, ok := t.systems[key(osType, Generic)]; ok {
		return s, version == ""
	}
	return t.systems[key(Generic, Generic)], false
}

// Versions lists the versions of a type that the table knows, the generic one excepted.
func (t Table) Versions(osType string) []string {
	var versions []string
	for _, family := range families() {
		if family.generic.Type != strings.ToLower(osType) {
			continue
		}
		for _, v := range family.versions {
			versions = append(versions, v.name)
		}
	}
	return versions
}

// With returns a table in which minima and drivers of the given systems replace or extend those of this one. What
// this one knows to be needed stays needed. Types that it does not have are left out.
func (t Table) With(more []System) Table {
	merged := Table{systems: map[string]System{}, types: t.types}
	for k, s := range t.systems {
		merged.systems[k] = s
	}
	for _, s := range more {
		known, _ := t.Lookup(s.Type, s.Version)
		if known.Type != s.Type {
			continue
		}
		merged.add(known.updated(s))
	}
	return merged
}

func (s System) updated(by System) System {
	s.Version = by.Version
	for _, n := range []struct {
		mine *int
		new  int
	}{{&s.MinMemoryMB, by.MinMemoryMB}, {&s.MinDiskGB, by.MinDiskGB}, {&s.MinCPUs, by.MinCPUs}, {&s.MaxCPUs, by.MaxCPUs}} {
		if n.new > 0 {
			*n.mine = n.new
		}
	}
	s.VirtioDisk = s.VirtioDisk || by.VirtioDisk
	s.VirtioNIC = s.VirtioNIC || by.VirtioNIC
	return s
}
