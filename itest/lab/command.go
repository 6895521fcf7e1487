package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// enterScript joins the host's control groups, then its namespaces, keeping the working directory. The process
// outside only waits: signals of a terminal are for the one inside. $1 is the host's first process.
const enterScript = `trap '' INT QUIT TERM HUP
pid=$1; shift
while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift
exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- env --chdir="$PWD" --default-signal=INT,QUIT,TERM,HUP "$@"`

// parentScript keeps a look at the process outside, for the program inside.
const parentScript = "exec 9</proc/$$/stat\n"

// boundScript runs a program that is already bound to die with its parent, unless the parent ended before that.
const boundScript = `read -r parent <&9 || exit 125
case $parent in *') Z '* | *') X '*) exit 125 ;; esac
exec "$@" 9<&-`

// Command prepares a program to run inside the host, in the working directory and environment of the caller unless
// its fields say otherwise. The program dies with the context, with this process and with the host. To signal it
// use Signal: the exec.Cmd's own process is a helper outside. For a host that is down, starting it fails with
// ErrHostDown.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := h.enter(ctx, parentScript+enterScript, append([]string{"setpriv", "--pdeathsig", "KILL", "sh", "-c", boundScript, "novacron-lab"}, argv...))
	cmd.WaitDelay = 2 * time.Second // a grandchild may hold the output open
	return cmd
}

func (h *Host) enter(ctx context.Context, script string, argv []string) *exec.Cmd {
	pid, err := h.PID()
	roots, leaves, err2 := h.joinFiles()
	if len(leaves) > 0 {
		roots = leaves
	}
	args := append([]string{"-c", script, "novacron-lab", strconv.Itoa(pid)}, roots...)
	args = append(append(args, "--"), argv...)
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Err = errors.Join(cmd.Err, err, err2)
	return cmd
}

// Output runs a program inside the host and returns what it prints; the error holds what it complained about.
func (h *Host) Output(ctx context.Context, argv ...string) (string, error) {
	out, err := h.Command(ctx, argv...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("lab: host %q: %q: %w: %s", h.Name, argv, err, exit.Stderr)
	}
	return string(out), err
}

// Signal sends a signal to the program that a started Command runs inside the host.
func Signal(cmd *exec.Cmd, sig syscall.Signal) error {
	if cmd.Process == nil {
		return errors.New("lab: signal: the command has not been started")
	}
	inside := children(cmd.Process.Pid)
	if len(inside) == 0 {
		return fmt.Errorf("lab: signal %v: %w", sig, os.ErrProcessDone)
	}
	return syscall.Kill(inside[0], sig)
}

// Spawn starts a program inside the host that lives on when this process ends, until it ends by itself or the host
// goes down. Its output is appended to LogFile(name). The pid is its number on the machine.
func (h *Host) Spawn(ctx context.Context, name string, argv ...string) (pid int, err error) {
	if err := os.MkdirAll(filepath.Dir(h.LogFile(name)), 0o755); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(h.LogFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := h.enter(context.WithoutCancel(ctx), enterScript, argv)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	return h.spawned(ctx, cmd.Process.Pid, ended)
}

// spawned waits for the helper outside to have started the program inside.
func (h *Host) spawned(ctx context.Context, outer int, ended <-chan struct{}) (int, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if inside := children(outer); len(inside) > 0 {
			return inside[0], nil
		}
		select {
		case <-ended:
			return 0, fmt.Errorf("lab: spawn on host %q: %w: its log says why", h.Name, os.ErrProcessDone)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// LogFile is where the output of a program started by Spawn goes.
func (h *Host) LogFile(name string) string { return h.file("spawned", name+".log") }
