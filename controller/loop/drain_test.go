package loop

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// addRunning has a machine run on a host, whatever the others look like.
func (r *replica) addRunning(t *testing.T, host string, spec *novacronv1.VMSpec) {
	t.Helper()
	spec.Project, spec.MemoryMb, spec.Cpus = "default", max(spec.GetMemoryMb(), 1), max(spec.GetCpus(), 1)
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_CreateVm{CreateVm: &statev1.CreateVM{Id: spec.GetName(), Spec: spec, Power: novacronv1.PowerState_POWER_STATE_RUNNING}}
	})
	vm, _ := r.store.View().VM(spec.GetName(), "")
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_BindVms{BindVms: &statev1.BindVMs{Bindings: []*statev1.Binding{{VmId: vm.GetId(), HostId: host, VmRevision: vm.GetRevision()}}}}
	})
	r.report(t, host, &statev1.VMObservation{VmId: vm.GetId(), Epoch: 1, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING})
}

func (r *replica) report(t *testing.T, host string, seen ...*statev1.VMObservation) {
	t.Helper()
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveVms{ObserveVms: &statev1.ObserveVMs{HostId: host, Vms: seen}}
	})
}

func (r *replica) drain(t *testing.T, host string) {
	t.Helper()
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: host, Draining: true}}
	})
}

func diskless(name, policy string) *novacronv1.VMSpec {
	return &novacronv1.VMSpec{Name: name, EvacuationPolicy: proto.String(policy)}
}

// told is the plan for a host, a line for each machine.
func (r *replica) told(host string) (lines []string) {
	for _, step := range placing.Drain(r.store.View(), host) {
		line := fmt.Sprintf("%s %s %s %v", step.GetVmName(), step.GetAction().String()[13:], step.GetToHost(), step.GetUnderWay())
		lines = append(lines, line)
	}
	return lines
}

func TestADrainFollowsThePolicies(t *testing.T) {
	r := newReplica()
	r.addHost(t, "host", 8)
	r.addHost(t, "other", 2)
	r.addRunning(t, "host", diskless("mover", state.EvacuateMigrate))
	r.addRunning(t, "host", diskless("restarter", state.EvacuateRestart))
	r.addRunning(t, "host", diskless("stopper", state.EvacuateStop))
	r.addRunning(t, "host", diskless("never", state.EvacuateNever))
	withDisk := diskless("disk", state.EvacuateMigrate)
	withDisk.DiskGb, withDisk.Pool = 1, "default"
	r.addRunning(t, "host", withDisk)
	large := diskless("large", state.EvacuateMigrate)
	large.Cpus = 3
	r.addRunning(t, "host", large)
	want := []string{"mover MOVE other false", "restarter MOVE other false", "stopper STOP  false", "disk STAY  false", "large STAY  false", "never STAY  false"}
	before := r.index
	require.Equal(t, want, r.told("host"))
	require.Equal(t, before, r.index)
	why := map[string]string{}
	for _, step := range placing.Drain(r.store.View(), "host") {
		why[step.GetVmName()] = step.GetWhy()
	}
	require.Equal(t, "its root disk lies in pool default there, and no other host reaches that", why["disk"])
	require.Contains(t, why["large"], "no host fits: of 1 hosts, refused 1 by CPU (3 asked for)")
	require.Equal(t, "its policy says so", why["never"])

	ids := 0
	drainer := &Drainer{Store: r.store, Log: r, Now: time.Now, NewID: func() string { ids++; return fmt.Sprint("op-", ids) }}
	require.NoError(t, drainer.check(t.Context()))
	require.Equal(t, before, r.index, "no host is to be emptied")
	r.drain(t, "host")
	require.NoError(t, drainer.check(t.Context()))
	require.NoError(t, drainer.check(t.Context()))
	require.Equal(t, []string{"mover MOVE  true", "restarter MOVE  true", "stopper STOP  true", "disk STAY  false", "large STAY  false", "never STAY  false"}, r.told("host"))
	placer := &Placer{Store: r.store, Log: r, Now: time.Now}
	require.NoError(t, placer.place(t.Context(), r.store.View()))
	for _, id := range []string{"mover", "restarter", "stopper"} {
		vm, _ := r.store.View().VM(id, "")
		require.Equal(t, "host", vm.GetHostId(), "nobody else has it before its host has let it go")
	}
	for _, id := range []string{"mover", "restarter"} {
		r.report(t, "host", &statev1.VMObservation{VmId: id, Epoch: 1, ObservedGeneration: 2, Gone: true})
	}
	r.report(t, "host", &statev1.VMObservation{VmId: "stopper", Epoch: 1, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_STOPPED})
	require.NoError(t, placer.place(t.Context(), r.store.View()))
	for _, id := range []string{"mover", "restarter"} {
		vm, _ := r.store.View().VM(id, "")
		require.Equal(t, "other", vm.GetHostId())
	}
	require.Equal(t, []string{"disk STAY  false", "large STAY  false", "never STAY  false", "stopper STAY  false"}, r.told("host"))
	before = r.index
	require.NoError(t, drainer.check(t.Context()))
	require.Equal(t, before, r.index, "it is drained as far as it goes")
}

func TestADrainGoesInWaves(t *testing.T) {
	r := newReplica()
	r.addHost(t, "host", 99)
	r.addHost(t, "other", 99)
	for i := range drainWave + 2 {
		r.addRunning(t, "host", diskless(fmt.Sprint("vm-", i), state.EvacuateRestart))
	}
	r.drain(t, "host")
	drainer := &Drainer{Store: r.store, Log: r, Now: time.Now, NewID: func() string { return "op" }}
	underWay := func() (n int) {
		require.NoError(t, drainer.check(t.Context()))
		for _, step := range placing.Drain(r.store.View(), "host") {
			if step.GetUnderWay() {
				n++
			}
		}
		return n
	}
	require.Equal(t, drainWave, underWay())
	require.Equal(t, drainWave, underWay())
	r.report(t, "host", &statev1.VMObservation{VmId: "vm-0", Epoch: 1, ObservedGeneration: 2, Gone: true})
	require.Equal(t, drainWave, underWay(), "one went, one follows")
}

func TestASilentHostIsNotEmptied(t *testing.T) {
	r := newReplica()
	r.addHost(t, "host", 8)
	r.addHost(t, "other", 8)
	r.addRunning(t, "host", diskless("vm", state.EvacuateRestart))
	r.drain(t, "host")
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: "host", State: novacronv1.HostState_HOST_STATE_DOWN}}
	})
	drainer := &Drainer{Store: r.store, Log: r, Now: time.Now, NewID: func() string { return "op" }}
	require.NoError(t, drainer.check(t.Context()))
	steps := placing.Drain(r.store.View(), "host")
	require.Equal(t, novacronv1.DrainAction_DRAIN_ACTION_STAY, steps[0].GetAction())
	require.Contains(t, steps[0].GetWhy(), "nobody can confirm that it stopped")
}
