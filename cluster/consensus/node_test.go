package consensus

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThreeNodesCommitAndAgree(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	result, index, err := lead.Propose(short(t, patience), setCmd("a", "1"))
	require.NoError(t, err)
	require.Equal(t, "1", result)
	for _, m := range c.members {
		require.NoError(t, m.WaitApplied(short(t, patience), index))
		require.Equal(t, "1", m.sm.get("a"))
	}
	result, next, err := lead.Propose(short(t, patience), casCmd("a", "9", "2"))
	require.NoError(t, err)
	require.Equal(t, errCAS, result, "a refused command is a result")
	require.Greater(t, next, index)
	require.NoError(t, lead.ReadIndex(short(t, patience)))
}

func TestFollowerNamesTheLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	f := c.others(lead)[0]
	require.Eventually(t, func() bool { id, _ := f.Leader(); return id == lead.id }, patience, time.Millisecond)
	_, _, err := f.Propose(context.Background(), setCmd("a", "1"))
	var hint *NotLeaderError
	require.ErrorAs(t, err, &hint)
	require.ErrorIs(t, err, ErrNotLeader)
	require.NotErrorIs(t, err, ErrOutcomeUnknown)
	require.Equal(t, NotLeaderError{LeaderID: lead.id, LeaderAddr: lead.addr}, *hint)
	require.Contains(t, err.Error(), lead.addr)
	require.ErrorIs(t, f.ReadIndex(context.Background()), ErrNotLeader)
	require.ErrorIs(t, f.Remove(context.Background(), lead.id), ErrNotLeader)
}

func TestRefusals(t *testing.T) {
	c := newCluster(t, 1, nil)
	lead := c.leader()
	_, _, err := lead.Propose(context.Background(), make([]byte, MaxCommand+1))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "1048577")
	require.ErrorIs(t, lead.Bootstrap([]Server{{ID: "n1", Addr: lead.addr, Voter: true}}), ErrBootstrapped)
	require.ErrorIs(t, lead.Remove(context.Background(), "n1"), ErrLastVoter)
	require.ErrorIs(t, lead.Demote(context.Background(), "n1"), ErrLastVoter)
	require.ErrorIs(t, lead.Remove(context.Background(), "x"), ErrUnknownServer)
	require.ErrorIs(t, lead.TransferLeadership(context.Background(), "x"), ErrUnknownServer)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = lead.Propose(gone, setCmd("a", "1"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrOutcomeUnknown, "it was never started")
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Open(Config{ID: "a"}, newRegisters())
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorContains(t, err, "AdvertiseAddr")
}

func TestLargestCommandCommits(t *testing.T) {
	c := newCluster(t, 3, nil)
	cmd := setCmd("big", strings.Repeat("x", MaxCommand-100))
	_, _, err := c.leader().Propose(short(t, patience), cmd)
	require.NoError(t, err)
	c.converge()
}

func TestRestartReplaysAndIndexesGrow(t *testing.T) {
	c := newCluster(t, 1, nil)
	before := c.set("a", "1")
	hash := c.leader().sm.hash()
	c.stop(c.members["n1"])
	m := c.start("n1")
	require.Same(t, m, c.leader())
	require.NoError(t, m.ReadIndex(short(t, patience)))
	require.Equal(t, hash, m.sm.hash())
	require.Greater(t, c.set("b", "2"), before)
}

func TestWholeClusterKillKeepsWhatWasAcknowledged(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.fill(c.leader(), 500)
	hash := c.leader().sm.hash()
	for _, m := range c.members {
		c.kill(m)
	}
	for id := range c.members {
		c.start(id)
	}
	require.NoError(t, c.leader().ReadIndex(short(t, patience)))
	require.Equal(t, hash, c.leader().sm.hash())
	c.converge()
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	c := newCluster(t, 1, nil)
	twin := &member{id: "n1", dir: c.members["n1"].dir}
	require.ErrorIs(t, c.open(twin), ErrLocked)
}

func TestCloseIsIdempotentAndEndsEverything(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	changes, cancel := m.Leadership()
	defer cancel()
	require.True(t, (<-changes).Leader)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { require.NoError(t, m.Close(short(t, patience))) })
	}
	wg.Wait()
	m.down = true
	for range changes { //nolint:revive // drained until closed
	}
	_, _, err := m.Propose(context.Background(), setCmd("a", "1"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, m.ReadIndex(context.Background()), ErrClosed)
	require.ErrorIs(t, m.WaitApplied(context.Background(), 1<<40), ErrClosed)
	require.Equal(t, "Shutdown", m.Stats().State)
}

