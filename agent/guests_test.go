package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// talking is a host with one machine, whose agent answers as a test says.
type talking struct {
	mu    sync.Mutex
	state hypervisor.State
	told  hypervisor.GuestInfo
	err   error
	asked int
}

func (h *talking) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *talking) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *talking) Observe(context.Context) ([]hypervisor.Observed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []hypervisor.Observed{{ID: "vm", Ours: true, State: h.state}, {ID: "theirs", State: hypervisor.StateRunning}}, nil
}

func (h *talking) Guest(_ context.Context, id string) (hypervisor.GuestInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != "vm" {
		panic("a foreign guest was asked")
	}
	h.asked++
	return h.told, h.err
}

// watching runs a watch in virtual time; reports counts how often it had something new to say.
func watching(t *testing.T, h *talking, test func(w *guestWatch, reports *atomic.Int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int32
		w := newGuestWatch(h, func() { reports.Add(1) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.run(ctx) }()
		synctest.Wait()
		test(w, &reports)
		cancel()
		<-done
	})
}

func (w *guestWatch) says(phase novacronv1.VMPhase) *novacronv1.GuestInfo {
	return w.add([]*agentv1.VMObservation{{VmId: "vm", Phase: phase}})[0].GetGuest()
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestWhatGuestsTellIsReportedOnce(t *testing.T) {
	const running = novacronv1.VMPhase_VM_PHASE_RUNNING
	h := &talking{state: hypervisor.StateRunning}
	watching(t, h, func(w *guestWatch, reports *atomic.Int32) {
		pass(time.Minute)
		require.Nil(t, w.says(running), "no agent, nothing to say")
		require.Zero(t, reports.Load())
		h.set(func() { h.told = hypervisor.GuestInfo{AgentConnected: true, Hostname: "web", OS: "Debian"} })
		pass(2 * guestRest)
		require.Equal(t, "web", w.says(running).GetHostname())
		require.Nil(t, w.says(novacronv1.VMPhase_VM_PHASE_PAUSED))
		require.EqualValues(t, 1, reports.Load())
		asked := h.count()
		pass(10 * guestRest)
		require.InDelta(t, asked+10, h.count(), 1, "a minute apart")
		require.EqualValues(t, 1, reports.Load())

		h.set(func() { h.told.Hostname = "web-2" })
		w.again("vm")
		pass(guestTick)
		require.Equal(t, "web-2", w.says(running).GetHostname(), "it began anew: asked at once")
		h.set(func() { h.told, h.err = hypervisor.GuestInfo{}, errors.New("hangs") })
		pass(guestRest + guestTick)
		require.Nil(t, w.says(running))
		h.set(func() { h.state = hypervisor.StateStopped })
		pass(guestTick)
		asked = h.count()
		pass(time.Hour)
		require.Equal(t, asked, h.count(), "what is stopped is not asked")
	})
}

func TestAGuestThatNeverAnswersIsAskedRarely(t *testing.T) {
	h := &talking{state: hypervisor.StateRunning}
	watching(t, h, func(*guestWatch, *atomic.Int32) {
		pass(time.Hour)
		require.Less(t, h.count(), 70)
		require.Greater(t, h.count(), 50)
	})
}

func TestWhatAGuestTellsIsBounded(t *testing.T) {
	told := hypervisor.GuestInfo{AgentConnected: true, Hostname: strings.Repeat("ü", 500), Interfaces: []hypervisor.GuestInterface{{Name: "lo"}}}
	for range 100 {
		told.Interfaces = append(told.Interfaces, hypervisor.GuestInterface{Name: "eth", Addresses: make([]string, 100)})
	}
	info := guestInfo(told)
	require.LessOrEqual(t, len(info.GetHostname()), maxGuestText)
	require.Len(t, info.GetInterfaces(), maxGuestCards)
	require.Equal(t, "eth", info.GetInterfaces()[0].GetName(), "the loopback says nothing")
	require.Len(t, info.GetInterfaces()[0].GetAddresses(), maxGuestsAddresses)
	require.Nil(t, guestInfo(hypervisor.GuestInfo{Hostname: "old news"}))
}
