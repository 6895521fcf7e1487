package state

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func drain(host string, draining bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: host, Draining: draining}}
	}
}

func evacuate(vms ...*novacronv1.VM) func(*statev1.Command) {
	op := &statev1.EvacuateVMs{}
	for _, vm := range vms {
		op.Evacuations = append(op.Evacuations, &statev1.Evacuation{VmId: vm.GetId(), VmRevision: vm.GetRevision(), OperationId: "leave"})
	}
	return func(c *statev1.Command) { c.Op = &statev1.Command_EvacuateVms{EvacuateVms: op} }
}

func withPolicy(policy string) func(*statev1.CreateVM) {
	return func(op *statev1.CreateVM) { op.Spec.EvacuationPolicy, op.Spec.DiskGb = proto.String(policy), 0 }
}

func (f *fixture) vm(id string) *novacronv1.VM {
	vm, _ := f.store.View().VM(id, "")
	return vm
}

// runningOn creates a machine and has its host say that it runs.
func (f *fixture) runningOn(host, id string, change ...func(*statev1.CreateVM)) {
	f.t.Helper()
	f.must(createVM(id, change...))
	require.NoError(f.t, f.bind(id, host))
	f.must(observe(host, &statev1.VMObservation{VmId: id, Epoch: 1, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
}

func evacuationFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.addHost("h1", 8, 8192, 100)
	f.addHost("h2", 8, 8192, 100)
	return f
}

// One owner: nobody else gets a machine before its host, and nobody but its host, has said that it is gone there.
func TestAMachineIsReleasedByItsHostsWordAlone(t *testing.T) {
	f := evacuationFixture(t)
	f.runningOn("h1", "vm", withPolicy(EvacuateRestart))
	_, err := f.apply(evacuate(f.vm("vm")))
	require.ErrorIs(t, err, ErrStale, "the host is not draining")
	f.must(drain("h1", true))
	f.must(drain("h1", true))
	stale := evacuate(f.vm("vm"))
	f.must(evacuate(f.vm("vm")))
	_, err = f.apply(stale)
	require.ErrorIs(t, err, ErrStale, "once")

	require.ErrorIs(t, f.bind("vm", "h2"), ErrStale, "it has an owner")
	for name, liar := range map[string]func(*statev1.Command){
		"another host":  observe("h2", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}),
		"another epoch": observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 0, ObservedGeneration: 2, Gone: true}),
		"only stopped":  observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_STOPPED}),
		"a silent host": observeHost("h1", novacronv1.HostState_HOST_STATE_DOWN, nil),
	} {
		f.must(liar)
		require.Equal(t, "h1", f.vm("vm").GetHostId(), name)
		require.ErrorIs(t, f.bind("vm", "h2"), ErrStale, name)
	}
	f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_UP, nil))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	require.Empty(t, f.vm("vm").GetHostId())
	require.Contains(t, f.vm("vm").GetStatus().GetMessage(), "host h1 has stopped it and let it go")
	require.ErrorIs(t, f.bind("vm", "h1"), ErrStale, "the host is draining")
	require.NoError(t, f.bind("vm", "h2"))
	require.EqualValues(t, 2, f.vm("vm").GetEpoch())
	f.must(observe("h2", &statev1.VMObservation{VmId: "vm", Epoch: 2, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, f.vm("vm").GetOperation().GetState())
	require.Equal(t, "evacuate", f.vm("vm").GetOperation().GetKind())
	f.must(drain("h1", false))
	host, _ := f.store.View().Host("h1")
	require.False(t, host.GetDraining())
}

func TestWhatMayNotLeave(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*statev1.CreateVM)
		why    string
	}{
		"policy stop":  {withPolicy(EvacuateStop), "its policy is stop"},
		"policy never": {withPolicy(EvacuateNever), "its policy is never"},
		"root disk":    {func(op *statev1.CreateVM) { op.Spec.Pool = "default" }, "its root disk lies in pool default there"},
		"data disk": {func(op *statev1.CreateVM) {
			op.Spec.DiskGb, op.Spec.Volumes = 0, []*novacronv1.VolumeSpec{{Name: "d", Pool: "p"}}
		}, "its disk d lies in pool p there"},
		"source": {func(op *statev1.CreateVM) {
			op.Spec.DiskGb, op.Spec.Volumes = 0, []*novacronv1.VolumeSpec{{Name: "d", Pool: "p", Device: proto.String("cdrom"), Source: proto.String("x")}}
		}, "its disk d lies in pool p there"},
		"tpm":      {func(op *statev1.CreateVM) { op.Spec.DiskGb, op.Spec.Tpm = 0, proto.String("2.0") }, "the state of its TPM"},
		"firmware": {func(op *statev1.CreateVM) { op.Spec.DiskGb, op.Spec.Firmware = 0, "uefi" }, "the variables of its firmware"},
		"host device": {func(op *statev1.CreateVM) {
			op.Spec.DiskGb, op.Spec.Devices = 0, &novacronv1.DevicesSpec{HostDevices: []*novacronv1.HostDevice{{Pci: "x"}}}
		}, "devices of that host"},
	} {
		t.Run(name, func(t *testing.T) {
			f := evacuationFixture(t)
			f.runningOn("h1", "vm", c.change)
			f.must(drain("h1", true))
			before := hashOf(t, f.store)
			_, err := f.apply(evacuate(f.vm("vm")))
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, c.why)
			require.Equal(t, before, hashOf(t, f.store))
		})
	}
	require.Empty(t, Bound(&novacronv1.VM{Spec: &novacronv1.VMSpec{Volumes: []*novacronv1.VolumeSpec{{Device: proto.String("cdrom"), Image: "iso"}}}}), "a medium is fetched anew")
	require.NotEmpty(t, Bound(&novacronv1.VM{Adopted: true, Spec: &novacronv1.VMSpec{}}))
}

