package reconcile

import (
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// A guest that stops by itself again and again is started less and less often: after restartBase, then twice that, up to
// restartMax. One that ran for restartForgive has its past forgotten.
const (
	restartBase    = time.Second
	restartMax     = 5 * time.Minute
	restartForgive = 10 * time.Minute
)

// revive tells whether a machine that shall run, and did, is to be started again.
func revive(wish *novacronv1.VM, machine hypervisor.Observed, actual Actual) Kind {
	stopped := machine.State.Off()
	if wish.GetDesiredPower() != novacronv1.PowerState_POWER_STATE_RUNNING || !stopped || actual.Resting[machine.ID] {
		return ""
	}
	spec := wish.GetSpec()
	if actual.Booted[machine.ID] { // its host went down under it: the guest did nothing
		if spec.GetAutostart() {
			return Start
		}
		return ""
	}
	switch spec.GetRestartPolicy() {
	case vm.RestartAlways:
		return Start
	case vm.RestartOnFailure:
		if machine.State == hypervisor.StateCrashed {
			return Start
		}
	}
	return ""
}

// revival is the memory of a machine's restarts.
type revival struct {
	pause time.Duration
	last  time.Time
}

// due tells when the machine may be started again.
func (v revival) due(now time.Time) bool { return now.Sub(v.last) >= v.pause }

// next is the memory after one more restart.
func (v revival) next(now time.Time) revival {
	if v.pause == 0 || now.Sub(v.last) > restartForgive {
		return revival{pause: restartBase, last: now}
	}
	return revival{pause: min(2*v.pause, restartMax), last: now}
}

// resting are the machines whose next restart is not due. The lock is held.
func (r *Reconciler) resting(now time.Time) map[string]bool {
	resting := map[string]bool{}
	for id, v := range r.revivals {
		switch {
		case r.desired[id] == nil || now.Sub(v.last) > restartForgive+restartMax:
			delete(r.revivals, id)
		case !v.due(now):
			resting[id] = true
			time.AfterFunc(v.pause-now.Sub(v.last), r.poke)
		}
	}
	return resting
}

// noteRevival counts a start that no wish asked for. The lock is held.
func (r *Reconciler) noteRevival(step Step, now time.Time) {
	machine, known := r.machines[step.ID]
	if step.Kind != Start || !known || machine.Owner.Generation < step.VM.GetGeneration() || r.jobs[step.ID] != nil {
		return
	}
	if !r.booted[step.ID] {
		r.revivals[step.ID] = r.revivals[step.ID].next(now)
	}
	r.config.Logger.Info("a machine stopped by itself and is started again", "vm", step.ID, "policy", step.VM.GetSpec().GetRestartPolicy(), "after host boot", r.booted[step.ID])
}

// markBooted remembers, at the first look after the host's boot, the machines that the boot stopped. The lock is held.
func (r *Reconciler) markBooted() {
	if !r.config.HostBooted || r.bootSeen {
		return
	}
	r.bootSeen = true
	for id, wish := range r.desired {
		machine, here := r.machines[id]
		if here && wish.GetDesiredPower() == novacronv1.PowerState_POWER_STATE_RUNNING && machine.State.Off() {
			r.booted[id] = true
		}
	}
}

// settleBooted forgets the machines that run again or shall not, and tells once none is left. The lock is held.
func (r *Reconciler) settleBooted() {
	if !r.bootSeen || r.bootSettled {
		return
	}
	for id := range r.booted {
		machine, here := r.machines[id]
		wish := r.desired[id]
		if !here || wish == nil || !wish.GetSpec().GetAutostart() || !machine.State.Off() {
			delete(r.booted, id)
		}
	}
	if len(r.booted) == 0 {
		r.bootSettled = true
		if r.config.BootSettled != nil {
			r.config.BootSettled()
		}
	}
}
