package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	// guestTick is how often machines are looked at. One whose agent has not answered yet is asked more and more rarely, at
	// least every guestRest; one that has is asked every guestRest.
	guestTick = 5 * time.Second
	guestRest = time.Minute
	// guestPatience bounds one question: an agent may hang as a guest can.
	guestPatience = 5 * time.Second
	// guestsAtOnce are asked at the same time.
	guestsAtOnce = 4
	// Limits of what a guest, which nobody has to trust, can put into the cluster's state.
	maxGuestText       = 128
	maxGuestCards      = 16
	maxGuestsAddresses = 16
)

// guestMachines is what a guestWatch needs of the hypervisor manager.
type guestMachines interface {
	Observe(ctx context.Context) ([]hypervisor.Observed, error)
	Guest(ctx context.Context, id string) (hypervisor.GuestInfo, error)
}

// guestWatch knows what the agents in this host's guests told last.
type guestWatch struct {
	machines guestMachines
	changed  func()
	logger   *slog.Logger

	mu    sync.Mutex
	known map[string]knownGuest
}

type knownGuest struct {
	info  *novacronv1.GuestInfo
	next  time.Time
	pause time.Duration
}

func newGuestWatch(machines guestMachines, changed func(), logger *slog.Logger) *guestWatch {
	return &guestWatch{machines: machines, changed: changed, logger: logger, known: map[string]knownGuest{}}
}

// run asks until the context ends.
func (w *guestWatch) run(ctx context.Context) {
	tick := time.NewTicker(guestTick)
	defer tick.Stop()
	for {
		w.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once asks every running machine that it is time for.
func (w *guestWatch) once(ctx context.Context) {
	machines, err := w.machines.Observe(ctx)
	if err != nil && len(machines) == 0 {
		return // the host is away: it is asked again
	}
	slots := make(chan struct{}, guestsAtOnce)
	var asking sync.WaitGroup
	running := map[string]bool{}
	for _, m := range machines {
		if !m.Ours || m.State != hypervisor.StateRunning {
			continue
		}
		running[m.ID] = true
		if w.due(m.ID) {
			asking.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				w.ask(ctx, m.ID)
			})
		}
	}
	asking.Wait()
	w.forget(func(id string) bool { return !running[id] })
}

func (w *guestWatch) due(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !time.Now().Before(w.known[id].next)
}

func (w *guestWatch) ask(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	told, err := w.machines.Guest(ctx, id)
	if err != nil {
		w.logger.Debug("a guest does not answer", "vm", id, "error", err)
		told = hypervisor.GuestInfo{}
	}
	if w.remember(id, guestInfo(told)) {
		w.changed()
	}
}

// remember tells whether a guest says something new.
func (w *guestWatch) remember(id string, info *novacronv1.GuestInfo) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.known[id]
	pause := guestRest
	if info == nil {
		pause = min(max(2*before.pause, guestTick), guestRest)
	}
	w.known[id] = knownGuest{info: info, next: time.Now().Add(pause), pause: pause}
	return !proto.Equal(before.info, info)
}

// again has a guest asked soon: it has begun anew.
func (w *guestWatch) again(id string) { w.forget(func(known string) bool { return known == id }) }

func (w *guestWatch) forget(gone func(id string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.known {
		if gone(id) {
			delete(w.known, id)
		}
	}
}

// add puts what guests told into what is reported of running machines.
func (w *guestWatch) add(observations []*agentv1.VMObservation) []*agentv1.VMObservation {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range observations {
		if o.GetPhase() == novacronv1.VMPhase_VM_PHASE_RUNNING {
			o.Guest = w.known[o.GetVmId()].info
		}
	}
	return observations
}

// guestInfo is what a guest told, within limits; nil where no agent answered.
func guestInfo(told hypervisor.GuestInfo) *novacronv1.GuestInfo {
	if !told.AgentConnected {
		return nil
	}
	info := &novacronv1.GuestInfo{AgentConnected: true, Hostname: cut(told.Hostname), Os: cut(told.OS), Kernel: cut(told.Kernel)}
	for _, card := range told.Interfaces {
		if card.Name == "lo" || len(info.GetInterfaces()) == maxGuestCards {
			continue
		}
		shown := &novacronv1.GuestInterface{Name: cut(card.Name), Mac: cut(card.MAC)}
		for _, address := range card.Addresses[:min(len(card.Addresses), maxGuestsAddresses)] {
			shown.Addresses = append(shown.Addresses, cut(address))
		}
		info.Interfaces = append(info.Interfaces, shown)
	}
	return info
}

func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxGuestText)], "")
}
