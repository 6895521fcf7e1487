package loop

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

const (
	// DownAfter is how long a host may be silent: three reports.
	DownAfter     = 15 * time.Second
	livenessCheck = time.Second
)

// Liveness marks hosts that fell silent. A new leader has heard from nobody yet, so it counts silence from when it began
// to lead.
type Liveness struct {
	Store  *state.Store
	Log    Proposer
	Now    func() time.Time
	Logger *slog.Logger

	mu    sync.Mutex
	beats map[string]time.Time
}

// Beat takes note that a host was heard from.
func (l *Liveness) Beat(hostID string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.beats == nil {
		l.beats = map[string]time.Time{}
	}
	l.beats[hostID] = at
}

// Loop looks once a second.
func (l *Liveness) Loop() Loop {
	return Loop{Name: "liveness", Run: func(ctx context.Context) error {
		began := l.Now()
		return every(ctx, livenessCheck, func(ctx context.Context) error { return l.check(ctx, began) })
	}}
}

func (l *Liveness) check(ctx context.Context, began time.Time) error {
	now := l.Now()
	for id, host := range l.Store.View().Hosts("") {
		silence := now.Sub(l.lastBeat(id, began))
		if host.GetState() != novacronv1.HostState_HOST_STATE_UP || silence <= DownAfter {
			continue
		}
		l.Logger.Warn("a host fell silent", "host", host.GetName(), "for", silence.Round(time.Second))
		if err := commit(ctx, l.Log, "loop/liveness", now, func(c *statev1.Command) {
			c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: id, State: novacronv1.HostState_HOST_STATE_DOWN}}
		}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Liveness) lastBeat(hostID string, began time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if beat := l.beats[hostID]; beat.After(began) {
		return beat
	}
	return began
}
