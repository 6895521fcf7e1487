package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func restartVM(id string, force bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_RestartVm{RestartVm: &statev1.RestartVM{Id: id, OperationId: "op-restart", Force: force}}
	}
}

func setPower(id string, power novacronv1.PowerState) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{Id: id, OperationId: "op-power", Power: power}}
	}
}

// runningVM is a fixture with one machine that runs on h1.
func runningVM(t *testing.T) *fixture {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
	return f
}

func TestARestartIsDoneOnceItsGenerationRuns(t *testing.T) {
	f := runningVM(t)
	vm := f.must(restartVM("vm", true)).(*novacronv1.VM)
	require.EqualValues(t, 2, vm.GetRestartGeneration())
	require.True(t, vm.GetForce())
	seen := func(generation uint64) *novacronv1.Operation {
		f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: generation, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
		record, _ := f.store.View().VM("vm", "")
		return record.GetOperation()
	}
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_RUNNING, seen(1).GetState(), "it runs, but was not restarted yet")
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, seen(2).GetState())
}

func TestOnlyWhatRunsIsRestarted(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("vm"))
	_, err := f.apply(restartVM("vm", false))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "start it instead")
	g := runningVM(t)
	g.must(deleteVM("vm"))
	_, err = g.apply(restartVM("vm", false))
	require.ErrorContains(t, err, "is being deleted")
}

func TestPauseAndResume(t *testing.T) {
	f := runningVM(t)
	vm := f.must(setPower("vm", novacronv1.PowerState_POWER_STATE_PAUSED)).(*novacronv1.VM)
	require.Equal(t, "pause", vm.GetOperation().GetKind())
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_PAUSED}))
	vm, _ = f.store.View().VM("vm", "")
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, vm.GetOperation().GetState())
	vm = f.must(setPower("vm", novacronv1.PowerState_POWER_STATE_RUNNING)).(*novacronv1.VM)
	require.Equal(t, "start", vm.GetOperation().GetKind())
}

func TestUpdate(t *testing.T) {
	update := func(change func(*statev1.UpdateVM)) func(*statev1.Command) {
		op := &statev1.UpdateVM{Id: "vm", OperationId: "op-update"}
		change(op)
		return func(c *statev1.Command) { c.Op = &statev1.Command_UpdateVm{UpdateVm: op} }
	}
	f := runningVM(t)
	vm := f.must(update(func(op *statev1.UpdateVM) { op.SetLabels = map[string]string{"tier": "web", "old": "x"} })).(*novacronv1.VM)
	require.EqualValues(t, 2, vm.GetGeneration())
	vm = f.must(update(func(op *statev1.UpdateVM) { op.RemoveLabels = []string{"old"} })).(*novacronv1.VM)
	require.Equal(t, map[string]string{"tier": "web"}, vm.GetSpec().GetLabels())
	again := f.must(update(func(op *statev1.UpdateVM) { op.SetLabels = map[string]string{"tier": "web"} })).(*novacronv1.VM)
	require.Equal(t, vm.GetGeneration(), again.GetGeneration(), "an update that changes nothing is none")

	rename := update(func(op *statev1.UpdateVM) { op.Name = "other" })
	_, err := f.apply(rename)
	require.ErrorContains(t, err, "stop it first")
	f.must(setPower("vm", novacronv1.PowerState_POWER_STATE_STOPPED))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 4, Phase: novacronv1.VMPhase_VM_PHASE_STOPPED}))
	f.must(createVM("taken"))
	_, err = f.apply(update(func(op *statev1.UpdateVM) { op.Name = "taken" }))
	require.ErrorIs(t, err, ErrExists)
	f.must(rename)
	_, found := f.store.View().VM("vm", "default")
	require.True(t, found, "the id stays")
	renamed, found := f.store.View().VM("other", "default")
	require.True(t, found)
	require.Equal(t, "vm", renamed.GetId())
}

func TestAdopt(t *testing.T) {
	adopt := func(id, host string) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_AdoptVm{AdoptVm: &statev1.AdoptVM{
				Id: id, HostId: host, OperationId: "op-adopt", Power: novacronv1.PowerState_POWER_STATE_RUNNING,
				Spec: &novacronv1.VMSpec{Name: id, Project: "default", Cpus: 64, MemoryMb: 4096},
			}}
		}
	}
	f := runningVM(t)
	_, err := f.apply(adopt("old", "nowhere"))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = f.apply(adopt("vm", "h1"))
	require.ErrorIs(t, err, ErrExists)
	vm := f.must(adopt("old", "h1")).(*novacronv1.VM)
	require.True(t, vm.GetAdopted())
	require.Equal(t, "h1", vm.GetHostName())
	host, _ := f.store.View().Host("h1")
	require.EqualValues(t, 65, host.GetAllocated().GetCpus(), "it counts, although the host has less to promise")
}
