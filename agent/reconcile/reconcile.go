package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Machines is what the executor needs of the hypervisor manager.
type Machines interface {
	Create(ctx context.Context, spec hypervisor.CreateSpec) (string, error)
	Delete(ctx context.Context, id string, opts hypervisor.DeleteOptions) error
	Start(ctx context.Context, id string) error
	Stop(ctx context.Context, id string, opts hypervisor.StopOptions) error
	Adopt(ctx context.Context, definition *hypervisor.VMDefinition, owner hypervisor.Owner) error
	Pause(ctx context.Context, id string) error
	Reboot(ctx context.Context, id string, hard bool) error
	ChangeMedia(ctx context.Context, spec hypervisor.MediaSpec) error
	Reshape(ctx context.Context, definition *hypervisor.VMDefinition) error
	Adjust(ctx context.Context, definition *hypervisor.VMDefinition, owner hypervisor.Owner) error
	Undo(ctx context.Context, id string) error
	Observe(ctx context.Context) ([]hypervisor.Observed, error)
	Pending(ctx context.Context) ([]hypervisor.JournalEntry, error)
	Subscribe(ctx context.Context) (<-chan hypervisor.Event, error)
}

// Config is what a Reconciler needs to work.
type Config struct {
	Machines  Machines
	ClusterID string
	// Images gives the source of the images that a machine was bound to.
	Images func(vm *novacronv1.VM) hypervisor.ImageSource
	// VolumeProject tells the project of a volume that stands alone, by its id; nil knows none.
	VolumeProject func(id string) (project string, known bool)
	// Prepare, when set, is called before a machine is made or started.
	Prepare func(ctx context.Context, vm *novacronv1.VM) error
	// Changed, when set, is called without delay when there is something new to report. It must not block.
	Changed func()
	// HostBooted says that the host has restarted since its machines were last in order. BootSettled, when set, is told
	// once those that shall be started by themselves have been.
	HostBooted  bool
	BootSettled func()
	// Parallel is how many machines are worked on at once; 0 means 8.
	Parallel int
	Logger   *slog.Logger
}

const (
	defaultParallel = 8
	// resync is how often the host is compared without an occasion: events can be late, or lost.
	resync = 10 * time.Second
	// observeTimeout bounds one look at the host.
	observeTimeout = 30 * time.Second
	// retryBase and retryMax space the attempts of a step that may work later.
	retryBase = time.Second
	retryMax  = time.Minute
	// eventConnected is the kind of event that tells of a hypervisor that is there again.
	eventConnected = "connected"
)

// Reconciler works towards the newest desired set. Its methods are safe for concurrent use.
type Reconciler struct {
	config Config
	slots  chan struct{}
	wake   chan struct{}
	// looking is held from a look at the host until it was acted upon, and by a step that ends: what a look shows of a
	// machine must not be older than the end of the step before.
	looking chan struct{}
	// back is closed, and made anew, when the hypervisor is there again.
	back chan struct{}

	mu       sync.Mutex
	revision uint64
	known    bool // a desired set has been received
	desired  map[string]*novacronv1.VM
	machines map[string]hypervisor.Observed
	jobs     map[string]*job
	failed   map[string]failure
	gone     map[string]bool
	orphans  map[string]bool
	running  sync.WaitGroup

	revivals map[string]revival
	// booted are the machines that the host's restart stopped and that do not run again yet.
	booted                map[string]bool
	bootSeen, bootSettled bool
}

// failure is a generation that cannot work, and why.
type failure struct {
	generation uint64
	message    string
}

// New returns a reconciler that waits for its first desired set.
func New(config Config) *Reconciler {
	if config.Parallel == 0 {
		config.Parallel = defaultParallel
	}
	return &Reconciler{
		config: config, slots: make(chan struct{}, config.Parallel), wake: make(chan struct{}, 1),
		looking: make(chan struct{}, 1), back: make(chan struct{}),
		desired: map[string]*novacronv1.VM{}, machines: map[string]hypervisor.Observed{}, jobs: map[string]*job{},
		failed: map[string]failure{}, gone: map[string]bool{}, orphans: map[string]bool{},
		revivals: map[string]revival{}, booted: map[string]bool{},
	}
}

// SetDesired takes a desired set. One that is older than what is known is ignored: it came from a controller that lags.
func (r *Reconciler) SetDesired(revision uint64, vms []*novacronv1.VM) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known && revision < r.revision {
		return
	}
	r.revision, r.known = revision, true
	r.desired = make(map[string]*novacronv1.VM, len(vms))
	for _, vm := range vms {
		r.desired[vm.GetId()] = vm
	}
	for id, job := range r.jobs {
		if job.outdatedBy(r.desired[id]) {
			job.cancel()
		}
	}
	r.forget()
	r.poke()
}

// forget drops what is remembered of machines that are no longer desired.
func (r *Reconciler) forget() {
	for id := range r.failed {
		if r.desired[id] == nil {
			delete(r.failed, id)
		}
	}
	for id := range r.gone {
		if wish := r.desired[id]; wish == nil || wish.GetDeleteTime() == nil { // it may come back, after it was elsewhere
			delete(r.gone, id)
		}
	}
}

func (r *Reconciler) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (r *Reconciler) changed() {
	if r.config.Changed != nil {
		r.config.Changed()
	}
}

