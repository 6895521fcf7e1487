// Package forward sends what an engine stores on to other stores by Prometheus's remote write, from a queue on disk for each.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options make a Set.
type Options struct {
	// Dir is the folder of the queues.
	Dir    string
	Limits Limits
	// Describe tells what is known of a metric; nil knows nothing.
	Describe func(metric string) Description
	// Clock is the clock; nil means time.Now.
	Clock func() time.Time
	// Logger is told what an operator should know; nil means slog.Default().
	Logger *slog.Logger
}

// Set forwards to any number of targets. What Stored was given before it returned is in the queue of each target that
// wants it, and survives a kill of the process; a crash of the machine costs at most Limits.Sync of it. It is sent once,
// but for what was under way at a crash, which is sent again. Its methods may be called at the same time.
type Set struct {
	options Options
	closing chan struct{}
	// watched is closed when there is nothing more to watch.
	watched  chan struct{}
	watching sync.WaitGroup
	active   atomic.Bool

	// configuring is held while targets change.
	configuring sync.Mutex
	// strays are folders of which nobody knows whose samples they have.
	strays []string

	mu       sync.RWMutex
	forwards map[string]*forward
	closed   bool
}

// forward is one target at work.
type forward struct {
	// target is as it was given.
	target Target
	// problem is why it cannot be gone by, where its queue goes on by the one before.
	problem string
	// kept is set once the target is remembered for the next start.
	kept bool
	// queue is nil where it cannot be opened.
	queue *queue
	told  *telling
	stop  context.CancelFunc
	done  chan struct{}
}

// Open goes on queueing for the targets that the folder has. They are sent to once Configure tells of them.
func Open(options Options) (*Set, error) {
	options.Limits = options.Limits.withDefaults()
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	s := &Set{options: options, closing: make(chan struct{}), watched: make(chan struct{}), forwards: map[string]*forward{}}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the queues: %w", err)
	}
	entries, err := os.ReadDir(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("listing the queues: %w", err)
	}
	for _, entry := range entries {
		switch {
		case !entry.IsDir():
		case isFolder(entry.Name()):
			s.resume(entry.Name())
		case isGone(entry.Name()):
			s.sweep(entry.Name())
		}
	}
	s.active.Store(len(s.forwards) > 0)
	s.watching.Go(func() { newWatch(options.Logger, options.Clock).run(s.Statuses, s.watched) })
	return s, nil
}

// resume opens the queue of a target that was there before.
func (s *Set) resume(name string) {
	k, err := s.recall(name)
	if errors.Is(err, errNobodys) {
		s.strays = append(s.strays, name)
	}
	if err != nil {
		s.options.Logger.Warn("a queue is not gone on with before its target is told again", "forward", name, "error", err)
		return
	}
	f := s.open(Target{Name: name, ID: k.ID, Match: k.Match, QueueBytes: k.QueueBytes}.withDefaults())
	f.kept = true
	s.forwards[name] = f
}

// begin opens the queue of a target that was told, and that had none.
func (s *Set) begin(target Target) *forward {
	if err := s.claim(target); err != nil {
		f := &forward{target: target, told: newTelling()}
		s.failed(f, err)
		return f
	}
	return s.open(target)
}

// open opens the queue of a target. Where that fails the forward tells why.
func (s *Set) open(target Target) *forward {
	f := &forward{target: target, told: newTelling()}
	match, err := target.check()
	if err == nil {
		f.queue, err = openQueue(s.queueConfig(target), match)
	}
	if err != nil {
		f.queue = nil
		s.failed(f, err)
	}
	return f
}

func (s *Set) failed(f *forward, err error) {
	f.told.failed(err, s.options.Clock())
	s.options.Logger.Error("samples are not forwarded", "forward", f.target.Name, "error", err)
}

func (s *Set) queueConfig(target Target) queueConfig {
	return queueConfig{dir: s.dir(target.Name), max: target.QueueBytes, sync: s.options.Limits.Sync, now: s.options.Clock}
}

