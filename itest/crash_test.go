package itest_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/fault"
)

// blank adds a disk image with nothing in it, so that creates import a base volume.
func (f *fleet) blank() {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "blank.raw")
	require.NoError(f.t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	f.must("image", "add", "blank", path, "--format", "raw")
}

// faultsFor arms a point so that the agent dies there: undoing needs something to undo.
func faultsFor(point string) string {
	armed := point + "=exit"
	if strings.HasPrefix(point, "hypervisor.undo.") {
		armed += ",hypervisor.create.verify.before=error"
	}
	return fault.Environment + "=" + armed
}

// The agent is killed at every point of every journal, those of the cloud-init seed among them. After its restart the machine runs or nothing of it is left, and
// deletion leaves nothing in any case.
func TestTheAgentDiesAtEveryStep(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.blank()
	seeded := filepath.Join(t.TempDir(), "seeded.yaml")
	require.NoError(t, os.WriteFile(seeded, []byte("cloudInit: {userData: \"#cloud-config\\n{}\\n\"}\n"), 0o600))
	for _, point := range slices.Concat(hypervisor.FaultPoints(), hypervisor.SeedFaultPoints()) {
		t.Run(point, func(t *testing.T) {
			f := &fleet{Fleet: f.Fleet, t: t, ctx: f.ctx}
			require.NoError(t, f.Kill(f.ctx, "h1"))
			require.NoError(t, f.Start(f.ctx, "h1", faultsFor(point)))
			args := createArgs("web-1", "--image", "blank", "--no-wait")
			if slices.Contains(hypervisor.SeedFaultPoints(), point) {
				args = append(args, "-f", seeded)
			}
			f.must(args...)
			if strings.HasPrefix(point, "hypervisor.delete.") {
				f.requirePhase("web-1", "running")
				f.must("vm", "delete", "web-1", "--force", "--yes", "--no-wait")
			}
			require.NoError(t, f.AwaitDeath(f.ctx, "h1"), "the point was never passed")
			require.NoError(t, f.Start(f.ctx, "h1"))
			f.requireSettled("web-1")
			if result := f.CLI(f.ctx, "vm", "delete", "web-1", "--force", "--yes"); result.Code != 0 {
				require.Contains(t, result.Err, "not found")
			}
			f.requireNothing("h1")
		})
	}
}

// requireSettled waits until a machine runs, once, or is gone, or has failed and left nothing.
func (f *fleet) requireSettled(vm string) {
	f.t.Helper()
	require.NoError(f.t, f.Await(f.ctx, vm+" to settle", func(ctx context.Context) error {
		list := f.CLI(ctx, "vm", "list", "-o", "csv", "--no-headers")
		switch {
		case list.Code != 0:
			return &lacking{list.Err}
		case !strings.Contains(list.Out, vm+","):
			return nil
		case strings.Contains(list.Out, vm+",running,"):
			here := f.domains("h1")
			require.LessOrEqual(f.t, here, 1)
			if here == 0 { // a deletion was ordered, and is not told of yet
				return &lacking{list.Out}
			}
			return nil
		case strings.Contains(list.Out, vm+",failed,"):
			f.requireNothing("h1")
			return nil
		}
		return &lacking{list.Out}
	}))
}

// instances lists the running domains of a host with the numbers that each start gives anew.
func (f *fleet) instances(host string) (lines []string) {
	for line := range strings.Lines(f.virsh(host, "list", "--id", "--name")) {
		if !strings.Contains(line, "nc-probe-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestTheAgentFindsItsMachinesAgain(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.must(createArgs("web-1")...)
	before := f.instances("h1")
	require.NoError(t, f.Kill(f.ctx, "h1"))
	require.NoError(t, f.Start(f.ctx, "h1"))
	require.NoError(t, f.Await(f.ctx, "the agent to be connected again", func(context.Context) error {
		if strings.Count(f.Logs("h1"), "connected to a controller") < 2 {
			return &lacking{tail(f.Logs("h1"), 3)}
		}
		return nil
	}))
	f.requirePhase("web-1", "running")
	require.Equal(t, before, f.instances("h1"), "the same guest, never restarted")
	require.NoError(t, f.Signal("h1", syscall.SIGTERM))
	require.NoError(t, f.AwaitDeath(f.ctx, "h1"))
	require.Equal(t, before, f.instances("h1"), "guests outlive the agent")
}

func TestMachinesComeBackWithTheirHost(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.must(createArgs("web-1")...)
	f.must(createArgs("idle-1", "--stopped")...)
	host, err := f.Lab.Host("h1")
	require.NoError(t, err)
	require.NoError(t, host.Crash(f.ctx))
	require.NoError(t, host.Boot(f.ctx))
	require.NoError(t, f.Start(f.ctx, "h1"))
	require.NoError(t, f.Await(f.ctx, "the guest to be started again", func(context.Context) error {
		if len(f.instances("h1")) != 1 {
			return &lacking{f.virsh("h1", "list", "--all")}
		}
		return nil
	}))
	f.requirePhase("web-1", "running")
	f.requirePhase("idle-1", "stopped")
	f.must("vm", "delete", "web-1", "idle-1", "--force", "--yes")
	f.requireNothing("h1")
}
