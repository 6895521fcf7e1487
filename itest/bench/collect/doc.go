// Package collect measures what collecting metrics costs: of a host's machines beside Debian's exporter for libvirt, and
// of clouds beside the fewest calls that their APIs allow.
package collect
