package ostype

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Limits of what is read of osinfo-db: it has about a thousand small files.
const (
	maxOSInfoFiles = 4096
	maxOSInfoBytes = 1 << 20
	maxOSInfoDepth = 32
)

// ErrOSInfo is a file that is no description of an operating system within the limits.
var ErrOSInfo = errors.New("osinfo file")

// OSInfoDir is where osinfo-db lies on a host that has it.
const OSInfoDir = "/usr/share/osinfo/os"

// osinfo is what of a file concerns us.
type osinfo struct {
	Systems []struct {
		ShortIDs  []string `xml:"short-id"`
		Version   string   `xml:"version"`
		Family    string   `xml:"family"`
		Resources []struct {
			Arch    string `xml:"arch,attr"`
			Minimum struct {
				CPUs    int   `xml:"n-cpus"`
				RAM     int64 `xml:"ram"`
				Storage int64 `xml:"storage"`
			} `xml:"minimum"`
		} `xml:"resources"`
		Devices []struct {
			ID string `xml:"id,attr"`
		} `xml:"devices>device"`
	} `xml:"os"`
}

// vendor is the folder of a tree of osinfo-db that has a type's versions; empty where it has none by our names. All
// folders together take a second to read.
func vendor(osType string) string {
	return map[string]string{
		"debian": "debian.org", "ubuntu": "ubuntu.com", "rhel": "redhat.com", "rocky": "rockylinux.org", "alma": "almalinux.org",
		"fedora": "fedoraproject.org", "opensuse": "opensuse.org", "sles": "suse.com", "alpine": "alpinelinux.org",
		"windows": "microsoft.com", "freebsd": "freebsd.org", "openbsd": "openbsd.org",
	}[strings.ToLower(osType)]
}

// ReadOSInfo reads what a tree of osinfo-db knows of a type. A tree that is not there gives nothing; files that cannot
// be read as such are skipped: the table is complete without them.
func ReadOSInfo(tree fs.FS, osType string) []System {
	folder := vendor(osType)
	if folder == "" {
		return nil
	}
	var systems []System
	files := 0
	_ = fs.WalkDir(tree, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".xml" {
			return nil
		}
		if files++; files > maxOSInfoFiles {
			return fs.SkipAll
		}
		if found, err := readFile(tree, name); err == nil {
			systems = append(systems, found...)
		}
		return nil
	})
	return systems
}

func readFile(tree fs.FS, name string) ([]System, error) {
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseOSInfo(f)
}

// ParseOSInfo reads one file of osinfo-db. Systems that the table has no type for are left out.
func ParseOSInfo(r io.Reader) ([]System, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxOSInfoBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOSInfo, err)
	}
	if len(data) > maxOSInfoBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrOSInfo, maxOSInfoBytes)
	}
	if err := checkDepth(string(data)); err != nil {
		return nil, err
	}
	var info osinfo
	if err := xml.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOSInfo, err)
	}
	return info.systems(), nil
}

// checkDepth refuses what is nested beyond reason before it is taken apart recursively.
func checkDepth(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for depth := 0; ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOSInfo, err)
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
		if depth > maxOSInfoDepth {
			return fmt.Errorf("%w: nested deeper than %d", ErrOSInfo, maxOSInfoDepth)
		}
	}
}

func (info osinfo) systems() []System {
	var list []System
	for _, one := range info.Systems {
		for _, id := range one.ShortIDs {
			s, ok := named(id, one.Version)
			if !ok {
				continue
			}
			for _, r := range one.Resources {
				s.atLeast(r.Minimum.CPUs, r.Minimum.RAM, r.Minimum.Storage)
			}
			for _, d := range one.Devices {
				s.drives(d.ID)
			}
			list = append(list, s)
		}
	}
	return list
}

// named tells our name of a system by osinfo's short one, such as debian12, win2k22 or ubuntu24.04.
func named(id, version string) (System, bool) {
	prefix := strings.TrimRight(id, "0123456789.")
	ours := map[string]string{
		"debian": "debian", "ubuntu": "ubuntu", "rhel": "rhel", "rocky": "rocky", "almalinux": "alma", "fedora": "fedora", "opensuse": "opensuse",
		"sles": "sles", "sle": "sles", "alpinelinux": "alpine", "freebsd": "freebsd", "openbsd": "openbsd", "win": "windows", "win2k": "windows",
	}[prefix]
	suffix := strings.TrimPrefix(id, prefix)
	if prefix == "win2k" {
		version = "20" + suffix
	} else if suffix != "" {
		version = suffix
	}
	return System{Type: ours, Version: version}, ours != "" && version != "" && len(version) <= 32
}

// atLeast takes the largest minimum of any architecture: bytes, as osinfo has them.
func (s *System) atLeast(cpus int, ram, storage int64) {
	s.MinCPUs = max(s.MinCPUs, min(cpus, 1024))
	s.MinMemoryMB = max(s.MinMemoryMB, int(min(max(ram, 0)>>20, 1<<20)))
	s.MinDiskGB = max(s.MinDiskGB, int(min(max(storage, 0)>>30, 1<<16)))
}

// drives notes that a driver for a device is there, by its PCI id.
func (s *System) drives(device string) {
	switch _, id, _ := strings.Cut(device, "pcisig.com/pci/1af4/"); id {
	case "1001", "1042":
		s.VirtioDisk = true
	case "1000", "1041":
		s.VirtioNIC = true
	}
}
