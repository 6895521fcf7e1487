package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/novacron/novacron/itest/lab"
)

func (a *app) labExec(f *labFlags) *cobra.Command {
	var detach bool
	var name string
	cmd := &cobra.Command{
		Use: "exec HOST -- COMMAND [ARG...]", Short: "Run a program inside a host", Args: cobra.MinimumNArgs(2),
		Long: `Run a program of this machine inside a host of the lab. With -d it goes on after this command, until the host goes down,
and its output goes to a file.

  novacron test lab exec --dir /tmp/lab h1 -- virsh list --all
  novacron test lab exec --dir /tmp/lab -d c1 -- novacron controller --data-dir /tmp/c1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.labHost(f, args[0])
			if err != nil {
				return err
			}
			argv := args[1:]
			if argv[0] == "--" {
				argv = argv[1:]
			}
			if len(argv) == 0 {
				return usagef("what shall run inside %s? Name a program after --", h.Name)
			}
			if detach {
				return a.labSpawn(cmd.Context(), h, firstOf(name, filepath.Base(argv[0])), argv)
			}
			return a.labRun(cmd.Context(), h, argv)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the host is the program's
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "let it go on alone, its output in a file")
	cmd.Flags().StringVar(&name, "name", "", "`name` of that file (default the program's)")
	return cmd
}

func (a *app) labRun(ctx context.Context, h *lab.Host, argv []string) error {
	run := h.Command(ctx, argv...)
	run.Stdin, run.Stdout, run.Stderr = a.io.In, a.io.Out, a.io.Err
	err := run.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &fault{what: fmt.Sprintf("%s: %s: %s", h.Name, argv[0], exit), cause: err}
	}
	return err
}

// labSpawned is a program that runs on inside a host.
type labSpawned struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Log  string `json:"log"`
}

func (a *app) labSpawn(ctx context.Context, h *lab.Host, name string, argv []string) error {
	pid, err := h.Spawn(ctx, name, argv...)
	if err != nil {
		return fmt.Errorf("%w (%s)", err, h.LogFile(name))
	}
	s := labSpawned{Host: h.Name, PID: pid, Log: h.LogFile(name)}
	return a.result(s, "%s: process %d, output in %s", s.Host, s.PID, s.Log)
}

func (a *app) labCrash(f *labFlags) *cobra.Command {
	return a.labAct(f, "crash", "Switch a host off as a power failure does", "down",
		"Kill everything in a host at once, guests included, with the network cut first. Its files stay.",
		(*lab.Host).Crash)
}

func (a *app) labBoot(f *labFlags) *cobra.Command {
	return a.labAct(f, "boot", "Start a host that is down", "up",
		"Start a host after a crash, with its files as they were.",
		(*lab.Host).Boot)
}

func (a *app) labPartition(f *labFlags) *cobra.Command {
	var heal bool
	cmd := a.labAct(f, "partition", "Cut a host off the network", "done",
		"Cut a host off all others and off this machine; --heal mends the cut. What runs in the host goes on.",
		func(h *lab.Host, ctx context.Context) error { return h.Partition(ctx, !heal) })
	cmd.Flags().BoolVar(&heal, "heal", false, "mend the cut")
	return cmd
}

// labAct makes a command that does one thing to one host.
func (a *app) labAct(f *labFlags, verb, short, done, long string, act func(*lab.Host, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " HOST", Short: short, Args: cobra.ExactArgs(1),
		Long: long + "\n\n  novacron test lab " + verb + " --dir /tmp/lab h1",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.labHost(f, args[0])
			if err != nil {
				return err
			}
			if err := act(h, cmd.Context()); err != nil {
				return err
			}
			return a.result(labView(h), "%s: %s", h.Name, done)
		},
	}
}

// labGuestView is the test guest: files to boot it from.
type labGuestView struct {
	Kernel  string `json:"kernel"`
	Initrd  string `json:"initrd"`
	Cmdline string `json:"cmdline"`
	Disk    string `json:"disk"`
}

func (a *app) labGuest() *cobra.Command {
	return &cobra.Command{
		Use: "guest FOLDER", Short: "Build the test guest", Args: cobra.ExactArgs(1),
		Long: `Build a small Linux for tests below a folder, from packages of this machine's Debian: a kernel and an initial RAM disk to
boot directly, and a disk that boots. It needs 96 MiB and says GUEST-UP on its serial console. What is built already stays.

  novacron test lab guest /var/cache/novacron/guest -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := buildLabGuest(cmd.Context(), args[0], slog.New(slog.NewTextHandler(a.io.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
			if err != nil {
				return err
			}
			var d details
			d.add("Kernel", v.Kernel)
			d.add("Initrd", v.Initrd)
			d.add("Cmdline", v.Cmdline)
			d.add("Disk", v.Disk)
			return show(a, labGuestTable(), v, d)
		},
	}
}

func buildLabGuest(ctx context.Context, dir string, log *slog.Logger) (labGuestView, error) {
	g, err := lab.BuildGuest(ctx, dir, log)
	if err != nil {
		return labGuestView{}, err
	}
	disk, err := lab.BuildDisk(ctx, g)
	return labGuestView{Kernel: g.Kernel, Initrd: g.Initrd, Cmdline: lab.KernelArgs, Disk: disk}, err
}

func labGuestTable() table[labGuestView] {
	type guest = labGuestView
	return table[guest]{plural: "guests", columns: []column[guest]{
		{name: "KERNEL", text: func(g guest) string { return g.Kernel }},
		{name: "INITRD", text: func(g guest) string { return g.Initrd }},
		{name: "CMDLINE", text: func(g guest) string { return g.Cmdline }},
		{name: "DISK", text: func(g guest) string { return g.Disk }},
	}}
}
