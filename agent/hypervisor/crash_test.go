package hypervisor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
)

// createPoints are the points that a create passes; a failing one passes those of undo too.
func pointsOf(operations ...string) []string {
	var points []string
	for _, p := range hypervisor.FaultPoints() {
		for _, op := range operations {
			if strings.HasPrefix(p, "hypervisor."+op+".") {
				points = append(points, p)
			}
		}
	}
	return points
}

func TestEveryPointIsListedOnce(t *testing.T) {
	points := hypervisor.FaultPoints()
	require.Len(t, points, 2*(7+4+5+6))
	require.IsIncreasing(t, points)
	require.Len(t, hypervisor.SeedFaultPoints(), 2*2)
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	for _, point := range append(pointsOf("create", "import"), hypervisor.SeedFaultPoints()...) {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, fake.Options{})
			faults := fault.New()
			faults.Arm(point, fault.Error)
			h.restart(faults)
			_, err := h.Create(t.Context(), h.order(uuid.NewString()))
			require.ErrorIs(t, err, fault.ErrInjected)
			// A half-done import is nobody's until the next start looks.
			h.restart(nil)
			pending, err := h.Pending(t.Context())
			require.NoError(t, err)
			require.Empty(t, pending)
			h.requireNothing()
		})
	}
}

func TestFailedUndoIsFinishedLater(t *testing.T) {
	for _, point := range pointsOf("undo") {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, fake.Options{})
			faults := fault.New()
			faults.Arm("hypervisor.create.verify.after", fault.Error)
			faults.Arm(point, fault.Error)
			h.restart(faults)
			order := h.order(uuid.NewString())
			_, err := h.Create(t.Context(), order)
			require.ErrorIs(t, err, fault.ErrInjected)
			require.Positive(t, faults.Hits(point))
			h.restart(nil)
			if point != "hypervisor.undo.commit.after" {
				require.NoError(t, h.Undo(t.Context(), order.Definition.UUID))
			}
			h.requireNothing()
		})
	}
}

// TestAnUndoThatWasCutOffIsEnded: what an undo has begun to take back is no ground to continue a create on. A machine that
// is not started would otherwise come out without its disks.
func TestAnUndoThatWasCutOffIsEnded(t *testing.T) {
	for _, point := range pointsOf("undo") {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, fake.Options{})
			faults := fault.New()
			faults.Arm("hypervisor.create.verify.before", fault.Error)
			faults.Arm(point, fault.Error)
			h.restart(faults)
			order := h.order(uuid.NewString())
			order.Start = false
			_, err := h.Create(t.Context(), order)
			require.ErrorIs(t, err, hypervisor.ErrHalfDone)
			require.ErrorContains(t, err, "at "+point)
			h.restart(nil)
			if point != "hypervisor.undo.commit.after" {
				_, err = h.Create(t.Context(), order)
				require.ErrorContains(t, err, "at hypervisor.create.verify.before", "the reason is not lost")
				require.NotErrorIs(t, err, hypervisor.ErrHalfDone)
			}
			h.requireNothing()
			h.requireWhole(order)
		})
	}
}

func TestANewWishDoesNotInheritAFailure(t *testing.T) {
	h := newHost(t, fake.Options{})
	faults := fault.New()
	faults.Arm("hypervisor.create.verify.before", fault.Error)
	faults.Arm("hypervisor.undo.volume.after", fault.Error)
	h.restart(faults)
	order := h.order(uuid.NewString())
	_, err := h.Create(t.Context(), order)
	require.ErrorIs(t, err, hypervisor.ErrHalfDone)
	h.restart(nil)
	order.Owner.Generation++
	h.requireWhole(order)
}

// requireWhole makes a machine and sees that it has all its volumes.
func (h *host) requireWhole(order hypervisor.CreateSpec) {
	h.t.Helper()
	id, err := h.Create(h.t.Context(), order)
	require.NoError(h.t, err)
	names, err := h.driver.VolumeNames(h.t.Context(), "default")
	require.NoError(h.t, err)
	own := slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "nc-"+id) })
	require.Len(h.t, own, 4, "the root disk, two volumes and the seed")
}

// TestAHypervisorThatIsAwayIsWaitedFor: nothing can be undone there, and nothing is wrong with the machine.
func TestAHypervisorThatIsAwayIsWaitedFor(t *testing.T) {
	for _, op := range []string{"CreateVolume", "UploadVolume", "Define", "Start", "Domain"} {
		t.Run(op, func(t *testing.T) {
			away := false
			h := newHost(t, fake.Options{Fault: func(did, _ string) error {
				if away = away || did == op; away {
					return hypervisor.ErrUnavailable
				}
				return nil
			}})
			order := h.order(uuid.NewString())
			_, err := h.Create(t.Context(), order)
			require.ErrorIs(t, err, hypervisor.ErrUnavailable)
			require.NotErrorIs(t, err, hypervisor.ErrHalfDone)
			h.opts.Fault = nil
			h.restart(nil)
			h.requireWhole(order)
			require.Equal(t, hypervisor.StateRunning, h.only().State)
		})
	}
}

