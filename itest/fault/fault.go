// Package fault holds named fail points: places in the code where a test, or the operator of a test cluster, can make the program fail, hang or die.
package fault

import (
	"context"
	"errors"
	"fmt"
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
)

// Registry knows which points are armed. The nil registry is valid and has none, so code may call Point at no cost.
type Registry struct {
	mu    sync.Mutex
	armed map[string]arming
	hits  map[string]int
	// die ends the process; a test of this package replaces it.
	die func()
}

type arming struct {
	action Action
	// hit is the passage that triggers it, counted from 1; 0 means every passage.
	hit int
}

// New returns a registry with no point armed.
func New() *Registry {
	return &Registry{armed: map[string]arming{}, hits: map[string]int{}, die: killSelf}
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

// Point marks a place that may fail. It returns nil unless point is armed.
func (r *Registry) Point(ctx context.Context, point string) error {
	if r == nil {
		return nil
	}
	switch r.pass(point) {
	case Error:
		return fmt.Errorf("%w at %s", ErrInjected, point)
	case Exit:
		r.die()
	case Hang:
		<-ctx.Done()
		return fmt.Errorf("hung at %s: %w", point, ctx.Err())
	}
	return nil
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