// Configure says what all the targets are. Queues of others are deleted; a target that has changed goes on with its queue.
func (s *Set) Configure(targets []Target) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	wanted := map[string]Target{}
	for _, one := range targets {
		wanted[one.Name] = one.withDefaults()
	}
	for name, f := range s.list() {
		if want, is := wanted[name]; !is || want.ID != f.target.ID {
			s.end(f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		s.want(wanted[name])
	}
	s.clear(wanted)
	s.active.Store(len(s.list()) > 0)
}

func (s *Set) list() map[string]*forward {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.forwards)
}

// end stops a forward and deletes its queue.
func (s *Set) end(f *forward) {
	f.halt()
	s.mu.Lock()
	delete(s.forwards, f.target.Name)
	s.mu.Unlock()
	var err error
	if f.queue != nil {
		err = f.queue.close()
	}
	if err = errors.Join(err, s.disown(f.target.Name)); err != nil {
		s.options.Logger.Warn("the queue of a forward that has ended could not be deleted", "forward", f.target.Name, "error", err)
	}
}

// want brings one forward in line with its target.
func (s *Set) want(target Target) {
	f := s.list()[target.Name]
	if f != nil && f.queue != nil && f.done != nil && f.target.same(target) {
		s.remember(f)
		return
	}
	if f == nil || f.queue == nil {
		f = s.begin(target)
	} else {
		f.halt()
		f = change(f, target)
	}
	s.remember(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.forwards[target.Name] = f
	s.active.Store(true)
	if f.queue != nil {
		s.start(f)
	}
}

// change gives a forward a new target. One that cannot be read, as of a later release, changes nothing of what is queued.
func change(f *forward, target Target) *forward {
	next := &forward{target: target, queue: f.queue, told: f.told}
	match, err := target.check()
	if err != nil {
		next.problem = err.Error()
	} else {
		f.queue.setMatch(match)
	}
	f.queue.setMax(target.QueueBytes)
	return next
}

// start sends what the queue of a forward holds; the caller holds mu.
func (s *Set) start(f *forward) {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.done = cancel, make(chan struct{})
	target := f.target
	if f.problem != "" {
		target.Problem = f.problem
	}
	go func() {
		defer close(f.done)
		newSender(target, f.queue, s, f.told, s.closing).run(ctx)
	}()
}

// halt stops sending. What was under way is sent again by whoever goes on.
func (f *forward) halt() {
	if f.done == nil {
		return
	}
	f.stop()
	<-f.done
}

// Active tells whether there is a target, so that nobody prepares what nobody wants.
func (s *Set) Active() bool { return s != nil && s.active.Load() }

// Stored queues what an engine has stored. It waits for no target; what cannot be queued is counted.
func (s *Set) Stored(stored Stored) {
	for _, f := range s.list() { // nobody waits for mu while a disk is slow
		if f.queue != nil {
			f.queue.append(stored)
		}
	}
}

// Statuses tell how the forwards go, by name.
func (s *Set) Statuses() (all []Status) {
	forwards := s.list()
	for _, name := range slices.Sorted(maps.Keys(forwards)) {
		f := forwards[name]
		var q queueState
		if f.queue != nil {
			q = f.queue.state()
		}
		one := f.told.describe(q, s.options.Clock())
		one.Name, one.ID, one.Generation = name, f.target.ID, f.target.Generation
		all = append(all, one)
	}
	return all
}

// Close sends what is queued for as long as Limits.Flush and the context allow, and keeps the rest for the next Open.
func (s *Set) Close(ctx context.Context) error {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.options.Limits.Flush)
	defer cancel()
	var errs []error
	for _, f := range s.list() {
		if f.done != nil {
			select {
			case <-f.done:
			case <-ctx.Done():
				f.halt()
			}
		}
		if f.queue != nil {
			errs = append(errs, f.queue.close())
		}
	}
	close(s.watched)
	s.watching.Wait()
	return errors.Join(errs...)
}
