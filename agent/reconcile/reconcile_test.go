package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// reconciling runs a reconciler on a host in virtual time, for as long as the test.
func reconciling(t *testing.T, m *machines, parallel int, test func(r *Reconciler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{
			Machines: m, ClusterID: "c", Parallel: parallel, Logger: slog.New(slog.DiscardHandler),
			Images: func(*novacronv1.VM) hypervisor.ImageSource { return nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = r.Run(ctx) }()
		synctest.Wait()
		defer func() { cancel(); <-done }()
		test(r)
	})
}

func wish(id string, generation uint64) *novacronv1.VM {
	return &novacronv1.VM{Id: id, Epoch: 1, Generation: generation, DesiredPower: novacronv1.PowerState_POWER_STATE_RUNNING, Spec: &novacronv1.VMSpec{Name: id, Uuid: id}}
}

func deletion(id string, generation uint64) *novacronv1.VM {
	vm := wish(id, generation)
	vm.DeleteTime = timestamppb.Now()
	return vm
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func only(t *testing.T, r *Reconciler) *agentv1.VMObservation {
	t.Helper()
	all := r.Observations()
	require.Len(t, all, 1)
	return all[0]
}

func TestWithoutAWordFromTheClusterNothingIsDone(t *testing.T) {
	m := newMachines()
	m.pending["half"] = true
	reconciling(t, m, 0, func(r *Reconciler) {
		pass(time.Hour)
		require.Empty(t, m.undone)
		r.SetDesired(7, nil)
		pass(0)
		require.Equal(t, []string{"half"}, m.undone)
	})
}

func TestTransientErrorsAreTriedAgainMoreAndMoreRarely(t *testing.T) {
	m := newMachines()
	m.onCreate = func(_ context.Context, attempt int) error {
		if attempt < 6 {
			return fmt.Errorf("no peer: %w", ErrFetch)
		}
		return nil
	}
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(retryBase / 2)
		seen := only(t, r)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_CREATING, seen.GetPhase())
		require.Contains(t, seen.GetMessage(), "no peer")
		require.Contains(t, seen.GetMessage(), "tried again in 1s")
		pass(30 * time.Second)
		creates, _ := m.counts()
		require.Equal(t, 5, creates, "after 1, 3, 7 and 15 seconds")
		pass(time.Minute)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_RUNNING, only(t, r).GetPhase())
		require.EqualValues(t, 1, only(t, r).GetObservedGeneration())
	})
}

func TestWhatWaitsForTheHypervisorGoesOnWhenItIsBack(t *testing.T) {
	m := newMachines()
	away := true
	m.onCreate = func(context.Context, int) error {
		if away {
			return fmt.Errorf("no connection: %w", hypervisor.ErrUnavailable)
		}
		return nil
	}
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(20 * time.Second)
		creates, _ := m.counts()
		require.Equal(t, 5, creates, "after 1, 3, 7 and 15 seconds; the next is due after 31")
		m.events <- hypervisor.Event{Kind: "stopped"}
		pass(0)
		creates, _ = m.counts()
		require.Equal(t, 5, creates, "other events change nothing")
		away = false
		m.events <- hypervisor.Event{Kind: eventConnected}
		pass(0)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_RUNNING, only(t, r).GetPhase())
	})
}

func TestAFailureIsRememberedForItsGeneration(t *testing.T) {
	m := newMachines()
	m.onCreate = func(_ context.Context, attempt int) error {
		if attempt == 1 {
			return errors.New("cannot work")
		}
		return nil
	}
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(time.Hour)
		creates, _ := m.counts()
		require.Equal(t, 1, creates)
		seen := only(t, r)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_FAILED, seen.GetPhase())
		require.Equal(t, "cannot work", seen.GetMessage())
		r.SetDesired(2, []*novacronv1.VM{wish("vm", 2)})
		pass(0)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_RUNNING, only(t, r).GetPhase())
	})
}

func hang(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestADeletionCutsACreateShort(t *testing.T) {
	m := newMachines()
	m.onCreate = hang
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(0)
		require.Zero(t, only(t, r).GetObservedGeneration(), "the generation is not in force yet")
		r.SetDesired(2, []*novacronv1.VM{deletion("vm", 2)})
		pass(0)
		require.True(t, only(t, r).GetGone())
		_, deletes := m.counts()
		require.Equal(t, 1, deletes)
	})
}

func TestACreateThatNobodyWantsAnyMoreIsUndone(t *testing.T) {
	m := newMachines()
	m.onCreate = hang
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(0)
		r.SetDesired(2, nil)
		pass(0)
		require.Equal(t, []string{"vm"}, m.undone)
	})
}

func TestAnUndoReportsNoGeneration(t *testing.T) {
	j := &job{step: Step{Kind: Undo, ID: "vm"}}
	require.Zero(t, j.observation().GetObservedGeneration(), "a number below zero would drown every later observation")
}

