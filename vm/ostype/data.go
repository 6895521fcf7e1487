package ostype

// family is a type with its versions, from the makers' published requirements.
type family struct {
	generic  System
	versions []release
}

// release is a version with its minima; 0 means as the generic one.
type release struct {
	name              string
	memoryMB, diskGB  int
	uefi, secure, tpm bool
}

func (f family) version(r release) System {
	s := f.generic
	s.Version = r.name
	if r.memoryMB > 0 {
		s.MinMemoryMB = r.memoryMB
	}
	if r.diskGB > 0 {
		s.MinDiskGB = r.diskGB
	}
	s.UEFI, s.SecureBoot, s.TPM = r.uefi, r.secure, r.tpm
	return s
}

func linux(name string, memoryMB, diskGB int, versions ...release) family {
	return family{System{
		Type: name, Version: Generic, MinMemoryMB: memoryMB, MinDiskGB: diskGB, MinCPUs: 1, VirtioDisk: true, VirtioNIC: true,
	}, versions}
}

func families() []family {
	return append(linuxes(),
		windows(),
		family{System{Type: "freebsd", Version: Generic, MinMemoryMB: 96, MinDiskGB: 2, MinCPUs: 1, MaxCPUs: 1024, VirtioDisk: true, VirtioNIC: true},
			[]release{{name: "13", memoryMB: 128}, {name: "14", memoryMB: 256, diskGB: 4}, {name: "15", memoryMB: 256, diskGB: 4}}},
		family{System{Type: "openbsd", Version: Generic, MinMemoryMB: 32, MinDiskGB: 1, MinCPUs: 1, MaxCPUs: 64, VirtioDisk: true, VirtioNIC: true},
			[]release{{name: "7.4", memoryMB: 128}, {name: "7.5", memoryMB: 128}, {name: "7.6", memoryMB: 128}, {name: "7.7", memoryMB: 128}}},
		family{System{Type: Generic, Version: Generic, VirtioDisk: true, VirtioNIC: true}, nil},
	)
}

func linuxes() []family {
	return []family{
		linux("linux", 64, 0),
		linux("debian", 256, 2, release{name: "10"}, release{name: "11"}, release{name: "12", memoryMB: 512, diskGB: 4}, release{name: "13", memoryMB: 512, diskGB: 4}),
		linux("ubuntu", 1024, 3, release{name: "20.04", diskGB: 3}, release{name: "22.04", diskGB: 5}, release{name: "24.04", diskGB: 5}, release{name: "26.04", memoryMB: 1536, diskGB: 5}),
		linux("rhel", 1536, 10, release{name: "7", memoryMB: 1024}, release{name: "8"}, release{name: "9"}, release{name: "10", memoryMB: 2048}),
		linux("rocky", 1536, 10, release{name: "8"}, release{name: "9"}, release{name: "10", memoryMB: 2048}),
		linux("alma", 1536, 10, release{name: "8"}, release{name: "9"}, release{name: "10", memoryMB: 2048}),
		linux("fedora", 2048, 15, release{name: "40"}, release{name: "41"}, release{name: "42"}, release{name: "43"}),
		linux("opensuse", 1024, 10, release{name: "15.5"}, release{name: "15.6"}, release{name: "16.0", memoryMB: 2048}, release{name: "tumbleweed"}),
		linux("sles", 1024, 10, release{name: "12"}, release{name: "15"}, release{name: "16", memoryMB: 2048}),
		linux("arch", 512, 2, release{name: "rolling"}),
		linux("alpine", 128, 1, release{name: "3.19"}, release{name: "3.20"}, release{name: "3.21"}, release{name: "3.22"}),
		linux("flatcar", 1024, 9, release{name: "stable"}, release{name: "beta"}, release{name: "lts"}),
	}
}

// windows has no virtio drivers until somebody installs them.
func windows() family {
	return family{
		System{Type: "windows", Version: Generic, MinMemoryMB: 2048, MinDiskGB: 32, MinCPUs: 1, MaxCPUs: 2048, Windows: true},
		[]release{
			{name: "10", diskGB: 32},
			{name: "11", memoryMB: 4096, diskGB: 64, uefi: true, secure: true, tpm: true},
			{name: "2016", memoryMB: 512}, {name: "2019", memoryMB: 512}, {name: "2022", memoryMB: 512},
			{name: "2025", memoryMB: 512},
		},
	}
}
