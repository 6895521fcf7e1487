package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// VolumeMaker is what the keeper of volumes needs of the hypervisor manager.
type VolumeMaker interface {
	EnsureVolume(ctx context.Context, order hypervisor.VolumeOrder) (hypervisor.VolumeInfo, error)
	RemoveVolume(ctx context.Context, id, pool, format string) error
}

// VolumesConfig is what a keeper of volumes needs to work.
type VolumesConfig struct {
	Maker VolumeMaker
	// Content fetches the bytes that a volume is filled with.
	Content func(ctx context.Context, volume *novacronv1.Volume) (hypervisor.ImageFile, error)
	// Changed, when set, is called without delay when there is something new to report. It must not block.
	Changed func()
	Logger  *slog.Logger
}

// parallelVolumes is how many volumes are worked on at once.
const parallelVolumes = 4

// Volumes brings the volumes of this host that stand alone to what the cluster wants of them. A volume that the cluster
// does not know is left alone: forgetting is no order. Its methods are safe for concurrent use.
type Volumes struct {
	config VolumesConfig
	slots  chan struct{}
	wake   chan struct{}

	mu       sync.Mutex
	revision uint64
	known    bool
	desired  map[string]*novacronv1.Volume
	seen     map[string]*agentv1.VolumeObservation
	jobs     map[string]*volumeJob
	running  sync.WaitGroup
}

type volumeJob struct {
	volume *novacronv1.Volume
	cancel context.CancelFunc
}

// NewVolumes returns a keeper that waits for its first desired set.
func NewVolumes(config VolumesConfig) *Volumes {
	return &Volumes{
		config: config, slots: make(chan struct{}, parallelVolumes), wake: make(chan struct{}, 1),
		desired: map[string]*novacronv1.Volume{}, seen: map[string]*agentv1.VolumeObservation{}, jobs: map[string]*volumeJob{},
	}
}

// SetDesired takes a desired set. One that is older than what is known is ignored.
func (v *Volumes) SetDesired(revision uint64, volumes []*novacronv1.Volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known && revision < v.revision {
		return
	}
	v.revision, v.known = revision, true
	v.desired = make(map[string]*novacronv1.Volume, len(volumes))
	for _, volume := range volumes {
		v.desired[volume.GetId()] = volume
	}
	for id := range v.seen {
		if v.desired[id] == nil {
			delete(v.seen, id)
		}
	}
	for id, job := range v.jobs {
		if wish := v.desired[id]; wish == nil || wish.GetGeneration() != job.volume.GetGeneration() {
			job.cancel()
		}
	}
	v.poke()
}

