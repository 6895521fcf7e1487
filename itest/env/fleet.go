package env

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/itest/lab"
)

// FleetOptions describe a cluster of real processes.
type FleetOptions struct {
	// Dir is where the lab and all data go; it must not exist.
	Dir string
	// Binary is the novacron program.
	Binary string
	// Controllers and Agents are the names of the members. Each agent's host has a libvirt of its own.
	Controllers, Agents []string
	// DataDirs are places of members' data that are not to be below Dir.
	DataDirs map[string]string
	// Patience is how long Await waits; 0 means a minute.
	Patience time.Duration
	Logger   *slog.Logger
}

// Fleet is a cluster of real processes, each on a host of a lab.
type Fleet struct {
	Lab *lab.Lab
	// Home holds the client's configuration.
	Home    string
	options FleetOptions
	pids    map[string]int
}

// Result is what a command of the client did.
type Result struct {
	Out, Err string
	Code     int
}

const (
	fleetPatience = time.Minute
	// fleetPoll is how long there is between the first tries of Await; it grows, so that what takes long is not slowed down by
	// looking, to fleetPollMost.
	fleetPoll     = 50 * time.Millisecond
	fleetPollMost = 250 * time.Millisecond
)

// StartFleet makes the hosts, the cluster and its members, and returns when all controllers vote and all hosts are up.
// Close takes away what it made, also when it failed half-way.
func StartFleet(ctx context.Context, options FleetOptions) (*Fleet, error) {
	l, err := lab.New(ctx, options.Dir, lab.Options{Logger: options.Logger})
	if err != nil {
		return nil, err
	}
	f := &Fleet{Lab: l, Home: filepath.Join(options.Dir, "client"), options: options, pids: map[string]int{}}
	if err := errors.Join(os.MkdirAll(f.Home, 0o700), f.found(ctx), f.grow(ctx)); err != nil {
		return f, fmt.Errorf("start a fleet: %w", err)
	}
	return f, f.Await(ctx, "all members to be up", f.complete)
}

// Close ends everything and leaves nothing.
func (f *Fleet) Close(ctx context.Context) error { return f.Lab.Down(ctx) }

// DataDir is where a member keeps its data, on the machine and on its host.
func (f *Fleet) DataDir(member string) string {
	return cmp.Or(f.options.DataDirs[member], filepath.Join(f.options.Dir, "data", member))
}

// found makes the first controller.
func (f *Fleet) found(ctx context.Context) error {
	first := f.options.Controllers[0]
	host, err := f.Lab.AddNode(ctx, first)
	if err != nil {
		return err
	}
	if err := f.Must(ctx, "cluster", "init", "--name", first, "--address", host.IP, "--data-dir", f.DataDir(first)); err != nil {
		return err
	}
	return f.Start(ctx, first)
}

// grow has all others join, each with a token of its own.
func (f *Fleet) grow(ctx context.Context) error {
	for _, name := range f.options.Controllers[1:] {
		host, err := f.Lab.AddNode(ctx, name)
		if err != nil {
			return err
		}
		if err := f.join(ctx, host, "controller"); err != nil {
			return err
		}
	}
	for _, name := range f.options.Agents {
		host, err := f.Lab.AddHost(ctx, name)
		if err != nil {
			return err
		}
		if err := f.join(ctx, host, "agent"); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) join(ctx context.Context, host *lab.Host, role string) error {
	first, err := f.Lab.Host(f.options.Controllers[0])
	if err != nil {
		return err
	}
	token, err := f.token(ctx, role)
	if err != nil {
		return err
	}
	if err := f.Must(ctx, "cluster", "join", net.JoinHostPort(first.IP, node.PortAPI), "--token", token,
		"--name", host.Name, "--address", host.IP, "--data-dir", f.DataDir(host.Name)); err != nil {
		return err
	}
	return f.Start(ctx, host.Name)
}

func (f *Fleet) token(ctx context.Context, role string) (string, error) {
	result := f.CLI(ctx, "cluster", "token", "create", "--role", role)
	if result.Code != 0 {
		return "", fmt.Errorf("make a token for a %s: %s", role, result.Err)
	}
	return strings.TrimSpace(result.Out), nil
}

// complete tells whether every controller votes and every host is up.
func (f *Fleet) complete(ctx context.Context) error {
	members := f.CLI(ctx, "cluster", "members", "-o", "csv", "--no-headers")
	if voters := strings.Count(members.Out, ",voter,") + strings.Count(members.Out, ",leader,"); voters < len(f.options.Controllers) {
		return fmt.Errorf("%d of %d controllers vote: %s%s", voters, len(f.options.Controllers), members.Out, members.Err)
	}
	hosts := f.CLI(ctx, "host", "list", "-o", "csv", "--no-headers")
	if up := strings.Count(hosts.Out, ",up,"); up < len(f.options.Agents) {
		return fmt.Errorf("%d of %d hosts are up: %s%s", up, len(f.options.Agents), hosts.Out, hosts.Err)
	}
	return nil
}

// Start runs a member on its host. Extra environment is such as NOVACRON_FAULTS=….
func (f *Fleet) Start(ctx context.Context, member string, environment ...string) error {
	host, err := f.Lab.Host(member)
	if err != nil {
		return err
	}
	daemon := "controller"
	if host.Libvirt {
		daemon = "agent"
	}
	argv := append(append([]string{"env"}, environment...), f.options.Binary, daemon, "--data-dir", f.DataDir(member))
	pid, err := host.Spawn(ctx, "novacron", argv...)
	f.pids[member] = pid
	return err
}

// Serve adds a host without a libvirt that runs a program which is none of ours, such as a store of metrics. It can be
// killed and frozen as a member.
func (f *Fleet) Serve(ctx context.Context, name string, argv func(host *lab.Host) []string) (*lab.Host, error) {
	host, err := f.Lab.AddNode(ctx, name)
	if err != nil {
		return nil, err
	}
	f.pids[name], err = host.Spawn(ctx, "program", argv(host)...)
	return host, err
}

// Signal sends a signal to a member's process.
func (f *Fleet) Signal(member string, signal syscall.Signal) error {
	return syscall.Kill(f.pids[member], signal)
}

// Alive tells whether a member's process runs.
func (f *Fleet) Alive(member string) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.pids[member]))
	return err == nil && !bytes.Contains(status, []byte(") Z "))
}

