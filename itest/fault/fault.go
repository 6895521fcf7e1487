// Package fault holds named fail points: places in the code where a test, or the operator of a test cluster, can make the program fail, hang or die.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// ErrInjected is what a point with the action Error returns, wrapped with the name of the point.
var ErrInjected = errors.New("fault injected")

// Action is what happens when a point is reached.
type Action string

// The actions.
const (
	// Error makes the point return ErrInjected.
	Error Action = "error"
	// Exit kills the process at once, as a power cut would: nothing deferred runs.
	Exit Action = "exit"
	// Hang blocks until the context of the call ends, and returns its error.
	Hang Action = "hang"
	// Freeze stops the whole process as SIGSTOP does, until it gets a SIGCONT: time to change the world around it. Points
	// that freeze do so one after the other.
	Freeze Action = "freeze"
)

// subjectKey is the context's key of what the work is about.
type subjectKey struct{}

// On returns a context for work on subject, such as a machine's name: armings of «POINT#SUBJECT» act on that work alone.
func On(ctx context.Context, subject string) context.Context {
	return context.WithValue(ctx, subjectKey{}, subject)
}

func subjectOf(ctx context.Context) string {
	subject, _ := ctx.Value(subjectKey{}).(string)
	return subject
}

// Announcement begins the line on standard error that tells of a death or a freeze; «POINT[#SUBJECT]=ACTION» follows.
const Announcement = "fault injected: "

// Registry knows which points are armed. The nil registry is valid and has none, so code may call Point at no cost.
type Registry struct {
	mu    sync.Mutex
	armed map[string]arming
	hits  map[string]int
	// die ends the process and freeze stops it, told to out; tests of this package replace them.
	die, freeze func()
	out         io.Writer
	// cold is held while the process is frozen.
	cold sync.Mutex
}

type arming struct {
	action Action
	// hit is the passage that triggers it, counted from 1; 0 means every passage.
	hit int
}

// New returns a registry with no point armed.
func New() *Registry {
	return &Registry{armed: map[string]arming{}, hits: map[string]int{}, die: killSelf, freeze: stopSelf, out: os.Stderr}
}

// Arm makes point act at every passage.
func (r *Registry) Arm(point string, action Action) { r.ArmAt(point, action, 0) }

// ArmAt makes point act at its hit-th passage alone, counted from 1; 0 means at every one.
func (r *Registry) ArmAt(point string, action Action, hit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed[point] = arming{action, hit}
	r.hits[point] = 0
}

// Disarm makes point harmless again.
func (r *Registry) Disarm(point string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.armed, point)
}

// Hits tells how often an armed point was passed.
func (r *Registry) Hits(point string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hits[point]
}

// Point marks a place that may fail. It returns nil unless point is armed, for everything or for the context's subject.
func (r *Registry) Point(ctx context.Context, point string) error {
	if r == nil {
		return nil
	}
	if subject := subjectOf(ctx); subject != "" {
		if err := r.act(ctx, point+"#"+subject); err != nil {
			return err
		}
	}
	return r.act(ctx, point)
}

func (r *Registry) act(ctx context.Context, point string) error {
	switch action := r.pass(point); action {
	case Error:
		return fmt.Errorf("%w at %s", ErrInjected, point)
	case Exit:
		r.announce(point, action)
		r.die()
	case Freeze:
		r.cold.Lock()
		defer r.cold.Unlock()
		r.announce(point, action)
		r.freeze()
	case Hang:
		<-ctx.Done()
		return fmt.Errorf("hung at %s: %w", point, ctx.Err())
	}
	return nil
}

func (r *Registry) announce(point string, action Action) {
	fmt.Fprintf(r.out, "%s%s=%s\n", Announcement, point, action)
}

// pass counts a passage and returns the action that is due, if any.
func (r *Registry) pass(point string) Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.armed[point]
	if !ok {
		return ""
	}
	r.hits[point]++
	if a.hit != 0 && a.hit != r.hits[point] {
		return ""
	}
	return a.action
}

// killSelf ends the process without running anything more of it.
func killSelf() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// stopSelf stops the process before it returns: the signal goes to the calling thread, which takes all others with it.
func stopSelf() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}
