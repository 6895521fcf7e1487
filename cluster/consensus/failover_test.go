package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

func TestLeaderKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newCluster(t, n, func(_ string, cfg *Config) { cfg.Timing = Timing{} })
			for round := range (n - 1) / 2 {
				c.set("a", fmt.Sprint(round))
				start := time.Now()
				c.kill(c.leader())
				c.set("a", fmt.Sprint(round+10))
				took := time.Since(start)
				t.Logf("leader killed -> next commit: %v", took.Round(time.Millisecond))
				require.Less(t, took, 6*time.Second)
			}
		})
	}
}

func TestCloseHandsLeadershipOver(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	c.set("a", "1")
	start := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- lead.Close(short(t, patience)) }()
	c.set("a", "2", lead)
	t.Logf("close of the leader -> next commit: %v", time.Since(start).Round(time.Millisecond))
	require.NoError(t, <-stopped)
	lead.down = true
	require.Less(t, time.Since(start), 6*time.Second)
	c.converge()
}

func TestMinorityRefusesHealsAndCatchesUp(t *testing.T) {
	c := newCluster(t, 5, nil)
	old := c.leader()
	c.set("a", "1")
	mate := c.others(old)[0]
	c.net.split(ids(old, mate), ids(c.others(old)[1:]...))

	_, _, err := old.Propose(short(t, 10*time.Second), setCmd("lost", "1"))
	require.Error(t, err)
	require.True(t, errors.Is(err, ErrNotLeader) || errors.Is(err, ErrOutcomeUnknown), "%v", err)
	require.Eventually(t, func() bool {
		return errors.Is(old.ReadIndex(short(t, time.Second)), ErrNotLeader)
	}, patience, time.Millisecond)
	_, _, err = mate.Propose(context.Background(), setCmd("lost", "2"))
	require.ErrorIs(t, err, ErrNotLeader)

	c.set("a", "2", old, mate)
	require.Equal(t, "1", old.sm.get("a"))
	c.net.heal()
	c.converge()
	require.Equal(t, "2", old.sm.get("a"))
}

func TestOneWayPartitionDoesNotDisturbTheTerm(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	c.set("a", "1")
	deaf := c.others(lead)[0]
	term := lead.Stats().Term
	// The deaf node hears nobody, but everybody hears it: without pre-vote it would depose leader after leader.
	c.net.drop(lead.id, deaf.id)
	require.Eventually(t, func() bool { return deaf.Stats().LastContact > 5*testTiming().Heartbeat }, patience, 5*time.Millisecond)
	c.set("a", "2")
	require.Equal(t, term, lead.Stats().Term)
	c.net.heal()
	c.converge()
}

// hangingLog is a disk that stops answering.
type hangingLog struct {
	raft.LogStore
	hang    *atomic.Bool
	release chan struct{}
}

func (h *hangingLog) StoreLogs(logs []*raft.Log) error {
	if h.hang.Load() {
		<-h.release
		return errors.New("the disk was gone")
	}
	return h.LogStore.StoreLogs(logs)
}