// Run reconciles at every new desired set, at every event of the hypervisor and now and then, until the context ends.
// Steps under way are then interrupted; what they leave is continued by the next run.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.running.Wait()
	events, err := r.config.Machines.Subscribe(ctx)
	if err != nil {
		r.config.Logger.Warn("no events from the hypervisor; changes are seen later", "error", err)
	}
	ticker := time.NewTicker(resync)
	defer ticker.Stop()
	for {
		r.once(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-r.wake:
		case event, open := <-events:
			if !open {
				events = nil
			}
			if event.Kind == eventConnected {
				r.hypervisorIsBack()
			}
		}
	}
}

// hypervisorIsBack has steps that wait to be taken again go on.
func (r *Reconciler) hypervisorIsBack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.back)
	r.back = make(chan struct{})
}

// comeback is closed when the hypervisor is there again the next time.
func (r *Reconciler) comeback() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.back
}

// once compares and starts what is to be done.
func (r *Reconciler) once(ctx context.Context) {
	r.looking <- struct{}{}
	defer func() { <-r.looking }()
	actual, err := r.observe(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.config.Logger.Warn("the host cannot be observed; tried again", "error", err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(actual.Machines)
	if !r.known {
		return // without a word from the cluster nothing is done to anything
	}
	now := time.Now()
	r.markBooted()
	r.settleBooted()
	actual.Failed, actual.Gone, actual.Booted, actual.Resting = map[string]uint64{}, r.gone, r.booted, r.resting(now)
	for id, failure := range r.failed {
		actual.Failed[id] = failure.generation
	}
	desired := make([]*novacronv1.VM, 0, len(r.desired))
	for _, vm := range r.desired {
		desired = append(desired, vm)
	}
	for _, step := range Diff(desired, actual) {
		r.noteRevival(step, now)
		r.start(ctx, step)
	}
	r.tellOrphans(actual.Machines)
}

func (r *Reconciler) observe(ctx context.Context) (Actual, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	entries, err := r.config.Machines.Pending(ctx)
	if err != nil {
		return Actual{}, err
	}
	machines, err := r.config.Machines.Observe(ctx)
	actual := Actual{Machines: machines}
	for _, entry := range entries {
		actual.HalfDone = append(actual.HalfDone, entry.ID)
	}
	return actual, err
}

// remember keeps the newest observation, and tells when it differs.
func (r *Reconciler) remember(machines []hypervisor.Observed) {
	next := make(map[string]hypervisor.Observed, len(machines))
	differs := false
	for _, machine := range machines {
		if machine.Ours {
			next[machine.ID] = machine
			differs = differs || r.machines[machine.ID].State != machine.State
		}
	}
	differs = differs || len(next) != len(r.machines)
	r.machines = next
	if differs {
		r.changed()
	}
}

// tellOrphans names this cluster's machines that the cluster does not know, once.
func (r *Reconciler) tellOrphans(machines []hypervisor.Observed) {
	for _, machine := range machines {
		if !machine.Ours || r.desired[machine.ID] != nil || r.orphans[machine.ID] || r.jobs[machine.ID] != nil {
			continue
		}
		r.orphans[machine.ID] = true
		r.config.Logger.Warn("a virtual machine of this cluster is not among those that shall be here; it is left alone", "id", machine.ID, "name", machine.Name)
	}
}

// Observations are what to report of every desired machine that there is something to say about.
func (r *Reconciler) Observations() []*agentv1.VMObservation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var observations []*agentv1.VMObservation
	for id, vm := range r.desired {
		if o := r.observation(id, vm); o != nil {
			o.VmId, o.Epoch = id, vm.GetEpoch()
			observations = append(observations, o)
		}
	}
	return observations
}

func (r *Reconciler) observation(id string, vm *novacronv1.VM) *agentv1.VMObservation {
	job, machine := r.jobs[id], r.machines[id]
	failure, failed := r.failed[id]
	switch {
	case r.gone[id]:
		return &agentv1.VMObservation{Gone: true, ObservedGeneration: vm.GetGeneration()}
	case job != nil && job.step.Kind != Acknowledge:
		return job.observation()
	case failed:
		return &agentv1.VMObservation{Phase: novacronv1.VMPhase_VM_PHASE_FAILED, Message: failure.message, ObservedGeneration: failure.generation}
	case machine.ID == "":
		return nil
	}
	return &agentv1.VMObservation{Phase: phaseOf(machine.State), ObservedGeneration: machine.Owner.Generation}
}

func phaseOf(state hypervisor.State) novacronv1.VMPhase {
	switch state {
	case hypervisor.StateRunning:
		return novacronv1.VMPhase_VM_PHASE_RUNNING
	case hypervisor.StatePaused:
		return novacronv1.VMPhase_VM_PHASE_PAUSED
	case hypervisor.StateStopped, hypervisor.StateCrashed:
		return novacronv1.VMPhase_VM_PHASE_STOPPED
	}
	return novacronv1.VMPhase_VM_PHASE_UNKNOWN
}

// transient tells whether a step that failed like this may work when it is taken again, with the world as it is.
func transient(err error) bool {
	return errors.Is(err, hypervisor.ErrUnavailable) || errors.Is(err, ErrFetch) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, hypervisor.ErrHalfDone)
}