// Resident is how many bytes of the memory a member's process holds, what is mapped of files included.
func (f *Fleet) Resident(member string) (int64, error) {
	pages, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", f.pids[member]))
	if err != nil {
		return 0, err
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(pages), &total, &resident); err != nil {
		return 0, fmt.Errorf("memory of %s: %w: %s", member, err, pages)
	}
	return resident * int64(os.Getpagesize()), nil
}

// Frozen tells whether a member's process is stopped, as SIGSTOP does.
func (f *Fleet) Frozen(member string) bool { return frozen(f.pids[member]) }

func frozen(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(status, []byte(") T "))
}

// Thaw has a frozen member go on. The program that brought it into its host stops when it does, and has it go on when it
// does itself: a signal of ours to the member besides might undo the next freeze.
func (f *Fleet) Thaw(ctx context.Context, member string) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.pids[member]))
	if err != nil {
		return err
	}
	_, after, _ := bytes.Cut(status, []byte(") T "))
	var parent int
	if _, err := fmt.Sscan(string(after), &parent); err != nil {
		return fmt.Errorf("%s is not frozen: %s", member, status)
	}
	return f.Await(ctx, "what holds "+member+" to stop with it", func(context.Context) error {
		if !frozen(parent) {
			return errors.New("it runs")
		}
		return syscall.Kill(parent, syscall.SIGCONT)
	})
}

// Kill ends a member's process at once and returns when it is gone.
func (f *Fleet) Kill(ctx context.Context, member string) error {
	if err := f.Signal(member, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return f.AwaitDeath(ctx, member)
}

// AwaitDeath waits until a member's process has ended.
func (f *Fleet) AwaitDeath(ctx context.Context, member string) error {
	return f.Await(ctx, member+" to end", func(context.Context) error {
		if f.Alive(member) {
			return errors.New("it runs")
		}
		return nil
	})
}

// Await tries until a condition holds; the error tells what was lacking last.
func (f *Fleet) Await(ctx context.Context, what string, holds func(context.Context) error) error {
	patience := cmp.Or(f.options.Patience, fleetPatience)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := fleetPoll
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", patience, what, err)
		case <-ticker.C:
			pause = min(pause*5/4, fleetPollMost)
			ticker.Reset(pause)
		}
	}
}

// CLI runs the client outside of the hosts, as the administrator.
func (f *Fleet) CLI(ctx context.Context, args ...string) Result {
	return f.run(exec.CommandContext(ctx, f.options.Binary, args...))
}

// CLIOn runs the client inside a host: what a cut host can still reach, it can.
func (f *Fleet) CLIOn(ctx context.Context, host string, args ...string) Result {
	h, err := f.Lab.Host(host)
	if err != nil {
		return Result{Err: err.Error(), Code: -1}
	}
	return f.run(h.Command(ctx, append([]string{f.options.Binary}, args...)...))
}

func (f *Fleet) run(command *exec.Cmd) Result {
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	command.Env = append(os.Environ(), "NOVACRON_CONFIG="+f.configPath(), "HOME="+f.Home)
	err := command.Run()
	result := Result{Out: out.String(), Err: complaints.String(), Code: command.ProcessState.ExitCode()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		result.Err, result.Code = err.Error(), -1
	}
	return result
}

// Must runs the client and insists that it succeeds.
func (f *Fleet) Must(ctx context.Context, args ...string) error {
	if result := f.CLI(ctx, args...); result.Code != 0 {
		return fmt.Errorf("novacron %s: exit %d: %s%s", strings.Join(args, " "), result.Code, result.Out, result.Err)
	}
	return nil
}

// Logs is what a member has printed.
func (f *Fleet) Logs(member string) string {
	host, err := f.Lab.Host(member)
	if err != nil {
		return err.Error()
	}
	text, _ := os.ReadFile(host.LogFile("novacron")) // no log is an empty one
	return string(text)
}
