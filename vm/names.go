package vm

import (
	"fmt"
	"strings"
)

// Hostname turns a display name into a host name: space, "_" and "." become "-", what else cannot stand in one is
// dropped, and 63 characters are kept. Where nothing is left it is the id.
func Hostname(display, id string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '_' || r == '.':
			return '-'
		case r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z':
			return r
		default:
			return -1
		}
	}, strings.ToLower(display))
	name = strings.Trim(name, "-")
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-")
	}
	if name == "" {
		return id
	}
	return name
}

// NextName is the first of base, base-2, base-3, … that is free, cut so that it stays a name.
func NextName(base string, taken func(string) bool) string {
	if !taken(base) {
		return base
	}
	for n := 2; ; n++ {
		suffix := fmt.Sprintf("-%d", n)
		name := strings.TrimRight(base[:min(len(base), 63-len(suffix))], "-") + suffix
		if !taken(name) {
			return name
		}
	}
}

// CheckSnapshotName tells whether name may name a snapshot. The error is Faults of path.
func CheckSnapshotName(path, name string) error {
	c := &checker{}
	switch {
	case name == "current" || name == "pending":
		c.add(path, name, "a name other than current and pending, which have a meaning of their own", "choose another name")
	case !thingForm.MatchString(name):
		c.add(path, name, "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first, no space and no /", "choose another name")
	}
	return c.faults.Err()
}