func TestADeletionOvertakesAnEvacuation(t *testing.T) {
	f := evacuationFixture(t)
	f.runningOn("h1", "vm", withPolicy(EvacuateMigrate))
	f.must(drain("h1", true))
	f.must(evacuate(f.vm("vm")))
	f.must(deleteVM("vm"))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	require.Nil(t, f.vm("vm"))
}

func TestStoppedForADrainStaysStopped(t *testing.T) {
	f := evacuationFixture(t)
	f.runningOn("h1", "vm", withPolicy(EvacuateStop))
	f.must(drain("h1", true))
	power := func(p novacronv1.PowerState) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{Id: "vm", Power: p}}
		}
	}
	f.must(power(novacronv1.PowerState_POWER_STATE_STOPPED))
	_, err := f.apply(power(novacronv1.PowerState_POWER_STATE_RUNNING))
	require.ErrorContains(t, err, "novacron host undrain h1")
	f.must(drain("h1", false))
	f.must(power(novacronv1.PowerState_POWER_STATE_RUNNING))
}

func TestALostHostTellsWhatBecomesOfItsMachines(t *testing.T) {
	for policy, text := range map[string]string{
		EvacuateMigrate: "not started elsewhere before that host confirms", EvacuateRestart: "not started elsewhere before that host confirms",
		EvacuateStop: "as its evacuation policy stop says", EvacuateNever: "as its evacuation policy never says",
	} {
		f := evacuationFixture(t)
		f.runningOn("h1", "vm", withPolicy(policy))
		f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_DOWN, nil))
		require.Contains(t, f.vm("vm").GetStatus().GetMessage(), text)
		require.Equal(t, "h1", f.vm("vm").GetHostId())
	}
}

func TestMergeKeepsWhatHappensOnTheHosts(t *testing.T) {
	f := evacuationFixture(t)
	f.runningOn("h1", "vm", withPolicy(EvacuateMigrate))
	f.must(drain("h1", true))
	old := saved(t, f.store.View())
	f.must(evacuate(f.vm("vm")))
	during := saved(t, f.store.View())
	now, _ := merged(t, old, f.store.View()).VM("vm", "")
	require.NotNil(t, now.GetEvacuateTime(), "the host has its order")
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	require.NoError(t, f.bind("vm", "h2"))
	now, _ = merged(t, during, f.store.View()).VM("vm", "")
	require.Nil(t, now.GetEvacuateTime(), "it is elsewhere by now")
	require.Equal(t, "h2", now.GetHostId())
}
