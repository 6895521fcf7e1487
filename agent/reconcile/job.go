package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// ErrFetch is an image that could not be fetched from any peer, for now.
var ErrFetch = errors.New("image cannot be fetched")

// persists tells whether the step is taken until it works: what shall go must not stay because of one error.
func (s Step) persists() bool { return s.Kind == Delete || s.Kind == Undo }

// job is one step under way.
type job struct {
	step   Step
	cancel context.CancelFunc
	// restarted says that the guest was restarted; what is left of the step is to record it. The job's own goroutine has it.
	restarted bool

	mu       sync.Mutex
	progress string
	trouble  string
}

// outdatedBy tells whether a new wish, or nil for none at all, makes the job pointless before it ends.
func (j *job) outdatedBy(wish *novacronv1.VM) bool {
	if wish == nil {
		return j.step.Kind == Create // what is half done of it is undone then
	}
	making := j.step.Kind == Create || j.step.Kind == Start
	hurry := j.step.Kind == Stop && wish.GetForce() && !j.step.VM.GetForce() || j.step.Kind == Delete && wish.GetForce() && !j.step.VM.GetForce()
	return making && wish.GetDeleteTime() != nil || hurry
}

func (j *job) say(progress string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress, j.trouble = progress, ""
}

func (j *job) fail(trouble string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trouble = trouble
}

func (j *job) observation() *agentv1.VMObservation {
	j.mu.Lock()
	defer j.mu.Unlock()
	// The generation is in force once the job is done, not before: an operation must not look finished while it runs.
	// The undo of what nobody wanted knows no generation.
	return &agentv1.VMObservation{
		Phase: j.phase(), Step: j.progress, Message: j.trouble, ObservedGeneration: max(j.step.VM.GetGeneration(), 1) - 1,
	}
}

func (j *job) phase() novacronv1.VMPhase {
	switch j.step.Kind {
	case Stop:
		return novacronv1.VMPhase_VM_PHASE_STOPPING
	case Delete, Undo:
		return novacronv1.VMPhase_VM_PHASE_DELETING
	case Adopt, Pause, Restart:
		return novacronv1.VMPhase_VM_PHASE_RUNNING
	case Create, Start, Acknowledge:
	}
	return novacronv1.VMPhase_VM_PHASE_CREATING
}

// start begins a step unless the machine is being worked on. The lock is held.
func (r *Reconciler) start(ctx context.Context, step Step) {
	if r.jobs[step.ID] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	j := &job{step: step, cancel: cancel}
	r.jobs[step.ID] = j
	r.running.Go(func() {
		defer cancel()
		err := r.work(ctx, j)
		r.finish(ctx, j, err)
	})
}

// work takes the step, again and again while it may work later: after a pause, or once the hypervisor is there again.
func (r *Reconciler) work(ctx context.Context, j *job) error {
	for pause := retryBase; ; pause = min(2*pause, retryMax) {
		back := r.comeback()
		err := r.take(ctx, j)
		if err == nil || ctx.Err() != nil || !j.step.persists() && !transient(err) {
			return err
		}
		r.config.Logger.Warn("a step failed and is taken again", "step", j.step.Kind, "vm", j.step.ID, "error", err, "pause", pause)
		j.fail(fmt.Sprintf("%v; tried again in %s", err, pause))
		r.changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-back:
		case <-time.After(pause):
		}
	}
}

// take waits for a free slot and takes the step once.
func (r *Reconciler) take(ctx context.Context, j *job) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r.config.Logger.Info("step", "kind", j.step.Kind, "vm", j.step.ID)
	r.changed()
	machines, wish := r.config.Machines, j.step.VM
	if err := r.prepare(ctx, j.step); err != nil {
		return err
	}
	switch j.step.Kind {
	case Create:
		return r.create(ctx, j)
	case Start:
		return r.acknowledge(ctx, wish, machines.Start(ctx, j.step.ID))
	case Stop:
		return r.acknowledge(ctx, wish, r.stop(ctx, wish))
	case Adopt:
		definition := vm.FromProto(wish.GetSpec())
		return machines.Adopt(ctx, &definition, r.owner(wish))
	case Pause:
		return r.acknowledge(ctx, wish, r.pause(ctx, j.step.ID))
	case Restart:
		return r.acknowledge(ctx, wish, r.restart(ctx, j))
	case Acknowledge:
		return r.acknowledge(ctx, wish, nil)
	case Delete:
		return r.remove(ctx, wish)
	case Undo:
		return r.undo(ctx, j.step.ID)
	}
	return fmt.Errorf("step %q is not known", j.step.Kind)
}

// prepare has the surroundings of a machine made before it comes to life or gets another packet filter, and the machine
// itself brought in line: what a start finds is what was asked for by then.
func (r *Reconciler) prepare(ctx context.Context, step Step) error {
	if r.config.Prepare != nil && (step.Kind == Create || step.Kind == Start || step.Kind == Pause || step.Kind == Acknowledge && r.regroups(step.VM)) {
		if err := r.config.Prepare(ctx, step.VM); err != nil {
			return err
		}
	}
	switch step.Kind {
	case Start, Pause, Restart, Acknowledge:
		return r.alter(ctx, step.VM)
	}
	return nil
}

// regroups tells whether a card of a machine is to get another packet filter, which has to be there first.
func (r *Reconciler) regroups(wish *novacronv1.VM) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := r.machines[wish.GetId()].Definition
	for i, card := range wish.GetSpec().GetNetworkInterfaces() {
		if has != nil && i < len(has.NetworkInterfaces) && has.NetworkInterfaces[i].SecurityGroup != card.GetSecurityGroup() {
			return true
		}
	}
	return false
}

