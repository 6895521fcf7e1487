package state

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func saved(t *testing.T, view View) *bytes.Buffer {
	t.Helper()
	var all bytes.Buffer
	require.NoError(t, view.Write(&all))
	return &all
}

func merged(t *testing.T, backup *bytes.Buffer, today View) View {
	t.Helper()
	var all bytes.Buffer
	require.NoError(t, Merge(&all, backup, today))
	s := New()
	require.NoError(t, s.Restore(&all))
	return s.View()
}

func TestMergeKeepsFactsAndBringsBackIntent(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 8, 8192, 100)
	f.addHost("h2", 8, 8192, 100)
	for _, id := range []string{"kept", "moved", "deleting", "deleted", "on-h2"} {
		f.must(createVM(id))
	}
	require.NoError(t, f.bind("kept", "h1"))
	require.NoError(t, f.bind("deleting", "h1"))
	require.NoError(t, f.bind("on-h2", "h2"))
	f.must(putToken("spent", novacronv1.Role_ROLE_AGENT, f.now.Add(time.Hour)))
	backup := saved(t, f.store.View())

	f.must(redeem("spent", "h3", novacronv1.Role_ROLE_AGENT))
	require.NoError(t, f.bind("moved", "h1"))
	f.must(func(c *statev1.Command) {
		c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{Id: "kept", OperationId: "op", Power: novacronv1.PowerState_POWER_STATE_STOPPED}}
	})
	for _, id := range []string{"deleting", "deleted"} {
		f.must(deleteVM(id))
	}
	f.must(func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: "h2", Force: true}}
	})
	f.must(createVM("new"))
	today := f.store.View()
	now := merged(t, backup, today)

	require.Greater(t, now.Revision(), today.Revision())
	_, back := now.Member("h2")
	require.False(t, back)
	require.Contains(t, now.RevokedSince(time.Time{}), "h2")
	_, stays := now.Host("h3")
	require.True(t, stays)
	token, _ := now.Token("spent")
	require.True(t, token.GetUsed())

	kept, _ := now.VM("kept", "")
	before, _ := today.VM("kept", "")
	require.Equal(t, novacronv1.PowerState_POWER_STATE_RUNNING, kept.GetDesiredPower(), "intent is the backup's")
	require.Greater(t, kept.GetGeneration(), before.GetGeneration(), "its host has seen today's generation, and must look again")
	moved, _ := now.VM("moved", "")
	require.Equal(t, "h1", moved.GetHostId(), "it runs there: placing it anew would start it twice")
	require.EqualValues(t, 1, moved.GetEpoch())
	deleting, _ := now.VM("deleting", "")
	require.NotNil(t, deleting.GetDeleteTime(), "half of it may be gone already")
	deleted, ok := now.VM("deleted", "")
	require.True(t, ok)
	require.Empty(t, deleted.GetHostId())
	lost, _ := now.VM("on-h2", "")
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_FAILED, lost.GetStatus().GetPhase())
	_, ok = now.VM("new", "")
	require.False(t, ok)
}

func TestMergeOfTodayChangesNothingButTheRevision(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 8, 8192, 100)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	today := f.store.View()
	now := merged(t, saved(t, today), today)
	require.Equal(t, today.Revision()+1, now.Revision())
	now.t.revision = today.t.revision
	require.Equal(t, saved(t, today).Bytes(), saved(t, now).Bytes())
}

func TestMergeRefusesDamage(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	backup := saved(t, f.store.View()).Bytes()
	require.ErrorIs(t, Merge(&bytes.Buffer{}, bytes.NewReader(backup[:len(backup)-1]), f.store.View()), ErrInvalid)
}
