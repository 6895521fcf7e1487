package reconcile

import "errors"

// ErrUninformed is a host that has not heard from the cluster yet, and so knows nothing of what it shall hold.
var ErrUninformed = errors.New("this host has not heard from the cluster yet")

// Wants tells whether the newest desired set has a virtual machine.
func (r *Reconciler) Wants(id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return false, ErrUninformed
	}
	return r.desired[id] != nil || r.jobs[id] != nil, nil
}
