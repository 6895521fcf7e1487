package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/novacron/novacron/itest/lab"
)

// labDownPatience is how long a lab may take to go away, even after an interrupt.
const labDownPatience = 30 * time.Second

// labFlags are common to the commands of a lab.
type labFlags struct{ dir string }

// testCommand holds what users test a cluster with.
func (a *app) testCommand() *cobra.Command {
	return a.group("test", "Test clusters", "A lab is a set of hosts with a libvirt and QEMU each, in namespaces of this one machine, to try a cluster on.",
		a.labCommand())
}

func (a *app) labCommand() *cobra.Command {
	f := &labFlags{}
	cmd := a.group("lab", "Run hosts in namespaces of this machine", `A lab is a set of hosts on one bridge of this machine, each with its own network, processes, files and libvirt. It takes root.
It stays until it is taken down. The folder comes from --dir or $NOVACRON_LAB.

  novacron test lab up --dir /tmp/lab --hosts h1,h2 --nodes c1,c2,c3
  novacron test lab exec --dir /tmp/lab h1 -- virsh list --all
  novacron test lab down --dir /tmp/lab`,
		a.labUp(f), a.labDown(f), a.labList(f), a.labExec(f), a.labCrash(f), a.labBoot(f), a.labPartition(f), a.labGuest())
	cmd.PersistentFlags().StringVar(&f.dir, "dir", "", "`folder` of the lab (default $NOVACRON_LAB)")
	return cmd
}

// folder is where the lab lives.
func (a *app) labFolder(f *labFlags) (string, error) {
	if dir := firstOf(f.dir, a.io.Env("NOVACRON_LAB")); dir != "" {
		return dir, nil
	}
	return "", usagef("--dir or NOVACRON_LAB is needed: the folder of the lab")
}

func (a *app) openLab(f *labFlags) (*lab.Lab, error) {
	dir, err := a.labFolder(f)
	if err != nil {
		return nil, err
	}
	l, err := lab.Open(dir)
	if errors.Is(err, lab.ErrNoLab) {
		return nil, &fault{what: err.Error(), hint: "`novacron test lab up --dir " + dir + " --hosts h1` makes one", cause: err}
	}
	return l, err
}

// labHost finds a host of the lab, or says which there are.
func (a *app) labHost(f *labFlags, name string) (*lab.Host, error) {
	l, err := a.openLab(f)
	if err != nil {
		return nil, err
	}
	h, err := l.Host(name)
	if errors.Is(err, lab.ErrNoHost) {
		return nil, &fault{what: err.Error(), hint: "`novacron test lab list` lists the hosts", cause: err}
	}
	return h, err
}

func (a *app) labUp(f *labFlags) *cobra.Command {
	var hosts, nodes []string
	var isolated bool
	cmd := &cobra.Command{
		Use: "up", Short: "Make a lab or add to it", Args: cobra.NoArgs,
		Long: `Make a lab where there is none, and add the hosts that are missing: hosts with a libvirt of their own, and nodes without one.

  novacron test lab up --dir /tmp/lab --hosts h1,h2 --nodes c1,c2,c3`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := a.makeLab(cmd.Context(), f, lab.Options{Isolated: isolated})
			if err != nil {
				return err
			}
			if err := addHosts(cmd.Context(), l, hosts, nodes); err != nil {
				return err
			}
			return a.printLab(l)
		},
	}
	cmd.Flags().StringSliceVar(&hosts, "hosts", nil, "`names` of hosts with a libvirt")
	cmd.Flags().StringSliceVar(&nodes, "nodes", nil, "`names` of hosts without one, for controllers and clients")
	cmd.Flags().BoolVar(&isolated, "isolated", false, "leave out the way from this machine to the hosts")
	return cmd
}

func (a *app) makeLab(ctx context.Context, f *labFlags, opts lab.Options) (*lab.Lab, error) {
	dir, err := a.labFolder(f)
	if err != nil {
		return nil, err
	}
	l, err := lab.New(ctx, dir, opts)
	if errors.Is(err, lab.ErrLabExists) {
		return lab.Open(dir)
	}
	return l, err
}

// addHosts adds what is missing, two at a time: more only wait for each other.
func addHosts(ctx context.Context, l *lab.Lab, hosts, nodes []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	add := func(names []string, make func(context.Context, string) (*lab.Host, error)) {
		for _, name := range names {
			group.Go(func() error {
				_, err := make(ctx, name)
				if errors.Is(err, lab.ErrHostExists) {
					return nil
				}
				return err
			})
		}
	}
	add(hosts, l.AddHost)
	add(nodes, l.AddNode)
	return group.Wait()
}

func (a *app) labDown(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Take a lab away", Args: cobra.NoArgs,
		Long: "Take a lab away with all that runs in it and all its files. Doing that again is no error.\n\n  novacron test lab down --dir /tmp/lab",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := a.openLab(f)
			if errors.Is(err, lab.ErrNoLab) {
				return nil
			}
			if err != nil {
				return err
			}
			l.LogTo(slog.New(slog.NewTextHandler(a.io.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), labDownPatience)
			defer cancel()
			return l.Down(ctx)
		},
	}
}

func (a *app) labList(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the hosts of a lab", Args: cobra.NoArgs,
		Long: "List the hosts of a lab.\n\n  novacron test lab list --dir /tmp/lab -o wide",
		RunE: func(*cobra.Command, []string) error {
			l, err := a.openLab(f)
			if err != nil {
				return err
			}
			return a.printLab(l)
		},
	}
}

// labHostView is a host of a lab as people and scripts see it.
type labHostView struct {
	Name  string `json:"name"`
	State string `json:"state"`
	IP    string `json:"ip"`
	// Libvirt tells whether the host runs a libvirt of its own.
	Libvirt bool `json:"libvirt"`
	// URI is the address of that libvirt for clients outside of the host; it changes with each boot.
	URI string `json:"uri,omitempty"`
	PID int    `json:"pid,omitempty"`
	Dir string `json:"dir"`
}

func (a *app) printLab(l *lab.Lab) error {
	hosts, err := l.Hosts()
	if err != nil {
		return err
	}
	views := make([]labHostView, len(hosts))
	for i, h := range hosts {
		views[i] = labView(h)
	}
	return list(a, labTable(), views)
}

func labView(h *lab.Host) labHostView {
	v := labHostView{Name: h.Name, State: "down", IP: h.IP, Libvirt: h.Libvirt, Dir: h.Dir()}
	if pid, err := h.PID(); err == nil {
		v.State, v.PID = "up", pid
	}
	if uri, err := h.URI(); err == nil && h.Libvirt {
		v.URI = uri
	}
	return v
}

func labTable() table[labHostView] {
	type host = labHostView
	return table[host]{plural: "hosts in the lab", columns: []column[host]{
		{name: "NAME", text: func(h host) string { return h.Name }},
		{name: "STATE", text: func(h host) string { return h.State }},
		{name: "IP", text: func(h host) string { return h.IP }},
		{name: "LIBVIRT", text: func(h host) string { return yesNo(h.Libvirt) },
			raw: func(h host) string { return fmt.Sprint(h.Libvirt) }},
		{name: "PID", where: wideAndCSV, text: func(h host) string { return fmt.Sprint(h.PID) }},
		{name: "URI", where: wideAndCSV, text: func(h host) string { return h.URI }},
		{name: "DIR", where: wideAndCSV, text: func(h host) string { return h.Dir }},
	}}
}