func TestFailedDeleteIsFinishedLater(t *testing.T) {
	for _, point := range pointsOf("delete") {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, fake.Options{})
			id := h.create()
			faults := fault.New()
			faults.Arm(point, fault.Error)
			h.restart(faults)
			require.ErrorIs(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{}), fault.ErrInjected)
			require.Positive(t, faults.Hits(point))
			h.restart(nil)
			require.NoError(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{Vouched: true}))
			h.requireNothing()
		})
	}
}

// TestHungCreateIsLeftInTheJournal: a create whose context ends is neither lost nor undone behind the caller's back.
func TestHungCreateIsLeftInTheJournal(t *testing.T) {
	h := newHost(t, fake.Options{})
	faults := fault.New()
	faults.Arm("hypervisor.create.start.before", fault.Hang)
	h.restart(faults)
	order := h.order(uuid.NewString())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := h.Create(ctx, order); ended <- err }()
	require.Eventually(t, func() bool { return faults.Hits("hypervisor.create.start.before") > 0 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	h.restart(nil)
	pending, err := h.Pending(t.Context())
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Equal(t, hypervisor.KindCreate, pending[0].Kind)
	require.True(t, h.only().HalfDone)
	_, err = h.Create(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateRunning, h.only().State)
	require.False(t, h.only().HalfDone)
}

const (
	childDir    = "NOVACRON_TEST_CHILD_DIR"
	childID     = "NOVACRON_TEST_CHILD_ID"
	childDelete = "NOVACRON_TEST_CHILD_DELETE"
)

// TestChild is the process that the tests below kill.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of the crash tests")
	}
	faults, err := fault.Parse(os.Getenv(fault.Environment))
	require.NoError(t, err)
	h := &host{t: t, dir: dir, opts: fake.Options{Dir: dir}}
	h.restart(faults)
	if os.Getenv(childDelete) != "" {
		require.NoError(t, h.Delete(t.Context(), os.Getenv(childID), hypervisor.DeleteOptions{}))
		return
	}
	_, err = h.Create(t.Context(), h.order(os.Getenv(childID)))
	require.NoError(t, err)
}

// killAt runs a child that dies at a point, by SIGKILL.
func (h *host) killAt(point, id string, env ...string) {
	h.t.Helper()
	child := exec.CommandContext(h.t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), fault.Environment+"="+point+"=exit", childDir+"="+h.dir, childID+"="+id)
	child.Env = append(child.Env, env...)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(h.t, err, &exit, "%s", out)
	require.Equal(h.t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out)
	h.restart(nil)
}

func TestCreateKilledAnywhereIsContinuedOrUndone(t *testing.T) {
	for _, point := range append(pointsOf("create", "import"), hypervisor.SeedFaultPoints()...) {
		t.Run(point+" continued", func(t *testing.T) {
			t.Parallel()
			h := newHost(t, fake.Options{})
			order := h.order(uuid.NewString())
			h.killAt(point, order.Definition.UUID)
			_, err := h.Create(t.Context(), order)
			require.NoError(t, err)
			require.Equal(t, hypervisor.StateRunning, h.only().State)
			require.NoError(t, h.Delete(t.Context(), order.Definition.UUID, hypervisor.DeleteOptions{}))
			h.requireNothing()
		})
		t.Run(point+" undone", func(t *testing.T) {
			t.Parallel()
			h := newHost(t, fake.Options{})
			id := uuid.NewString()
			h.killAt(point, id)
			h.undoAll()
			if point == "hypervisor.create.commit.after" {
				require.Equal(t, hypervisor.StateRunning, h.only().State)
				return
			}
			h.requireNothing()
		})
	}
}

// undoAll is what an agent does at its start with what is no longer wanted.
func (h *host) undoAll() {
	h.t.Helper()
	pending, err := h.Pending(h.t.Context())
	require.NoError(h.t, err)
	for _, e := range pending {
		require.NoError(h.t, h.Undo(h.t.Context(), e.ID))
	}
}

func TestDeleteKilledAnywhereIsFinished(t *testing.T) {
	for _, point := range pointsOf("delete") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, fake.Options{})
			id := h.create()
			h.killAt(point, id, childDelete+"=1")
			pending, err := h.Pending(t.Context())
			require.NoError(t, err)
			for _, e := range pending {
				require.Equal(t, hypervisor.KindDelete, e.Kind)
			}
			err = h.Delete(t.Context(), id, hypervisor.DeleteOptions{})
			if !errors.Is(err, hypervisor.ErrNotFound) {
				require.NoError(t, err)
			}
			if strings.HasPrefix(point, "hypervisor.delete.journal.before") {
				require.Empty(t, pending)
			}
			h.requireNothing()
		})
	}
}

func TestLostJournalIsSweptUpByName(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := uuid.NewString()
	h.killAt("hypervisor.create.define.before", id)
	require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "journal")))
	h.restart(nil)
	require.ErrorIs(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{}), hypervisor.ErrNotFound)
	require.NotEmpty(t, h.driver.Leftovers())
	require.NoError(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{Vouched: true}))
	h.requireNothing()
}

func TestTornJournalLineIsIgnored(t *testing.T) {
	h := newHost(t, fake.Options{})
	order := h.order(uuid.NewString())
	h.killAt("hypervisor.create.define.before", order.Definition.UUID)
	file := filepath.Join(h.dir, "journal", order.Definition.UUID+".journal")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"done":"defi`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = h.Create(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateRunning, h.only().State)
}
