package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func TestReshape(t *testing.T) {
	f := runningVM(t)
	reshape := func(generation uint64, stopped bool, change func(*novacronv1.VMSpec)) func(*statev1.Command) {
		vm, _ := f.store.View().VM("vm", "")
		spec := edit(vm.GetSpec())
		change(spec)
		op := &statev1.ReshapeVM{Id: "vm", OperationId: "op-apply", Generation: generation, Spec: spec, Stopped: stopped}
		return func(c *statev1.Command) { c.Op = &statev1.Command_ReshapeVm{ReshapeVm: op} }
	}
	same := f.must(reshape(1, false, func(*novacronv1.VMSpec) {})).(*novacronv1.VM)
	_, err := f.apply(reshape(1, true, func(s *novacronv1.VMSpec) { s.MemoryMb++ }))
	require.ErrorContains(t, err, "stop it first")
	require.EqualValues(t, 1, same.GetGeneration())
	changed := f.must(reshape(1, false, func(s *novacronv1.VMSpec) { s.DiskGb++ })).(*novacronv1.VM)
	require.EqualValues(t, 2, changed.GetGeneration())
	require.Equal(t, "apply", changed.GetOperation().GetKind())
	_, err = f.apply(reshape(1, false, func(s *novacronv1.VMSpec) { s.DiskGb++ }))
	require.ErrorIs(t, err, ErrStale, "the plan was made of an older machine")

	host, _ := f.store.View().Host("h1")
	_, err = f.apply(reshape(2, false, func(s *novacronv1.VMSpec) { s.DiskGb += uint32(host.GetInfo().GetCapacity().GetDiskGb()) }))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "ask for less, or delete other machines there")
	_, err = f.apply(func(c *statev1.Command) {
		reshape(2, false, func(s *novacronv1.VMSpec) { s.DiskGb++ })(c)
		c.GetReshapeVm().SecurityGroups = []string{"gone"}
	})
	require.ErrorContains(t, err, `"gone" was deleted meanwhile`)

	f.must(setPower("vm", novacronv1.PowerState_POWER_STATE_STOPPED))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 3, Phase: novacronv1.VMPhase_VM_PHASE_STOPPED}))
	f.must(reshape(3, true, func(s *novacronv1.VMSpec) { s.MemoryMb++ }))
	f.must(deleteVM("vm"))
	_, err = f.apply(reshape(5, false, func(s *novacronv1.VMSpec) { s.DiskGb++ }))
	require.ErrorContains(t, err, "is being deleted")
}
