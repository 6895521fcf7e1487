package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// StateStore keeps what a collector must know after a restart. Save replaces all of it or nothing.
type StateStore interface {
	// Load is nil where nothing was saved yet.
	Load(ctx context.Context) ([]byte, error)
	Save(ctx context.Context, state []byte) error
}

// ledgerVersion is that of the saved form.
const ledgerVersion = 1

// ledgerState is the saved form.
type ledgerState struct {
	Version  int                `json:"version"`
	Accounts map[string]Account `json:"accounts"`
}

// Ledger turns periods into counters and drops gauges that were told already. One collection is a turn: Begin, then
// Count and Tell, then Settle once it is known whether what came of it was stored. A turn that is not settled, as when
// the process dies, leaves no trace: its periods are applied again, from the same state to the same values. It is for
// one goroutine at a time.
type Ledger struct {
	store StateStore
	// keep is how long an account without a period is kept.
	keep time.Duration

	accounts map[string]Account
	told     told
	// The turn's changes.
	turnAccounts map[string]Account
	turnTold     map[string][]Point
}

// OpenLedger loads what was saved. Accounts without a period for longer than keep are forgotten.
func OpenLedger(ctx context.Context, store StateStore, keep time.Duration) (*Ledger, error) {
	l := &Ledger{store: store, keep: keep, accounts: map[string]Account{}, told: newTold()}
	l.Begin()
	data, err := store.Load(ctx)
	if err != nil || data == nil {
		return l, err
	}
	state := ledgerState{}
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("state of counters: %w; remove it to begin at 0, a reset that rate() understands", err)
	}
	if state.Version != ledgerVersion {
		return nil, fmt.Errorf("state of counters has version %d, this program knows %d; upgrade this node", state.Version, ledgerVersion)
	}
	if state.Accounts != nil {
		l.accounts = state.Accounts
	}
	return l, nil
}

// Begin forgets a turn that was not settled.
func (l *Ledger) Begin() {
	l.turnAccounts, l.turnTold = map[string]Account{}, map[string][]Point{}
}

// Count applies a reading to the counter of a key; see Account.Advance.
func (l *Ledger) Count(key string, r Reading) (points []Point, late int) {
	account, begun := l.turnAccounts[key]
	if !begun {
		account = l.accounts[key]
	}
	next, points, late := account.Advance(r)
	l.turnAccounts[key] = next
	return points, late
}

// Total is the value of a counter by the last settled turn; ok is false where it has not begun.
func (l *Ledger) Total(key string) (account Account, ok bool) {
	account, ok = l.accounts[key]
	return account, ok
}

// Tell leaves of a gauge's points those that have not been stored with the same value.
func (l *Ledger) Tell(key string, points []Point) (fresh []Point) {
	for _, p := range points {
		if !l.told.has(key, p) {
			fresh = append(fresh, p)
		}
	}
	l.turnTold[key] = append(l.turnTold[key], fresh...)
	return fresh
}

// Settle ends the turn: what it came to counts where it was stored, and is forgotten where not. now is the time by which
// old accounts and points are dropped.
func (l *Ledger) Settle(ctx context.Context, stored bool, now time.Time) error {
	defer l.Begin()
	if !stored {
		return nil
	}
	next := maps.Clone(l.accounts)
	maps.Copy(next, l.turnAccounts)
	maps.DeleteFunc(next, func(_ string, a Account) bool { return now.Sub(a.Last) > l.keep })
	data, err := json.Marshal(ledgerState{Version: ledgerVersion, Accounts: next})
	if err != nil {
		return fmt.Errorf("state of counters: %w", err)
	}
	if err := l.store.Save(ctx, data); err != nil {
		return err
	}
	l.accounts = next
	l.remember(now)
	return nil
}

func (l *Ledger) remember(now time.Time) {
	oldest := now.Add(-toldFor)
	l.told.forget(oldest)
	for key, points := range l.turnTold {
		if len(points) > 0 {
			l.told.add(key, points, oldest)
		}
	}
}

// SeriesKey names a series by its full set of labels and what the source calls it.
func SeriesKey(name string, labels map[string]string, native string) string {
	var room [16]string
	names := room[:0]
	for label := range labels {
		names = append(names, label)
	}
	slices.Sort(names)
	key := make([]byte, 0, 256)
	key = append(key, name...)
	for _, label := range names {
		key = append(append(append(key, ','), label...), '=')
		key = strconv.AppendQuote(key, labels[label])
	}
	if native != "" {
		key = append(append(key, '|'), native...)
	}
	return string(key)
}
