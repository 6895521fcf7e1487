package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// Access is how one collector comes to the APIs that it calls: at the paces that all collectors of the process share, and
// not before a time that an API has told, also when the process has died in between. It is safe for concurrent use.
type Access struct {
	paces *Paces
	store collect.StateStore

	mu    sync.Mutex
	calls map[apiKey]bool
	kept  []collect.Pause
	// unkept is why the last pause could not be saved.
	unkept error
}

type apiKey struct{ account, api string }

// pausesVersion is that of the saved form.
const pausesVersion = 1

// pausesState is the saved form.
type pausesState struct {
	Version int `json:"version"`
	// At is when it was saved, by the clock that the times are by.
	At     time.Time       `json:"at"`
	Pauses []collect.Pause `json:"pauses"`
}

// OpenAccess closes what was closed when the process died, and what another collector of the source was told.
func OpenAccess(ctx context.Context, store collect.StateStore, paces *Paces, told []collect.Pause) (*Access, error) {
	a := &Access{paces: paces, store: store, calls: map[apiKey]bool{}}
	data, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	state := pausesState{Version: pausesVersion}
	if data != nil {
		if err := json.Unmarshal(data, &state); err != nil {
			return nil, fmt.Errorf("state of pauses: %w; remove it to call the APIs at once", err)
		}
	}
	if state.Version != pausesVersion {
		return nil, fmt.Errorf("state of pauses has version %d, this program knows %d; upgrade this node", state.Version, pausesVersion)
	}
	a.kept = state.Pauses
	now := time.Now()
	for _, p := range state.Pauses {
		if now.Before(state.At) { // the clock was set back: what is left of the pause is what counts
			p.Until = p.Until.Add(now.Sub(state.At))
		}
		a.close(p)
	}
	for _, p := range told {
		a.close(p)
	}
	return a, nil
}

func (a *Access) close(p collect.Pause) {
	a.paces.close(p)
	a.calls[apiKey{p.Account, p.API}] = true
}

// To is the door to an account's API, with the rate in calls a second and how many may be made at once.
func (a *Access) To(account, api string, perSecond float64, burst int) Door {
	pace := a.paces.For(account, api, perSecond, burst)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[apiKey{account, api}] = true
	return Door{pace, a}
}

// Pauses are the APIs of this collector that are closed now.
func (a *Access) Pauses() []collect.Pause {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pauses()
}

func (a *Access) pauses() (closed []collect.Pause) {
	now := time.Now()
	for key := range a.calls {
		if until := a.paces.closedUntil(key); until.After(now) {
			closed = append(closed, collect.Pause{Account: key.account, API: key.api, Until: until.Round(0).UTC()})
		}
	}
	slices.SortFunc(closed, func(x, y collect.Pause) int {
		return cmp.Or(cmp.Compare(x.Account, y.Account), cmp.Compare(x.API, y.API))
	})
	return closed
}

// keep saves what is closed where that has changed. What is not closed any more is dropped with the next change.
func (a *Access) keep(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	closed := a.pauses()
	if slices.Equal(closed, a.kept) || len(closed) == 0 && a.unkept == nil {
		return nil
	}
	data, err := json.Marshal(pausesState{Version: pausesVersion, At: time.Now().UTC(), Pauses: closed})
	if err == nil {
		err = a.store.Save(ctx, data)
	}
	if a.unkept = err; err != nil {
		return fmt.Errorf("state of pauses: %w", err)
	}
	a.kept = closed
	return nil
}

// Settle saves what other collectors of the process were told of the same APIs, and what could not be saved before.
func (a *Access) Settle(ctx context.Context) error { return a.keep(ctx) }

// Door is where the calls of one API pass.
type Door struct {
	*Pace
	access *Access
}

// Close lets no call through before a time, and keeps that: see Pace.Close. Where it cannot be kept, Settle tries again and
// says so.
func (d Door) Close(ctx context.Context, until time.Time) {
	d.Pace.Close(until)
	_ = d.access.keep(context.WithoutCancel(ctx)) // Settle says
}
