package hypervisor_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
)

// seedVariable sets what the mishaps are drawn from; without it they are new each time.
const seedVariable = "NOVACRON_SEED"

func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1_000_000)
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "%s is a number", seedVariable)
	}
	t.Logf("%s=%d draws the same mishaps again", seedVariable, seed)
	return seed
}

// undone is where a create fails that is to be undone whole.
const undone = "hypervisor.create.verify.before"

// mishap lets a create begin under one, and says what the failure has to tell where it may fail.
type mishap func(h *host, rng *rand.Rand, order hypervisor.CreateSpec) (what, reason string, mayRun bool)

// drawPoint gives a point of a create or of its undo, with what has it passed.
func drawPoint(rng *rand.Rand, action fault.Action) (point, armings string, inUndo bool) {
	points := append(pointsOf("create", "import", "undo"), hypervisor.SeedFaultPoints()...)
	point = points[rng.IntN(len(points))]
	armings = fmt.Sprintf("%s=%s@1", point, action)
	if inUndo = strings.HasPrefix(point, "hypervisor.undo."); inUndo {
		armings += "," + undone + "=error"
	}
	return point, armings, inUndo
}

// driverFails has a step fail.
func driverFails(h *host, rng *rand.Rand, order hypervisor.CreateSpec) (what, reason string, mayRun bool) {
	point, armings, inUndo := drawPoint(rng, fault.Error)
	faults, err := fault.Parse(armings)
	require.NoError(h.t, err)
	h.restart(faults)
	_, err = h.Create(h.t.Context(), order)
	require.ErrorContains(h.t, err, point)
	if inUndo && errors.Is(err, hypervisor.ErrHalfDone) {
		return "an error at " + point, undone, point == "hypervisor.undo.commit.after"
	}
	h.requireNone(order.Definition.UUID)
	return "an error at " + point, "", true // it is over, and the next create is a new one
}

// agentDies kills the process in a step.
func agentDies(h *host, rng *rand.Rand, order hypervisor.CreateSpec) (what, reason string, mayRun bool) {
	point, armings, inUndo := drawPoint(rng, fault.Exit)
	h.killAt(point, order.Definition.UUID, fault.Environment+"="+armings)
	if inUndo {
		return "death at " + point, undone, point == "hypervisor.undo.commit.after"
	}
	return "death at " + point, "", true
}

// hypervisorGoes takes the hypervisor away in a call and after it.
func hypervisorGoes(h *host, rng *rand.Rand, order hypervisor.CreateSpec) (what, reason string, mayRun bool) {
	calls := rng.IntN(30)
	left := calls
	h.opts.Fault = func(string, string) error {
		if left--; left < 0 {
			return hypervisor.ErrUnavailable
		}
		return nil
	}
	h.restart(nil)
	_, err := h.Create(h.t.Context(), order)
	if err != nil {
		require.ErrorIs(h.t, err, hypervisor.ErrUnavailable)
	}
	return fmt.Sprintf("no hypervisor after %d calls", calls), "", true
}

// poolFills lets the pool take some bytes and no more.
func poolFills(h *host, rng *rand.Rand, order hypervisor.CreateSpec) (what, reason string, mayRun bool) {
	calls := rng.IntN(12)
	left := calls
	h.opts.Fault = func(op, _ string) error {
		if op != "CreateVolume" && op != "UploadVolume" {
			return nil
		}
		if left--; left < 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	h.restart(nil)
	if _, err := h.Create(h.t.Context(), order); err != nil {
		require.ErrorIs(h.t, err, syscall.ENOSPC)
		h.undoAll()
		h.requireNone(order.Definition.UUID)
	}
	return fmt.Sprintf("a full pool after %d volumes and uploads", calls), "", true
}

// Eight creates, each with a mishap in a random step: it ends running or failed with the reason and nothing left, and what
// is not the cluster's is as it was. The same is done to real hosts in itest.
func TestCreatesWithMishaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(drawSeed(t), 0))
	h := newHost(t, fake.Options{})
	h.settleStranger()
	before, stranger := h.driver.Leftovers(), h.stranger()
	for _, begin := range []mishap{driverFails, agentDies, hypervisorGoes, poolFills, driverFails, agentDies, hypervisorGoes, poolFills} {
		order := h.order(uuid.NewString())
		id := order.Definition.UUID
		what, reason, mayRun := begin(h, rng, order)
		t.Log(what)
		h.opts.Fault = nil
		h.restart(nil)
		if _, err := h.Create(t.Context(), order); err != nil {
			require.NotEmpty(t, reason, "%s: %v", what, err)
			require.ErrorContains(t, err, "fault injected at "+reason, what)
			h.requireNone(id)
		} else {
			require.True(t, mayRun, what)
			d, err := h.driver.Domain(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, hypervisor.StateRunning, d.State, what)
			require.NoError(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{}))
		}
		h.undoAll()
		require.Equal(t, before, h.driver.Leftovers(), what)
		require.Equal(t, stranger, h.stranger(), what)
		left, err := os.ReadDir(filepath.Join(h.dir, "journal"))
		require.NoError(t, err)
		require.Empty(t, left, what)
	}
}

const strangerID = "6f1c2d3e-4b5a-4678-9abc-def012345601"

// settleStranger puts a domain and volumes of somebody else on the host, with names much like ours.
func (h *host) settleStranger() {
	h.t.Helper()
	require.NoError(h.t, h.driver.Define(h.t.Context(), `<domain type="qemu"><name>old-db</name><uuid>`+strangerID+`</uuid></domain>`))
	require.NoError(h.t, h.driver.Start(h.t.Context(), strangerID))
	for _, name := range []string{"nc-notes.raw", "nc-base-notes.raw"} {
		_, err := h.driver.CreateVolume(h.t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: name, Format: "raw", CapacityBytes: 1})
		require.NoError(h.t, err)
	}
}

func (h *host) stranger() hypervisor.Domain {
	h.t.Helper()
	d, err := h.driver.Domain(h.t.Context(), strangerID)
	require.NoError(h.t, err)
	return d
}

// requireNone makes sure that nothing carries the id of a machine.
func (h *host) requireNone(id string) {
	h.t.Helper()
	for _, what := range h.driver.Leftovers() {
		require.NotContains(h.t, what, id)
	}
	require.NoFileExists(h.t, filepath.Join(h.dir, "journal", id+".journal"))
}
