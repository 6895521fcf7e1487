package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/novacron/novacron/agent"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/agent/hypervisor/libvirt"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller"
	"github.com/novacron/novacron/controller/cli"
	"github.com/novacron/novacron/itest/fault"
)

// Drivers by the names that node.yaml uses.
const (
	driverLibvirt     = "libvirt"
	driverFake        = "fake"
	defaultLibvirtURI = "qemu:///system"
)

// daemonFlags are common to the commands that stay.
type daemonFlags struct {
	dataDir  string
	logLevel string
}

func (f *daemonFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.dataDir, "data-dir", "/var/lib/novacron", "`folder` that «cluster init» or «cluster join» prepared")
	c.Flags().StringVar(&f.logLevel, "log-level", "info", "what to log: `level` debug, info, warn or error")
}

func (f *daemonFlags) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, cli.UsageErrorf("--log-level %q: use debug, info, warn or error", f.logLevel)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

// open loads the member that the data directory belongs to, and insists on its role.
func (f *daemonFlags) open(want pki.Role) (node.Config, *slog.Logger, error) {
	logger, err := f.logger()
	if err != nil {
		return node.Config{}, nil, err
	}
	member, err := node.Load(f.dataDir)
	if err != nil {
		return node.Config{}, nil, err
	}
	if member.Role != want {
		return node.Config{}, nil, fmt.Errorf("%s belongs to a member of role %s: start it with «novacron %s»", f.dataDir, member.Role, member.Role)
	}
	return member, logger, nil
}

func controllerCommand() *cobra.Command {
	flags := &daemonFlags{}
	command := &cobra.Command{
		Use: "controller", Short: "Run a controller", Args: cobra.NoArgs,
		Long: `Run a controller on the data directory that «novacron cluster init» or «novacron cluster join» prepared.
Interrupt it to hand leadership over and stop.

  novacron controller --data-dir /var/lib/novacron`,
		RunE: func(c *cobra.Command, _ []string) error {
			member, logger, err := flags.open(pki.RoleController)
			if err != nil {
				return err
			}
			return controller.Run(c.Context(), controller.Config{Node: member, Version: cli.Version(), Logger: logger, OnStall: exitOnStall})
		},
	}
	flags.register(command)
	return command
}

// exitOnStall ends the process at once: a leader whose disk hangs must make room, and a call into the disk never returns.
func exitOnStall(op string, d time.Duration) {
	fmt.Fprintf(os.Stderr, "novacron: the disk has hung for %s in %s while this controller leads: it ends, so that another can lead\n", d, op)
	os.Exit(1)
}

func agentCommand() *cobra.Command {
	flags := &daemonFlags{}
	command := &cobra.Command{
		Use: "agent", Short: "Run the agent of a hypervisor", Args: cobra.NoArgs,
		Long: `Run the agent on the data directory that «novacron cluster join» prepared with a token of role agent.
Interrupt it to stop; its virtual machines run on.

  novacron agent --data-dir /var/lib/novacron`,
		RunE: func(c *cobra.Command, _ []string) error {
			member, logger, err := flags.open(pki.RoleAgent)
			if err != nil {
				return err
			}
			return runAgent(c.Context(), member, logger)
		},
	}
	flags.register(command)
	return command
}

// agentGC has an agent collect its garbage when half as much as it uses has come together, not as much: it shares the
// host with guests, and has processor time to spare.
const agentGC = 50

func runAgent(ctx context.Context, member node.Config, logger *slog.Logger) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(agentGC)
	}
	driver, err := openDriver(ctx, member, logger)
	if err != nil {
		return err
	}
	faults, err := fault.Parse(os.Getenv(fault.Environment))
	if err != nil {
		return fmt.Errorf("%s: %w", fault.Environment, err)
	}
	if err := faults.Check(slices.Concat(hypervisor.FaultPoints(), hypervisor.SeedFaultPoints())); err != nil {
		return fmt.Errorf("%s: %w", fault.Environment, err)
	}
	return agent.Run(ctx, agent.Config{Node: member, Version: cli.Version(), Logger: logger, Driver: driver, Faults: faults})
}

func openDriver(ctx context.Context, member node.Config, logger *slog.Logger) (hypervisor.Driver, error) {
	switch name := cmp.Or(member.Agent.Driver, driverLibvirt); name {
	case driverLibvirt:
		return libvirt.Open(ctx, libvirt.Options{URI: cmp.Or(member.Agent.LibvirtURI, defaultLibvirtURI), Logger: logger})
	case driverFake:
		dir := filepath.Join(member.DataDir, "fake")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		return fake.New(fake.Options{Dir: dir})
	default:
		return nil, fmt.Errorf("agent.driver %q in %s: must be %s or %s", name, node.FileConfig, driverLibvirt, driverFake)
	}
}
