// Package libvirt drives a host's virtual machines through libvirt: the one door to it, and to cgo.
package libvirt

import (
	"log/slog"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
)

// DefaultURI is the system's QEMU driver.
const DefaultURI = "qemu:///system"

// Options say which libvirt to drive, and how.
type Options struct {
	// URI is libvirt's connection address; empty means DefaultURI.
	URI string
	// Accelerator is "kvm" or "qemu" where that is known; empty means that Facts finds out by running a guest.
	Accelerator string
	// ProbeTimeout bounds that guest's life; 0 means 10 s.
	ProbeTimeout time.Duration
	// Connections share the calls; 0 means 4, and 1 for libvirt's test driver, whose connections are hosts of their own.
	Connections int
	// MaxCalls bounds the calls in flight on each; 0 means 4, one less than libvirtd serves of one client by default.
	MaxCalls int
	// StatusDir is where the QEMU driver keeps the status of running guests; empty means that of DefaultURI, and none where
	// URI is another.
	StatusDir string
	Logger    *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.URI == "" {
		o.URI = DefaultURI
	}
	if o.StatusDir == "" && o.URI == DefaultURI {
		o.StatusDir = systemStatus
	}
	if o.ProbeTimeout == 0 {
		o.ProbeTimeout = 10 * time.Second
	}
	switch {
	case o.Connections != 0:
	case strings.HasPrefix(o.URI, "test:"):
		o.Connections = 1
	default:
		o.Connections = 4
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// acceleratorTest is the domain type of libvirt's test driver.
const acceleratorTest = "test"

// unavailable marks a call that failed because the connection did.
func unavailable(err error) error { return &connectionError{err} }

// connectionError is a failed connection: hypervisor.ErrUnavailable with its cause.
type connectionError struct{ cause error }

func (e *connectionError) Error() string {
	return hypervisor.ErrUnavailable.Error() + ": " + e.cause.Error()
}

func (e *connectionError) Unwrap() []error { return []error{hypervisor.ErrUnavailable, e.cause} }
