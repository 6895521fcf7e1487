package cli

import (
	"fmt"
	"time"

	pb "github.com/novacron/novacron/proto/novacron/v1"
)

const kindDelete = "delete"

// goal is what an accepted operation wants a machine to be. Judging is pure but for the clock of its patience.
type goal struct {
	name, operation, kind string
	generation            uint64
	target                pb.VMPhase
	grace                 time.Duration
	// pendingSince is when the machine began to look for a host; zero while it does not.
	pendingSince time.Time
}

// newGoal reads the goal off the answer to the call that asked for it.
func newGoal(vm *pb.VM, grace time.Duration) *goal {
	g := &goal{
		name: vm.GetSpec().GetName(), operation: vm.GetOperation().GetId(), kind: vm.GetOperation().GetKind(),
		generation: vm.GetGeneration(), target: pb.VMPhase_VM_PHASE_RUNNING, grace: grace,
	}
	switch vm.GetDesiredPower() {
	case pb.PowerState_POWER_STATE_STOPPED:
		g.target = pb.VMPhase_VM_PHASE_STOPPED
	case pb.PowerState_POWER_STATE_PAUSED:
		g.target = pb.VMPhase_VM_PHASE_PAUSED
	case pb.PowerState_POWER_STATE_RUNNING, pb.PowerState_POWER_STATE_UNSPECIFIED:
	}
	return g
}

// judge reports whether the goal is reached, or why it never will be.
func (g *goal) judge(vm *pb.VM) (done bool, err error) {
	op, status := vm.GetOperation(), vm.GetStatus()
	current := status.GetObservedGeneration() >= g.generation && status.GetObservedGeneration() > 0
	switch {
	case op.GetId() != g.operation:
		return false, g.superseded(op)
	case op.GetState() == pb.OperationState_OPERATION_STATE_DONE:
		return true, nil
	case op.GetState() == pb.OperationState_OPERATION_STATE_FAILED:
		return false, g.failed(vm)
	case g.kind == kindDelete:
		return false, nil
	case current && status.GetPhase() == pb.VMPhase_VM_PHASE_FAILED:
		return false, g.failed(vm)
	}
	return current && status.GetPhase() == g.target, nil
}

// afterGone judges that the machine is no more.
func (g *goal) afterGone() error {
	if g.kind == kindDelete {
		return nil
	}
	return &fault{what: fmt.Sprintf("%s: somebody has deleted it meanwhile", g.name)}
}

func (g *goal) superseded(op *pb.Operation) error {
	return &fault{
		what: fmt.Sprintf("%s: a later %s has taken the place of this %s", g.name, op.GetKind(), g.kind),
		hint: fmt.Sprintf("`novacron vm show %s` tells the state", g.name),
	}
}

func (g *goal) failed(vm *pb.VM) error {
	text := firstNonEmpty(vm.GetOperation().GetMessage(), vm.GetStatus().GetMessage(), "the host gave no reason")
	f := split(fmt.Sprintf("%s: %s failed: %s", g.name, g.kind, text), vmWayOut(vm))
	if host := vm.GetHostName(); host != "" {
		f.details = append(f.details, "host: "+host)
	}
	f.details = append(f.details, "operation: "+g.operation)
	return f
}

// unplaced tells that the cluster has taken the machine but knows no host for it yet.
func (g *goal) unplaced(vm *pb.VM) error {
	why := split(firstNonEmpty(vm.GetStatus().GetMessage(), "the scheduler has not looked at it yet"), "")
	return &fault{
		what:     fmt.Sprintf("%s: no host after %s: %s", g.name, g.grace, why.what),
		details:  append(why.details, fmt.Sprintf("operation %s goes on in the background", g.operation)),
		hint:     vmWayOut(vm),
		unplaced: true,
	}
}

// patience ends when a machine has looked for a host for longer than the grace; for others it never does.
func (g *goal) patience(vm *pb.VM) <-chan time.Time {
	if g.grace <= 0 || g.kind == kindDelete || vm.GetStatus().GetPhase() != pb.VMPhase_VM_PHASE_PENDING || vm.GetHostId() != "" {
		g.pendingSince = time.Time{}
		return nil
	}
	if g.pendingSince.IsZero() {
		g.pendingSince = time.Now()
	}
	return time.After(g.grace - time.Since(g.pendingSince))
}

// farewell tells how the operation ended.
func (g *goal) farewell(vm *pb.VM) string {
	if g.kind == kindDelete {
		return g.name + ": deleted"
	}
	if host := vm.GetHostName(); host != "" {
		return fmt.Sprintf("%s: %s on %s", g.name, word(g.target, "VM_PHASE_"), host)
	}
	return fmt.Sprintf("%s: %s", g.name, word(g.target, "VM_PHASE_"))
}

// stateOf tells in a few words how a machine is.
func stateOf(vm *pb.VM) string {
	text := phaseOf(vm)
	if vm.GetHostName() != "" {
		text += " on " + vm.GetHostName()
	}
	if what := firstOf(vm.GetStatus().GetStep(), vm.GetStatus().GetMessage()); what != "" {
		text += ": " + what
	}
	return text
}

func firstNonEmpty(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