func (v *Volumes) poke() {
	select {
	case v.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Wants tells whether the newest desired set has a volume.
func (v *Volumes) Wants(id string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.known {
		return false, ErrUninformed
	}
	return v.desired[id] != nil || v.jobs[id] != nil, nil
}

// Project tells whose a volume of this host is, if the cluster wants it here.
func (v *Volumes) Project(id string) (project string, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	volume := v.desired[id]
	return volume.GetSpec().GetProject(), volume != nil
}

// Run works at every new desired set until the context ends.
func (v *Volumes) Run(ctx context.Context) error {
	defer v.running.Wait()
	for {
		v.startAll(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.wake:
		}
	}
}

func (v *Volumes) startAll(ctx context.Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, volume := range v.desired {
		if v.jobs[id] == nil && v.due(volume) {
			v.start(ctx, volume)
		}
	}
}

// due tells whether there is something to do: this life has not seen the wish fulfilled, and no life has seen it fail.
func (v *Volumes) due(volume *novacronv1.Volume) bool {
	seen := v.seen[volume.GetId()]
	if seen.GetGone() || seen != nil && seen.GetStatus().GetObservedGeneration() >= volume.GetGeneration() {
		return false
	}
	status := volume.GetStatus()
	return volume.GetDeleteTime() != nil || status.GetState() != novacronv1.VolumeState_VOLUME_STATE_FAILED ||
		status.GetObservedGeneration() < volume.GetGeneration()
}

// start begins the work on a volume. The lock is held.
func (v *Volumes) start(ctx context.Context, volume *novacronv1.Volume) {
	ctx, cancel := context.WithCancel(ctx)
	v.jobs[volume.GetId()] = &volumeJob{volume: volume, cancel: cancel}
	v.running.Go(func() {
		defer cancel()
		observation := v.work(ctx, volume)
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.jobs, volume.GetId())
		if observation != nil && v.desired[volume.GetId()] != nil {
			v.seen[volume.GetId()] = observation
			v.changed()
		}
		v.poke()
	})
}

func (v *Volumes) changed() {
	if v.config.Changed != nil {
		v.config.Changed()
	}
}

// work takes the step, again and again while it may work later. Nil means that it was interrupted.
func (v *Volumes) work(ctx context.Context, volume *novacronv1.Volume) *agentv1.VolumeObservation {
	for pause := retryBase; ; pause = min(2*pause, retryMax) {
		observation, err := v.take(ctx, volume)
		switch {
		case err == nil:
			return observation
		case ctx.Err() != nil:
			return nil
		case !transient(err) && !errors.Is(err, hypervisor.ErrInUse) && volume.GetDeleteTime() == nil:
			v.config.Logger.Error("a volume cannot be made", "volume", volume.GetId(), "error", err)
			return observed(volume, novacronv1.VolumeState_VOLUME_STATE_FAILED, err.Error(), volume.GetGeneration())
		}
		v.config.Logger.Warn("a step of a volume failed and is taken again", "volume", volume.GetId(), "error", err, "pause", pause)
		v.trouble(volume, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// trouble reports what keeps a volume from what is wanted, without calling it an end.
func (v *Volumes) trouble(volume *novacronv1.Volume, err error) {
	state := volume.GetStatus().GetState()
	if volume.GetDeleteTime() != nil {
		state = novacronv1.VolumeState_VOLUME_STATE_DELETING
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[volume.GetId()] = observed(volume, state, err.Error()+"; it is tried again", volume.GetGeneration()-1)
	v.changed()
}

func observed(volume *novacronv1.Volume, state novacronv1.VolumeState, message string, generation uint64) *agentv1.VolumeObservation {
	status := volume.GetStatus()
	return &agentv1.VolumeObservation{VolumeId: volume.GetId(), Status: &novacronv1.VolumeStatus{
		State: state, Message: message, ObservedGeneration: generation, Path: status.GetPath(),
		CapacityBytes: status.GetCapacityBytes(), AllocationBytes: status.GetAllocationBytes(),
	}}
}

// take does the work once, when there is a free slot.
func (v *Volumes) take(ctx context.Context, volume *novacronv1.Volume) (*agentv1.VolumeObservation, error) {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	spec := volume.GetSpec()
	if volume.GetDeleteTime() != nil {
		if err := v.config.Maker.RemoveVolume(ctx, volume.GetId(), spec.GetPool(), spec.GetFormat()); err != nil {
			return nil, err
		}
		return &agentv1.VolumeObservation{VolumeId: volume.GetId(), Gone: true, Status: &novacronv1.VolumeStatus{
			State: novacronv1.VolumeState_VOLUME_STATE_DELETING, ObservedGeneration: volume.GetGeneration(),
		}}, nil
	}
	info, err := v.config.Maker.EnsureVolume(ctx, v.order(volume))
	if err != nil {
		return nil, err
	}
	done := observed(volume, novacronv1.VolumeState_VOLUME_STATE_READY, "", volume.GetGeneration())
	done.Status.Path, done.Status.CapacityBytes, done.Status.AllocationBytes = info.Path, info.CapacityBytes, info.AllocationBytes
	return done, nil
}

func (v *Volumes) order(volume *novacronv1.Volume) hypervisor.VolumeOrder {
	spec := volume.GetSpec()
	order := hypervisor.VolumeOrder{
		ID: volume.GetId(), Pool: spec.GetPool(), Format: spec.GetFormat(), SizeBytes: spec.GetSizeBytes(),
		Made: volume.GetStatus().GetPath() != "" || v.made(volume.GetId()),
	}
	switch source := spec.GetSource(); {
	case source.GetSha256() != "":
		order.Content = func(ctx context.Context) (hypervisor.ImageFile, error) { return v.config.Content(ctx, volume) }
	case source.GetVolume() != "":
		order.Source = hypervisor.VolumeRef{Pool: source.GetPool(), Name: hypervisor.StandaloneName(source.GetVolume(), source.GetFormat())}
		order.SourceFormat, order.Linked = source.GetFormat(), source.GetLinked()
	}
	return order
}

// made tells whether this life has seen the volume complete.
func (v *Volumes) made(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[id].GetStatus().GetPath() != ""
}

// Observations are what to report of the desired volumes.
func (v *Volumes) Observations() []*agentv1.VolumeObservation {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []*agentv1.VolumeObservation
	for id := range v.desired {
		if seen := v.seen[id]; seen != nil {
			all = append(all, proto.CloneOf(seen))
		}
	}
	return all
}