func TestHangingDiskOfTheLeader(t *testing.T) {
	type stall struct {
		id, op string
		d      time.Duration
		at     time.Time
	}
	const limit = time.Second
	stalls, hangs, release := make(chan stall, 3), map[string]*atomic.Bool{}, make(chan struct{})
	c := newCluster(t, 3, func(id string, cfg *Config) {
		hangs[id] = new(atomic.Bool)
		cfg.StallLimit = limit
		cfg.OnStall = func(op string, d time.Duration) { stalls <- stall{id, op, d, time.Now()} }
		cfg.wrapLog = func(s raft.LogStore) raft.LogStore { return &hangingLog{s, hangs[id], release} }
	})
	t.Cleanup(func() { close(release) })
	lead := c.leader()
	c.set("a", "1")
	start := time.Now()
	hangs[lead.id].Store(true)
	_, _, err := lead.Propose(short(t, 20*time.Second), setCmd("a", "2"))
	require.ErrorIs(t, err, ErrStalled)
	require.ErrorIs(t, err, ErrOutcomeUnknown)
	s := <-stalls
	require.Equal(t, lead.id, s.id)
	require.Equal(t, "log append", s.op)
	require.Less(t, s.at.Sub(start), limit+time.Second)
	require.GreaterOrEqual(t, lead.Stats().InFlight, limit)
	c.set("a", "3", lead)
	t.Logf("disk hangs -> hook %v, next commit elsewhere %v", s.at.Sub(start).Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	require.Less(t, time.Since(start), 8*time.Second)
	require.False(t, lead.IsLeader())
}

func TestHangingDiskOfAFollowerHarmsNobody(t *testing.T) {
	hangs, release := map[string]*atomic.Bool{}, make(chan struct{})
	var stalls atomic.Int32
	c := newCluster(t, 3, func(id string, cfg *Config) {
		hangs[id] = new(atomic.Bool)
		cfg.StallLimit = 200 * time.Millisecond
		cfg.OnStall = func(string, time.Duration) { stalls.Add(1) }
		cfg.wrapLog = func(s raft.LogStore) raft.LogStore { return &hangingLog{s, hangs[id], release} }
	})
	t.Cleanup(func() { close(release) })
	lead := c.leader()
	slow := c.others(lead)[0]
	hangs[slow.id].Store(true)
	c.set("a", "1")
	require.Eventually(t, func() bool { return slow.Stats().InFlight > 600*time.Millisecond }, patience, time.Millisecond)
	c.set("a", "2")
	require.Zero(t, stalls.Load())
	require.True(t, lead.IsLeader())
}

// failingLog is a disk that refuses some appends.
type failingLog struct {
	raft.LogStore
	fail *atomic.Int32
}

func (f *failingLog) StoreLogs(logs []*raft.Log) error {
	if f.fail.Load() > 0 && f.fail.Add(-1) >= 0 {
		return errors.New("no space left on device")
	}
	return f.LogStore.StoreLogs(logs)
}

// TestFollowerRecoversFromRefusedAppends guards against the lock-up that pipeline.go prevents.
func TestFollowerRecoversFromRefusedAppends(t *testing.T) {
	fails := map[string]*atomic.Int32{}
	c := newCluster(t, 3, func(id string, cfg *Config) {
		fails[id] = new(atomic.Int32)
		cfg.wrapLog = func(s raft.LogStore) raft.LogStore { return &failingLog{s, fails[id]} }
	})
	lead := c.leader()
	full := c.others(lead)[0]
	for range 20 {
		fails[full.id].Store(1)
		c.fill(lead, 200)
		index := c.set("a", "1")
		require.NoError(t, full.WaitApplied(short(t, patience), index))
	}
}

func TestHandOverThatNeverEndsIsAStall(t *testing.T) {
	stalls := make(chan string, 1)
	c := newCluster(t, 1, func(_ string, cfg *Config) {
		cfg.StallLimit, cfg.Timing.IO = 50*time.Millisecond, 50*time.Millisecond
		cfg.OnStall = func(op string, _ time.Duration) { stalls <- op }
	})
	m := c.leader()
	require.ErrorIs(t, m.translate(raft.ErrLeadershipTransferInProgress), ErrNotLeader)
	require.NoError(t, m.translate(nil))
	require.Eventually(t, func() bool {
		require.ErrorIs(t, m.translate(raft.ErrLeadershipTransferInProgress), ErrNotLeader)
		return len(stalls) == 1
	}, patience, 10*time.Millisecond)
	require.Equal(t, "leadership hand-over", <-stalls)
	_, _, err := m.Propose(context.Background(), setCmd("a", "1"))
	require.ErrorIs(t, err, ErrStalled)
}

func TestCloseOfAHungNodeHonoursItsContext(t *testing.T) {
	var hang atomic.Bool
	release := make(chan struct{})
	c := newCluster(t, 1, func(_ string, cfg *Config) {
		cfg.wrapLog = func(s raft.LogStore) raft.LogStore { return &hangingLog{s, &hang, release} }
	})
	m := c.leader()
	hang.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, _, err := m.Propose(ctx, setCmd("a", "1"))
	require.ErrorIs(t, err, ErrOutcomeUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, m.Close(ctx), context.DeadlineExceeded)
	close(release)
	require.NoError(t, m.Close(short(t, patience)))
	m.down = true
}
