package consensus

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBackupWipeRestore(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.fill(c.leader(), 2000)
	hash := c.leader().sm.hash()
	var backup bytes.Buffer
	require.NoError(t, c.leader().Backup(short(t, patience), &backup))
	for _, m := range c.members {
		c.kill(m)
	}

	fresh := newCluster(t, 3, nil)
	fresh.set("other", "x")
	lead := fresh.leader()
	require.NoError(t, lead.Restore(short(t, patience), bytes.NewReader(backup.Bytes())))
	require.NoError(t, lead.ReadIndex(short(t, patience)))
	require.Equal(t, hash, lead.sm.hash())
	fresh.converge()
	index := fresh.set("after", "1")
	for _, m := range fresh.members {
		require.NoError(t, m.WaitApplied(short(t, patience), index))
	}
	var again bytes.Buffer
	require.NoError(t, fresh.others(fresh.leader())[0].Backup(short(t, patience), &again), "a follower backs up too")

	after := lead.sm.hash()
	for _, m := range fresh.members {
		fresh.kill(m)
	}
	for id := range fresh.members {
		fresh.start(id)
	}
	require.NoError(t, fresh.leader().ReadIndex(short(t, patience)))
	require.Equal(t, after, fresh.leader().sm.hash(), "a restored cluster restarts")
}

func TestDamagedBackupChangesNothing(t *testing.T) {
	c := newCluster(t, 1, nil)
	lead := c.leader()
	c.fill(lead, 200)
	var buf bytes.Buffer
	require.NoError(t, lead.Backup(short(t, patience), &buf))
	c.set("after", "1")
	hash, good := lead.sm.hash(), buf.Bytes()
	edited := bytes.Clone(good)
	edited[len(edited)/2] ^= 1
	newer := bytes.Clone(good)
	newer[9]++
	for name, bad := range map[string]struct {
		data []byte
		want error
	}{
		"truncated": {good[:len(good)-1], ErrCorrupt}, "edited": {edited, ErrCorrupt},
		"longer": {append(bytes.Clone(good), 0), ErrCorrupt}, "empty": {nil, ErrCorrupt}, "newer": {newer, ErrUpgrade},
		"other file": {[]byte(strings.Repeat("hello world ", 10)), ErrCorrupt},
	} {
		require.ErrorIs(t, lead.Restore(short(t, patience), bytes.NewReader(bad.data)), bad.want, name)
		require.Equal(t, hash, lead.sm.hash(), name)
	}
	lead.sm.refuse = errors.New("not mine")
	require.ErrorIs(t, lead.Restore(short(t, patience), bytes.NewReader(good)), lead.sm.refuse)
	require.Equal(t, hash, lead.sm.hash())
	left, err := os.ReadDir(lead.dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "no staging file is left")
	c.set("still", "alive")
}

func TestQuorumLostForGood(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	c.fill(lead, 300)
	c.converge()
	hash, survivor := lead.sm.hash(), c.others(lead)[0]
	for _, m := range c.members {
		c.kill(m)
	}
	alone := []Server{{ID: survivor.id, Addr: survivor.addr, Voter: true}}
	cfg := Config{ID: survivor.id, AdvertiseAddr: survivor.addr, DataDir: survivor.dir, Logger: testLogger()}
	require.ErrorIs(t, RecoverPeers(cfg, newRegisters(), nil), ErrLastVoter)
	require.NoError(t, RecoverPeers(cfg, newRegisters(), alone))
	c.start(survivor.id)
	require.NoError(t, c.leader().ReadIndex(short(t, patience)))
	require.Equal(t, hash, survivor.sm.hash())
	c.set("b", "2")

	empty := cfg
	empty.DataDir = t.TempDir()
	require.ErrorIs(t, RecoverPeers(empty, newRegisters(), alone), ErrNoState)
}

func TestRestoreStopsWithItsContext(t *testing.T) {
	c := newCluster(t, 1, nil)
	lead := c.leader()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, lead.Restore(ctx, strings.NewReader("x")), context.Canceled)
}

func TestDamagedSnapshotOnDisk(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.fill(m, 100)
	require.NoError(t, m.Backup(short(t, patience), new(bytes.Buffer)))
	c.stop(m)
	require.NoError(t, os.Mkdir(m.dir+"/snapshots/9-9-9.tmp", 0o755))
	entries, err := os.ReadDir(m.dir + "/snapshots")
	require.NoError(t, err)
	state := m.dir + "/snapshots/" + entries[0].Name() + "/state.bin"
	b, err := os.ReadFile(state)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(state, b, 0o600))
	require.ErrorIs(t, c.open(m), ErrCorrupt)
	require.NoDirExists(t, m.dir+"/snapshots/9-9-9.tmp", "left-overs are swept")
}