func TestNoGoroutineOrDescriptorIsLeft(t *testing.T) {
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 3 {
		c := newCluster(t, 3, nil)
		c.fill(c.leader(), 200)
		for _, m := range c.members {
			c.stop(m)
		}
	}
	require.Eventually(t, func() bool {
		return runtime.NumGoroutine() <= goroutines+5 && descriptors() <= files+5
	}, patience, 10*time.Millisecond)
}

func TestConcurrentReadersShareRounds(t *testing.T) {
	var b readBatcher
	first, run := b.join()
	require.True(t, run)
	started, release, rounds := make(chan struct{}), make(chan struct{}), 0
	go b.run(func() (uint64, error) {
		if rounds++; rounds == 1 {
			close(started)
			<-release
		}
		return uint64(rounds), nil
	})
	<-started
	second, run := b.join()
	require.False(t, run)
	third, run := b.join()
	require.False(t, run)
	require.NotSame(t, first, second, "a round that has begun may miss what came after")
	require.Same(t, second, third)
	close(release)
	<-second.done
	require.Equal(t, [2]uint64{1, 2}, [2]uint64{first.index, second.index})
}

func TestMembersComeAndGo(t *testing.T) {
	c := newCluster(t, 1, nil)
	lead := c.leader()
	c.set("a", "1")
	ctx := short(t, patience)
	for _, id := range []string{"n2", "n3"} {
		m := c.start(id)
		require.NoError(t, lead.AddNonvoter(ctx, id, m.addr))
		c.converge()
		require.NoError(t, lead.AddVoter(ctx, id, m.addr))
	}
	require.Equal(t, 3, lead.Stats().Voters)
	require.NoError(t, lead.Demote(ctx, "n3"))
	require.NoError(t, lead.Remove(ctx, "n3"))
	servers, err := lead.Servers()
	require.NoError(t, err)
	require.Equal(t, []Server{
		{ID: "n1", Addr: lead.addr, Voter: true, Leader: true},
		{ID: "n2", Addr: c.members["n2"].addr, Voter: true},
	}, servers)
	require.NoError(t, lead.TransferLeadership(ctx, "n2"))
	require.Equal(t, "n2", c.leader(lead).id)
	require.NoError(t, c.members["n2"].Remove(ctx, "n1"), "a new leader may remove the old one")
	c.set("b", "2", lead)
}

func TestLeadershipIsAnnouncedToAll(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	var subs []<-chan Leadership
	for range 3 {
		ch, cancel := lead.Leadership()
		t.Cleanup(cancel)
		first := <-ch
		require.True(t, first.Leader)
		require.Equal(t, lead.Stats().Term, first.Term)
		subs = append(subs, ch)
	}
	require.NoError(t, lead.TransferLeadership(short(t, patience), ""))
	for _, ch := range subs {
		require.False(t, (<-ch).Leader)
	}
	require.Positive(t, c.leader(lead).Stats().Term)
}

func TestCommandOfANewerReleaseHaltsTheNode(t *testing.T) {
	fatal := make(chan error, 3)
	c := newCluster(t, 1, func(_ string, cfg *Config) { cfg.OnFatal = func(err error) { fatal <- err } })
	m := c.leader()
	c.set("a", "1")
	_, _, err := m.Propose(short(t, patience), mustJSON(regCmd{Op: "newer"}))
	require.Error(t, err)
	err = <-fatal
	require.ErrorIs(t, err, ErrHalted)
	require.ErrorIs(t, err, ErrUpgrade)
	applied := m.sm.applied()
	_, _, err = m.Propose(short(t, patience), setCmd("a", "2"))
	require.ErrorIs(t, err, ErrHalted)
	require.Equal(t, applied, m.sm.applied(), "nothing is applied behind it")
	require.ErrorIs(t, m.Backup(short(t, patience), new(strings.Builder)), ErrHalted)
}

func TestDamagedDataDirectoryIsACleanError(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.fill(c.leader(), 2000)
	c.stop(c.members["n1"])
	path := filepath.Join(c.members["n1"].dir, "raft.db")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()/3))
	err = c.open(c.members["n1"])
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, path)
}