func TestDeletionsPersist(t *testing.T) {
	m := newMachines()
	m.there["vm"] = hypervisor.Observed{ID: "vm", Ours: true, State: hypervisor.StateRunning, Owner: hypervisor.Owner{ClusterID: "c", Epoch: 1, Generation: 1}}
	m.onDelete = func(attempt int) error {
		if attempt < 20 {
			return errors.New("the volume is busy")
		}
		return nil
	}
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{deletion("vm", 2)})
		pass(10 * time.Second)
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_DELETING, only(t, r).GetPhase())
		require.Contains(t, only(t, r).GetMessage(), "the volume is busy")
		pass(time.Hour)
		require.True(t, only(t, r).GetGone())
		_, deletes := m.counts()
		require.Equal(t, 20, deletes)
		r.SetDesired(2, nil)
		require.Empty(t, r.Observations())
	})
}

func TestAForeignDomainWithTheIDIsLeftAloneAndCanBeForgotten(t *testing.T) {
	m := newMachines()
	m.there["vm"] = hypervisor.Observed{ID: "vm", State: hypervisor.StateRunning}
	m.onDelete = func(int) error { return hypervisor.ErrForeign }
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{deletion("vm", 2)})
		pass(time.Second / 2)
		require.False(t, only(t, r).GetGone())
		require.Contains(t, only(t, r).GetMessage(), "delete with force to forget")
		forced := deletion("vm", 3)
		forced.Force = true
		r.SetDesired(2, []*novacronv1.VM{forced})
		pass(0)
		require.True(t, only(t, r).GetGone())
		require.Len(t, m.there, 1)
	})
}

func TestOnlySoManyAreWorkedOnAtOnce(t *testing.T) {
	m := newMachines()
	m.onCreate = func(context.Context, int) error { <-time.After(time.Second); return nil }
	reconciling(t, m, 3, func(r *Reconciler) {
		var all []*novacronv1.VM
		for i := range 10 {
			all = append(all, wish(fmt.Sprintf("vm-%d", i), 1))
		}
		r.SetDesired(1, all)
		pass(time.Minute)
		require.Equal(t, 3, m.most)
		require.Len(t, m.there, 10)
		creates, _ := m.counts()
		require.Equal(t, 10, creates, "each once")
	})
}

func TestALookThatAStepOvertookIsNotActedUpon(t *testing.T) {
	m := newMachines()
	m.onCreate = func(context.Context, int) error { <-time.After(time.Second); return nil }
	reconciling(t, m, 0, func(r *Reconciler) {
		revision := uint64(0)
		// The step that the first look leads to takes a second; the look after it begins before its end and arrives later.
		overtaken := func(vm *novacronv1.VM) {
			for _, look := range [][]time.Duration{nil, {5 * time.Second}} {
				m.setLooks(look)
				revision++
				r.SetDesired(revision, []*novacronv1.VM{vm})
				pass(time.Second / 2)
			}
			pass(time.Minute)
		}
		overtaken(wish("vm", 1))
		creates, _ := m.counts()
		require.Equal(t, 1, creates)
		again := wish("vm", 2)
		again.RestartGeneration = 2
		overtaken(again)
		require.Equal(t, 1, m.reboots, "one restart was asked for")
	})
}

func TestARestartThatIsHardToRecordHappensOnce(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(time.Second)
		again := wish("vm", 2)
		again.RestartGeneration = 2
		m.mu.Lock()
		m.unrecorded = 3
		m.mu.Unlock()
		r.SetDesired(2, []*novacronv1.VM{again})
		pass(time.Minute)
		require.Equal(t, 1, m.reboots)
		require.EqualValues(t, 2, only(t, r).GetObservedGeneration())
	})
}

func TestARestartOutlivesTheWishesAfterIt(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(time.Second)
		labelled := wish("vm", 3) // the restart was generation 2, which this host did not see by itself
		labelled.RestartGeneration = 2
		r.SetDesired(3, []*novacronv1.VM{labelled})
		pass(time.Minute)
		require.Equal(t, 1, m.reboots)
		later := wish("vm", 4)
		later.RestartGeneration = 2
		r.SetDesired(4, []*novacronv1.VM{later})
		pass(time.Minute)
		require.Equal(t, 1, m.reboots, "it was done")
	})
}

func TestAnOlderSetIsIgnored(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(9, nil)
		r.SetDesired(8, []*novacronv1.VM{wish("deleted-long-ago", 1)})
		pass(time.Minute)
		creates, _ := m.counts()
		require.Zero(t, creates, "it came from a controller that lags")
	})
}

func TestOrphansAreLeftAlone(t *testing.T) {
	m := newMachines()
	m.there["orphan"] = hypervisor.Observed{ID: "orphan", Ours: true, State: hypervisor.StateRunning}
	m.there["foreign"] = hypervisor.Observed{ID: "foreign", State: hypervisor.StateRunning}
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, nil)
		pass(time.Hour)
		require.Len(t, m.there, 2)
		require.Empty(t, r.Observations())
	})
}