// alter does to a machine what was changed in its definition since it was made.
func (r *Reconciler) alter(ctx context.Context, wish *novacronv1.VM) error {
	definition := vm.FromProto(wish.GetSpec())
	if err := r.config.Machines.Reshape(ctx, &definition); err != nil {
		return err
	}
	return r.config.Machines.ChangeMedia(ctx, hypervisor.MediaSpec{
		Definition: &definition, Images: r.config.Images(wish), VolumeProject: r.config.VolumeProject, Force: wish.GetForce(),
	})
}

// stop changes the machine after the guest is gone, which may have locked them.
func (r *Reconciler) stop(ctx context.Context, wish *novacronv1.VM) error {
	if err := r.config.Machines.Stop(ctx, wish.GetId(), hypervisor.StopOptions{Force: wish.GetForce()}); err != nil {
		return err
	}
	return r.alter(ctx, wish)
}

// restart restarts the guest, once in the life of the job: recording it may take several attempts.
func (r *Reconciler) restart(ctx context.Context, j *job) error {
	if j.restarted {
		return nil
	}
	err := r.config.Machines.Reboot(ctx, j.step.ID, j.step.VM.GetForce())
	j.restarted = err == nil
	return err
}

// pause makes sure that there is something to pause.
func (r *Reconciler) pause(ctx context.Context, id string) error {
	if err := r.config.Machines.Start(ctx, id); err != nil {
		return err
	}
	return r.config.Machines.Pause(ctx, id)
}

// undo takes back a half-done create, and ends a half-done delete: going on is the only way back from that.
func (r *Reconciler) undo(ctx context.Context, id string) error {
	err := r.config.Machines.Undo(ctx, id)
	if errors.Is(err, hypervisor.ErrHalfDone) {
		err = r.config.Machines.Delete(ctx, id, hypervisor.DeleteOptions{})
	}
	if errors.Is(err, hypervisor.ErrNotFound) {
		return nil
	}
	return err
}

// remove deletes a machine. What is not ours is not touched: where a foreign domain has taken the id, force forgets ours.
func (r *Reconciler) remove(ctx context.Context, wish *novacronv1.VM) error {
	err := r.config.Machines.Delete(ctx, wish.GetId(), hypervisor.DeleteOptions{Force: wish.GetForce(), Vouched: true})
	switch {
	case errors.Is(err, hypervisor.ErrNotFound), errors.Is(err, hypervisor.ErrForeign) && wish.GetForce():
		return nil
	case errors.Is(err, hypervisor.ErrForeign):
		return fmt.Errorf("%w; delete with force to forget the virtual machine and leave that domain alone", err)
	}
	return err
}

func (r *Reconciler) create(ctx context.Context, j *job) error {
	definition := vm.FromProto(j.step.VM.GetSpec())
	definition.CPU = definition.CPU.PinnedTo(ownCPUs(j.step.VM))
	_, err := r.config.Machines.Create(ctx, hypervisor.CreateSpec{
		Definition: &definition, Owner: r.owner(j.step.VM), Images: r.config.Images(j.step.VM),
		VolumeProject: r.config.VolumeProject,
		Start:         j.step.VM.GetDesiredPower() != novacronv1.PowerState_POWER_STATE_STOPPED,
		Progress:      func(step string) { j.say(step); r.changed() },
	})
	return err
}

// ownCPUs are the host's CPUs that the cluster gave a dedicated machine, by virtual CPU; nil where it gave it none.
func ownCPUs(wish *novacronv1.VM) (own []int) {
	for _, cpu := range wish.GetHostCpus().GetOwn() {
		own = append(own, int(cpu))
	}
	return own
}

func (r *Reconciler) owner(wish *novacronv1.VM) hypervisor.Owner {
	return hypervisor.Owner{ClusterID: r.config.ClusterID, Epoch: wish.GetEpoch(), Generation: wish.GetGeneration()}
}

// acknowledge records that the wish is in force, where the step towards it worked.
func (r *Reconciler) acknowledge(ctx context.Context, wish *novacronv1.VM, err error) error {
	if err != nil {
		return err
	}
	definition := vm.FromProto(wish.GetSpec())
	return r.config.Machines.Adjust(ctx, &definition, r.owner(wish))
}

// finish records the outcome and looks again.
func (r *Reconciler) finish(ctx context.Context, j *job, err error) {
	r.looking <- struct{}{}
	defer func() { <-r.looking }()
	if err == nil && j.step.Kind != Delete {
		r.refresh(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.jobs, j.step.ID)
	switch {
	case err == nil:
		delete(r.failed, j.step.ID)
		if j.step.Kind == Delete {
			r.gone[j.step.ID] = true
			delete(r.machines, j.step.ID)
		}
	case ctx.Err() != nil: // outdated, or the agent ends: not a failure
	case j.step.VM != nil:
		r.config.Logger.Error("a step failed", "step", j.step.Kind, "vm", j.step.ID, "error", err)
		r.failed[j.step.ID] = failure{generation: j.step.VM.GetGeneration(), message: err.Error()}
	}
	r.changed()
	r.poke()
}

// refresh looks at the host before the job is forgotten, so that no report in between shows the state before it.
func (r *Reconciler) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	machines, err := r.config.Machines.Observe(ctx)
	if err != nil {
		return // the next round sees it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(machines)
}
