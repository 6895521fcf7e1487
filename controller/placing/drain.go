package placing

import (
	"cmp"
	"slices"

	"github.com/novacron/novacron/controller/sched"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Drain plans the emptying of a host: what becomes of each of its machines, by their evacuation policies, and why. Those that
// move are placed together, the largest first, on the other hosts as they are now. Nothing runs twice for it: a machine that
// moves is stopped and removed here before anyone else gets it, so one whose host is silent stays, as does one with a disk
// that no other host reaches.
func Drain(view state.View, hostID string) []*novacronv1.DrainStep {
	host, _ := view.Host(hostID)
	var steps []*novacronv1.DrainStep
	var movers []*novacronv1.VM
	for machine := range view.VMsOf(hostID) {
		step := &novacronv1.DrainStep{
			VmId: machine.GetId(), VmName: machine.GetSpec().GetName(), Project: machine.GetSpec().GetProject(), Policy: state.PolicyOf(machine),
		}
		if decide(step, machine, host); step.GetAction() == novacronv1.DrainAction_DRAIN_ACTION_MOVE && !step.GetUnderWay() {
			movers = append(movers, machine)
		}
		steps = append(steps, step)
	}
	settle(view, host, steps, movers)
	slices.SortFunc(steps, func(a, b *novacronv1.DrainStep) int {
		return cmp.Or(cmp.Compare(a.GetAction(), b.GetAction()), cmp.Compare(a.GetProject(), b.GetProject()), cmp.Compare(a.GetVmName(), b.GetVmName()))
	})
	return steps
}

// decide is what a machine's policy and state allow, before it is known where there is room.
func decide(step *novacronv1.DrainStep, machine *novacronv1.VM, host *novacronv1.Host) {
	stay := func(why string) { step.Action, step.Why = novacronv1.DrainAction_DRAIN_ACTION_STAY, why }
	phase, stopped := machine.GetStatus().GetPhase(), machine.GetDesiredPower() == novacronv1.PowerState_POWER_STATE_STOPPED
	switch {
	case machine.GetDeleteTime() != nil:
		stay("it is being deleted")
	case machine.GetEvacuateTime() != nil:
		step.Action, step.UnderWay, step.Why = novacronv1.DrainAction_DRAIN_ACTION_MOVE, true, machine.GetStatus().GetMessage()
	case host.GetState() != novacronv1.HostState_HOST_STATE_UP:
		stay("host " + host.GetName() + " is not heard from, so nobody can confirm that it stopped")
	case step.GetPolicy() == state.EvacuateStop && stopped && phase == novacronv1.VMPhase_VM_PHASE_STOPPED:
		stay("it is stopped")
	case step.GetPolicy() == state.EvacuateStop && phase == novacronv1.VMPhase_VM_PHASE_FAILED:
		stay("it has failed: " + machine.GetStatus().GetMessage())
	case step.GetPolicy() == state.EvacuateStop:
		step.Action, step.UnderWay, step.Why = novacronv1.DrainAction_DRAIN_ACTION_STOP, stopped, "it is stopped and stays on the host"
	case !state.Moves(step.GetPolicy()):
		stay("its policy says so")
	case state.Bound(machine) != "":
		stay(state.Bound(machine) + ", and no other host reaches that")
	default:
		step.Action = novacronv1.DrainAction_DRAIN_ACTION_MOVE
	}
}

// settle finds hosts for those that would move; who finds none stays.
func settle(view state.View, host *novacronv1.Host, steps []*novacronv1.DrainStep, movers []*novacronv1.VM) {
	slices.SortFunc(movers, func(a, b *novacronv1.VM) int {
		return cmp.Or(cmp.Compare(b.GetSpec().GetMemoryMb(), a.GetSpec().GetMemoryMb()), cmp.Compare(a.GetId(), b.GetId()))
	})
	requests := make([]sched.Request, len(movers))
	for i, machine := range movers {
		requests[i] = RequestOf(view, machine)
	}
	others := slices.DeleteFunc(HostsOf(view, requests), func(h sched.Host) bool { return h.ID == host.GetId() })
	for i, decision := range sched.Place(others, requests) {
		at := slices.IndexFunc(steps, func(s *novacronv1.DrainStep) bool { return s.GetVmId() == movers[i].GetId() })
		if decision.Host == "" {
			steps[at].Action, steps[at].Why = novacronv1.DrainAction_DRAIN_ACTION_STAY, "elsewhere "+decision.Refusal.String()
			continue
		}
		target, _ := view.Member(decision.Host)
		steps[at].ToHost, steps[at].Why = target.GetName(), "it is stopped here, then made anew there"
	}
}
