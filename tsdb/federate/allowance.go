package federate

import "sync"

// Bounds of the requests beside the first ones.
const (
	// extraShare is how many a first request allows: one of ten.
	extraShare = 0.1
	// extraSaved is how many can be saved up, and are there at the beginning.
	extraSaved = 64
)

// allowance bounds the second requests of all queries of a fleet together, so that hosts that are slow or failing do not
// get twice the work for it. Nil allows all.
type allowance struct {
	mu    sync.Mutex
	spent float64
}

// earn notes a first request.
func (a *allowance) earn() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent = max(0, a.spent-extraShare)
}

// take tells whether a second request may be made.
func (a *allowance) take() bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spent+1 > extraSaved {
		return false
	}
	a.spent++
	return true
}
