package consensus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFarBehindFollowerCatchesUpByLog(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := newCluster(t, 3, nil)
	lead := c.leader()
	behind := c.others(lead)[0]
	c.stop(behind)
	const entries = 20_000
	c.fill(lead, entries)
	c.start(behind.id)
	start := time.Now()
	c.converge()
	t.Logf("%d entries behind -> caught up: %v", entries, time.Since(start).Round(time.Millisecond))
	require.Zero(t, behind.Stats().LastSnapshotIndex)
}

func TestSnapshotIsInstalledOnAFarBehindFollower(t *testing.T) {
	c := newCluster(t, 3, func(_ string, cfg *Config) {
		cfg.Snapshots = SnapshotPolicy{Interval: 20 * time.Millisecond, Threshold: 500, Trailing: 100}
	})
	lead := c.leader()
	behind := c.others(lead)[0]
	c.kill(behind)
	c.fill(lead, 3000)
	require.Eventually(t, func() bool { return lead.Stats().LastSnapshotIndex > 2000 }, patience, time.Millisecond)
	c.start(behind.id)
	c.converge()
	require.NotZero(t, behind.Stats().LastSnapshotIndex)
	require.Less(t, behind.sm.applied(), 1500, "most came by snapshot")
	require.NoError(t, behind.WaitApplied(short(t, patience), c.set("z", "1")))

	c.stop(behind)
	c.start(behind.id)
	c.converge()
	require.Equal(t, "1", behind.sm.get("z"))
}
