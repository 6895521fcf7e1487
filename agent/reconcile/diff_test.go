package reconcile

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/agent/hypervisor"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// host is a model of one: what Diff looks at, changed by the steps that it gives.
type host struct {
	machines map[string]hypervisor.Observed
	halfDone map[string]bool
	gone     map[string]bool
}

func (h *host) copy() *host {
	return &host{maps.Clone(h.machines), maps.Clone(h.halfDone), maps.Clone(h.gone)}
}

func (h *host) foreign(id string) bool {
	machine, here := h.machines[id]
	return here && !machine.Ours
}

func (h *host) actual() Actual {
	actual := Actual{Gone: h.gone}
	for _, machine := range h.machines {
		actual.Machines = append(actual.Machines, machine)
	}
	for id := range h.halfDone {
		actual.HalfDone = append(actual.HalfDone, id)
	}
	return actual
}

// take does what a step says, as the hypervisor would.
func (h *host) take(t require.TestingT, step Step) {
	if h.foreign(step.ID) { // the manager refuses: the id is taken by what is not ours
		require.Contains(t, []Kind{Create, Delete}, step.Kind)
		return
	}
	before, here := h.machines[step.ID]
	if here && step.VM != nil {
		require.LessOrEqual(t, before.Owner.Epoch, step.VM.GetEpoch(), "%s acts on a newer epoch", step.Kind)
	}
	switch step.Kind {
	case Delete:
		require.NotNil(t, step.VM.GetDeleteTime(), "nobody asked for a deletion")
		h.gone[step.ID] = true
	case Undo:
		require.True(t, h.halfDone[step.ID], "what is done is not undone")
		require.Nil(t, step.VM)
	default:
		owner := hypervisor.Owner{ClusterID: "c", Epoch: step.VM.GetEpoch(), Generation: step.VM.GetGeneration()}
		h.machines[step.ID] = hypervisor.Observed{ID: step.ID, Ours: true, State: stateAfter(step, before.State), Owner: owner}
		delete(h.halfDone, step.ID)
		return
	}
	delete(h.machines, step.ID)
	delete(h.halfDone, step.ID)
}

func stateAfter(step Step, before hypervisor.State) hypervisor.State {
	switch step.Kind {
	case Create:
		if step.VM.GetDesiredPower() == novacronv1.PowerState_POWER_STATE_STOPPED {
			return hypervisor.StateStopped
		}
		return hypervisor.StateRunning
	case Start, Restart:
		return hypervisor.StateRunning
	case Pause:
		return hypervisor.StatePaused
	case Stop:
		return hypervisor.StateStopped
	}
	return before
}

func drawHost(t *rapid.T, ids []string) *host {
	h := &host{map[string]hypervisor.Observed{}, map[string]bool{}, map[string]bool{}}
	states := []hypervisor.State{hypervisor.StateRunning, hypervisor.StateStopped, hypervisor.StatePaused, hypervisor.StateCrashed}
	for _, id := range ids {
		if rapid.Bool().Draw(t, "there "+id) {
			h.machines[id] = hypervisor.Observed{
				ID: id, Ours: rapid.IntRange(0, 3).Draw(t, "foreign "+id) < 3, State: rapid.SampledFrom(states).Draw(t, "state "+id),
				Owner: hypervisor.Owner{ClusterID: "c", Epoch: rapid.Uint64Range(1, 3).Draw(t, "epoch "+id), Generation: rapid.Uint64Range(1, 3).Draw(t, "generation "+id)},
			}
		}
		if !h.foreign(id) && rapid.IntRange(0, 3).Draw(t, "half done "+id) == 3 {
			h.halfDone[id] = true
		}
	}
	return h
}

func drawDesired(t *rapid.T, ids []string) map[string]*novacronv1.VM {
	desired := map[string]*novacronv1.VM{}
	for _, id := range ids {
		if rapid.IntRange(0, 3).Draw(t, "desired "+id) == 0 {
			continue
		}
		desired[id] = &novacronv1.VM{
			Id: id, Epoch: rapid.Uint64Range(1, 3).Draw(t, "wanted epoch "+id), Generation: rapid.Uint64Range(1, 4).Draw(t, "wanted generation "+id),
			DesiredPower: novacronv1.PowerState(rapid.Int32Range(1, 2).Draw(t, "power "+id)),
		}
		if rapid.IntRange(0, 4).Draw(t, "deleted "+id) == 4 {
			desired[id].DeleteTime = timestamppb.Now()
		}
	}
	return desired
}

func TestDiffConvergesAndDoesOnlyWhatIsAsked(t *testing.T) {
	ids := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		h, wanted := drawHost(t, ids), drawDesired(t, ids)
		start := h.copy()
		var desired []*novacronv1.VM
		for _, id := range ids {
			if vm := wanted[id]; vm != nil {
				desired = append(desired, vm)
			}
		}
		for range 5 {
			for _, step := range Diff(desired, h.actual()) {
				h.take(t, step)
			}
		}
		for _, step := range Diff(desired, h.actual()) {
			require.True(t, h.foreign(step.ID), "it has converged, and yet %v", step)
		}
		for id, before := range start.machines {
			vm := wanted[id]
			if !before.Ours || vm == nil && !start.halfDone[id] || vm != nil && before.Owner.Epoch > vm.GetEpoch() {
				require.Equal(t, before, h.machines[id], "%s was not to be touched", id)
			}
		}
		for id, vm := range wanted {
			h.fulfils(t, start, id, vm)
		}
	})
}

// fulfils demands that a wish came true, where it was ours to fulfil.
func (h *host) fulfils(t require.TestingT, start *host, id string, vm *novacronv1.VM) {
	machine, here := h.machines[id]
	if h.foreign(id) || machine.Owner.Epoch > vm.GetEpoch() {
		return
	}
	require.Equal(t, vm.GetDeleteTime() == nil, here, "%s: %v", id, vm)
	if here && start.machines[id].Owner.Generation < vm.GetGeneration() {
		require.Equal(t, vm.GetDesiredPower() == novacronv1.PowerState_POWER_STATE_RUNNING, machine.State == hypervisor.StateRunning, "%s: %v", id, machine)
	}
}

func TestDiffRemembersWhatFailed(t *testing.T) {
	wish := func(generation uint64) []*novacronv1.VM {
		return []*novacronv1.VM{{Id: "vm", Epoch: 1, Generation: generation, DesiredPower: novacronv1.PowerState_POWER_STATE_RUNNING,
			Status: &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_FAILED, ObservedGeneration: 2}}}
	}
	require.Empty(t, Diff(wish(2), Actual{}), "a former life of this agent tried it")
	require.Empty(t, Diff(wish(3), Actual{Failed: map[string]uint64{"vm": 3}}), "this one did")
	require.Len(t, Diff(wish(4), Actual{Failed: map[string]uint64{"vm": 3}}), 1, "a new wish is a new chance")
}

func ExampleDiff() {
	desired := []*novacronv1.VM{{Id: "web", Epoch: 1, Generation: 2, DesiredPower: novacronv1.PowerState_POWER_STATE_STOPPED}}
	there := hypervisor.Observed{ID: "web", Ours: true, State: hypervisor.StateRunning, Owner: hypervisor.Owner{Epoch: 1, Generation: 1}}
	for _, step := range Diff(desired, Actual{Machines: []hypervisor.Observed{there}, HalfDone: []string{"unwanted"}}) {
		fmt.Println(step.Kind, step.ID)
	}
	// Output:
	// stop web
	// undo unwanted
}
