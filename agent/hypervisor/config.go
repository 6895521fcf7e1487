package hypervisor

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/ostype"
)

// Config is what a Manager needs to work.
type Config struct {
	Driver Driver
	// ClusterID marks domains as ours.
	ClusterID string
	// JournalDir is a folder of this manager alone, on a disk that survives a crash. It is made where missing.
	JournalDir string
	// ConsoleLogDir is where the hypervisor keeps serial console output; empty means nowhere. It is made where missing.
	ConsoleLogDir string
	// Defaults fill in definitions that reach CreateVM.
	Defaults vm.Defaults
	// Images resolves image names for CreateVM and for specs without a source of their own.
	Images ImageSource
	// KeepUnusedBases leaves imported base images in the pools when the last overlay goes, for the next create.
	KeepUnusedBases bool
	// CPUBaseline is the processor model that all hosts of the cluster have, where they differ; empty means that they do not.
	// SetCPUBaseline changes it.
	CPUBaseline string
	// NoOvercommit refuses volumes that could outgrow the free space of their pool.
	NoOvercommit bool
	// OSInfo is a tree of osinfo-db, whose minima go before ours; nil means the host's, where it is installed.
	OSInfo fs.FS
	// Resend is how often a graceful stop asks the guest again; 0 means 10 s.
	Resend time.Duration
	// Faults are fail points for tests; nil means none.
	Faults *fault.Registry
	Logger *slog.Logger
}

const defaultResend = 10 * time.Second

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Driver == nil:
		return c, errors.New("hypervisor config: Driver is missing; give the libvirt or the fake driver")
	case c.ClusterID == "":
		return c, errors.New("hypervisor config: ClusterID is empty; without it foreign domains could not be told from ours")
	case c.JournalDir == "":
		return c, errors.New("hypervisor config: JournalDir is empty; give a folder on a lasting disk")
	}
	if c.OSInfo == nil {
		c.OSInfo = os.DirFS(ostype.OSInfoDir)
	}
	if c.Resend == 0 {
		c.Resend = defaultResend
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
