package itest_test

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/lab"
)

// program builds the binary once for all tests of the package.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // a memo of a build; nothing changes it
	dir, err := os.MkdirTemp("", "novacron-program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "novacron")
	build := exec.Command("go", "build", "-tags", "libvirt_dlopen", "-o", path, "github.com/novacron/novacron")
	build.Stderr = os.Stderr
	return path, build.Run()
})

// fleet is a running cluster with the test guest's kernel and initrd as images.
type fleet struct {
	*env.Fleet
	t   *testing.T
	ctx context.Context
}

func startFleet(t *testing.T, controllers, agents []string) *fleet {
	t.Helper()
	return startFleetAt(t, fleetPlan{controllers: controllers, agents: agents})
}

// fleetPlan says which members a fleet has, and where some keep their data.
type fleetPlan struct {
	controllers, agents []string
	dataDirs            map[string]string
	// alone has the test run while no other does, as one that measures time, or whose guest does.
	alone bool
	// patience bounds the test; 0 means 10 minutes. waits bounds each wait of it; 0 means a minute.
	patience, waits time.Duration
}

func startFleetAt(t *testing.T, plan fleetPlan) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes on hosts with a real libvirt each: not in a short run")
	}
	if !plan.alone {
		t.Parallel()
	}
	if err := lab.Supported(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(plan.patience, 10*time.Minute))
	t.Cleanup(cancel)
	binary, err := program()
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "fleet")
	f, err := env.StartFleet(ctx, env.FleetOptions{
		Dir: dir, Binary: binary, Controllers: plan.controllers, Agents: plan.agents, DataDirs: plan.dataDirs, Patience: plan.waits,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if f != nil {
		t.Cleanup(func() {
			if t.Failed() {
				for _, member := range slices.Concat(plan.controllers, plan.agents) {
					t.Logf("--- %s\n%s", member, tail(f.Logs(member), 40))
				}
			}
			require.NoError(t, f.Close(context.Background()))
		})
	}
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	guest, err := lab.BuildGuest(ctx, filepath.Join(cache, "novacron", "guest"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, f.Must(ctx, "image", "add", "guest-kernel", guest.Kernel))
	require.NoError(t, f.Must(ctx, "image", "add", "guest-initrd", guest.Initrd, "--format", "raw"))
	return &fleet{Fleet: f, t: t, ctx: ctx}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// createArgs are for a machine that boots the test guest.
func createArgs(name string, more ...string) []string {
	return append([]string{
		"vm", "create", name, "--cpus", "1", "--memory", "96MiB", "--disk", "1GiB", "--network", "default",
		"--kernel", "guest-kernel", "--initrd", "guest-initrd", "--cmdline", lab.KernelArgs + " nc.name=" + name, "--stop-timeout", "20s",
	}, more...)
}

func (f *fleet) must(args ...string) string {
	f.t.Helper()
	result := f.CLI(f.ctx, args...)
	require.Zero(f.t, result.Code, "novacron %s\n%s%s", strings.Join(args, " "), result.Out, result.Err)
	return result.Out
}

// virsh runs virsh on an agent's host.
func (f *fleet) virsh(host string, args ...string) string {
	f.t.Helper()
	h, err := f.Lab.Host(host)
	require.NoError(f.t, err)
	out, err := h.Output(f.ctx, append([]string{"virsh", "-q"}, args...)...)
	require.NoError(f.t, err)
	return strings.TrimSpace(out)
}

// machines lists the domains of a host, without the guest that the agent finds out with what runs guests there.
func (f *fleet) machines(host string) (lines []string) {
	for line := range strings.Lines(f.virsh(host, "list", "--all", "--uuid", "--name")) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "nc-probe-") {
			lines = append(lines, line)
		}
	}
	return lines
}

// domains counts the domains of the agents' hosts.
func (f *fleet) domains(hosts ...string) (n int) {
	for _, host := range hosts {
		n += len(f.machines(host))
	}
	return n
}

// requireNothing proves that a host holds no domain and no volume.
func (f *fleet) requireNothing(host string) {
	f.t.Helper()
	require.Empty(f.t, f.machines(host))
	require.Empty(f.t, f.virsh(host, "vol-list", "default"))
}

func (f *fleet) requirePhase(vm, phase string) {
	f.t.Helper()
	require.NoError(f.t, f.Await(f.ctx, vm+" to be "+phase, func(ctx context.Context) error { return f.hasPhase(ctx, vm, phase) }))
}

func (f *fleet) hasPhase(ctx context.Context, vm, phase string) error {
	list := f.CLI(ctx, "vm", "list", "-o", "csv", "--no-headers")
	for line := range strings.Lines(list.Out) {
		if fields := strings.Split(line, ","); fields[0] == vm && fields[1] == phase {
			return nil
		}
	}
	return &lacking{list.Out + list.Err}
}

type lacking struct{ seen string }

func (l *lacking) Error() string { return "seen instead: " + l.seen }

// guestBoot is how long a guest of the lab may take to boot on a machine that may be busy.
const guestBoot = "2m"

// leader is the name of the controller that leads.
func (f *fleet) leader() string {
	f.t.Helper()
	var name string
	require.NoError(f.t, f.Await(f.ctx, "a leader", func(ctx context.Context) error {
		members := f.CLI(ctx, "cluster", "members", "-o", "csv", "--no-headers")
		for line := range strings.Lines(members.Out) {
			if fields := strings.Split(line, ","); strings.Contains(line, ",leader,") {
				name = fields[0]
				return nil
			}
		}
		return &lacking{members.Out + members.Err}
	}))
	return name
}

func TestAGuestBootsAndLeavesNothing(t *testing.T) {
	f := startFleet(t, []string{"c1", "c2", "c3"}, []string{"h1", "h2"})
	f.must(createArgs("web-1")...)
	require.Contains(t, f.must("vm", "console", "web-1", "--until", lab.UpMark+" web-1", "--timeout", guestBoot), lab.UpMark)
	require.Equal(t, 1, f.domains("h1", "h2"))
	f.must("vm", "stop", "web-1")
	f.must("vm", "start", "web-1")
	f.must("vm", "delete", "web-1", "--yes", "--force") // a guest that boots yet hears no polite request
	f.requireNothing("h1")
	f.requireNothing("h2")
}

func TestTheLeaderDiesBetweenCreateAndBoot(t *testing.T) {
	f := startFleet(t, []string{"c1", "c2", "c3"}, []string{"h1", "h2"})
	leader := f.leader()
	f.must(createArgs("web-1", "--no-wait")...)
	require.NoError(t, f.Kill(f.ctx, leader))
	f.requirePhase("web-1", "running")
	require.Equal(t, 1, f.domains("h1", "h2"), "it runs once")
	require.NoError(t, f.Start(f.ctx, leader))
	f.must("vm", "delete", "web-1", "--force", "--yes")
	f.requireNothing("h1")
	f.requireNothing("h2")
}

func TestACutControllerRefusesAndCatchesUp(t *testing.T) {
	f := startFleet(t, []string{"c1", "c2", "c3"}, nil)
	cut := f.leader()
	host, err := f.Lab.Host(cut)
	require.NoError(t, err)
	require.NoError(t, host.Partition(f.ctx, true))
	f.must("cluster", "token", "create", "--role", "viewer") // the majority goes on
	refused := f.CLIOn(f.ctx, cut, "cluster", "token", "create", "--role", "viewer", "--endpoint", host.IP+":7750", "--timeout", "10s")
	require.Equal(t, 1, refused.Code, refused.Out)
	require.Contains(t, refused.Err, "no leader")
	stale := f.CLIOn(f.ctx, cut, "vm", "list", "--endpoint", host.IP+":7750", "--consistency", "stale")
	require.Zero(t, stale.Code, stale.Err)
	require.NoError(t, host.Partition(f.ctx, false))
	require.NoError(t, f.Await(f.ctx, "all controllers to be healthy", f.healthy))
}
