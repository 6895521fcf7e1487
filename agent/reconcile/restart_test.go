package reconcile

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

func withPolicy(policy string, autostart bool) *novacronv1.VM {
	w := wish("vm", 1)
	w.Spec.RestartPolicy, w.Spec.Autostart = proto.String(policy), proto.Bool(autostart)
	return w
}

// What becomes of a machine that shall run and is found stopped, although its wish was fulfilled.
func TestAStoppedMachineFollowsItsPolicy(t *testing.T) {
	type found struct {
		state  hypervisor.State
		booted bool
	}
	for name, c := range map[string]struct {
		wish  *novacronv1.VM
		found found
		want  Kind
	}{
		"always, powered off":           {withPolicy(vm.RestartAlways, true), found{state: hypervisor.StateStopped}, Start},
		"always, crashed":               {withPolicy(vm.RestartAlways, true), found{state: hypervisor.StateCrashed}, Start},
		"on failure, powered off":       {withPolicy(vm.RestartOnFailure, true), found{state: hypervisor.StateStopped}, ""},
		"on failure, crashed":           {withPolicy(vm.RestartOnFailure, true), found{state: hypervisor.StateCrashed}, Start},
		"never, crashed":                {withPolicy(vm.RestartNever, true), found{state: hypervisor.StateCrashed}, ""},
		"never, but its host restarted": {withPolicy(vm.RestartNever, true), found{hypervisor.StateStopped, true}, Start},
		"always, no autostart":          {withPolicy(vm.RestartAlways, false), found{hypervisor.StateStopped, true}, ""},
		"it runs":                       {withPolicy(vm.RestartAlways, true), found{state: hypervisor.StateRunning}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			actual := Actual{
				Machines: []hypervisor.Observed{{ID: "vm", Ours: true, State: c.found.state, Owner: hypervisor.Owner{Epoch: 1, Generation: 1}}},
				Booted:   map[string]bool{"vm": c.found.booted},
			}
			var got Kind
			if steps := Diff([]*novacronv1.VM{c.wish}, actual); len(steps) > 0 {
				got = steps[0].Kind
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestAMachineThatStopsAgainAndAgainIsStartedLessOften(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 1, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{withPolicy(vm.RestartAlways, true)})
		pass(time.Second)
		starts := 0
		for range 600 { // ten minutes of a guest that powers off within a second
			_ = m.change("vm", func(o *hypervisor.Observed) {
				if o.State == hypervisor.StateRunning {
					o.State, starts = hypervisor.StateStopped, starts+1
				}
			})
			pass(time.Second)
		}
		require.Greater(t, starts, 4)
		require.Less(t, starts, 14, "1 + 2 + 4 … seconds apart, and never more than five minutes")
	})
}

func TestTheHostsRestartIsSettledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, settled := newMachines(), 0
		for _, id := range []string{"vm", "manual"} {
			m.there[id] = hypervisor.Observed{ID: id, Ours: true, State: hypervisor.StateStopped, Owner: hypervisor.Owner{Epoch: 1, Generation: 1}}
		}
		manual := withPolicy(vm.RestartAlways, false)
		manual.Id, manual.Spec.Uuid = "manual", "manual"
		r := New(Config{
			Machines: m, ClusterID: "c", Logger: slog.New(slog.DiscardHandler),
			Images:     func(*novacronv1.VM) hypervisor.ImageSource { return nil },
			HostBooted: true, BootSettled: func() { settled++ },
		})
		r.SetDesired(1, []*novacronv1.VM{withPolicy(vm.RestartNever, true), manual})
		ctx := t.Context()
		r.once(ctx)
		r.running.Wait()
		require.Zero(t, settled, "it has only just been started")
		r.once(ctx)
		require.Equal(t, 1, settled)
		r.once(ctx)
		require.Equal(t, 1, settled)
		require.Equal(t, hypervisor.StateRunning, m.there["vm"].State)
	})
}
