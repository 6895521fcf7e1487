// Package reconcile brings one host to what the cluster wants of it: a pure difference, and an executor of its steps.
package reconcile

import (
	"github.com/novacron/novacron/agent/hypervisor"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Kind is what a step does to one virtual machine.
type Kind string

// The kinds of steps. All are idempotent: one that was interrupted is simply taken again.
const (
	// Create makes the machine, or goes on with a create that was interrupted.
	Create Kind = "create"
	Start  Kind = "start"
	Stop   Kind = "stop"
	// Pause stops the CPUs; Start lets them go on. A machine that is not running is started first.
	Pause Kind = "pause"
	// Restart restarts the guest; again only if the agent ends before it has recorded that, or libvirt left open whether it was done.
	Restart Kind = "restart"
	// Delete removes the machine with all that it owns.
	Delete Kind = "delete"
	// Adopt marks a domain that is there, and is nobody's, as the machine.
	Adopt Kind = "adopt"
	// Acknowledge records on the machine that the wanted generation is in force; nothing else is to be done.
	Acknowledge Kind = "acknowledge"
	// Undo takes back a half-done create that nobody wants any more.
	Undo Kind = "undo"
)

// Step is one thing to do about one virtual machine.
type Step struct {
	Kind Kind
	ID   string
	// VM is what is wanted; nil for Undo.
	VM *novacronv1.VM
}

// Actual is what is on the host.
type Actual struct {
	Machines []hypervisor.Observed
	// HalfDone are the ids with an unfinished create or delete, whether a machine is there or not.
	HalfDone []string
	// Failed are generations that were tried and cannot work: they are not tried again.
	Failed map[string]uint64
	// Gone are machines that were deleted to the end.
	Gone map[string]bool
	// Booted are machines that the host's own restart stopped.
	Booted map[string]bool
	// Resting are machines that stopped by themselves so often that the next start has to wait.
	Resting map[string]bool
}

// Diff gives the steps from actual to desired, at most one for each machine. It looks at this cluster's machines alone,
// and never removes one whose deletion the cluster does not ask for: a machine that the cluster does not know is left
// alone, because forgetting is no order.
func Diff(desired []*novacronv1.VM, actual Actual) []Step {
	machines := map[string]hypervisor.Observed{}
	for _, machine := range actual.Machines {
		if machine.Ours {
			machines[machine.ID] = machine
		}
	}
	halfDone := map[string]bool{}
	for _, id := range actual.HalfDone {
		halfDone[id] = true
	}
	var steps []Step
	for _, vm := range desired {
		machine, here := machines[vm.GetId()]
		if kind := step(vm, machine, here, halfDone[vm.GetId()], actual); kind != "" {
			steps = append(steps, Step{Kind: kind, ID: vm.GetId(), VM: vm})
		}
		delete(halfDone, vm.GetId())
	}
	for _, id := range actual.HalfDone {
		if halfDone[id] {
			steps = append(steps, Step{Kind: Undo, ID: id})
		}
	}
	return steps
}

func step(vm *novacronv1.VM, machine hypervisor.Observed, here, halfDone bool, actual Actual) Kind {
	switch {
	case here && machine.Owner.Epoch > vm.GetEpoch():
		return "" // this order is older than what is in force here
	case vm.GetDeleteTime() != nil:
		if actual.Gone[vm.GetId()] {
			return ""
		}
		return Delete
	case failed(vm, actual):
		return ""
	case !here && vm.GetAdopted():
		return Adopt
	case !here || halfDone:
		return Create
	case machine.Owner.Generation >= vm.GetGeneration() && machine.Owner.Epoch == vm.GetEpoch():
		return revive(vm, machine, actual) // the wish was fulfilled; what happened since then is the policy's affair
	}
	return power(vm, machine)
}

// failed tells whether this generation was tried in vain, here and now or by a former life of this agent.
func failed(vm *novacronv1.VM, actual Actual) bool {
	if generation, ok := actual.Failed[vm.GetId()]; ok && generation >= vm.GetGeneration() {
		return true
	}
	status := vm.GetStatus()
	return status.GetPhase() == novacronv1.VMPhase_VM_PHASE_FAILED && status.GetObservedGeneration() >= vm.GetGeneration()
}

// power compares a new wish with the machine's state.
func power(vm *novacronv1.VM, machine hypervisor.Observed) Kind {
	runs, paused := machine.State == hypervisor.StateRunning, machine.State == hypervisor.StatePaused
	switch vm.GetDesiredPower() {
	case novacronv1.PowerState_POWER_STATE_RUNNING:
		if !runs {
			return Start
		}
		if vm.GetRestartGeneration() > machine.Owner.Generation { // other wishes may have come after it
			return Restart
		}
	case novacronv1.PowerState_POWER_STATE_STOPPED:
		if runs || paused {
			return Stop
		}
	case novacronv1.PowerState_POWER_STATE_PAUSED:
		if !paused {
			return Pause
		}
	case novacronv1.PowerState_POWER_STATE_UNSPECIFIED: // a wish of a newer release: wait for an upgrade
		return ""
	}
	return Acknowledge
}
