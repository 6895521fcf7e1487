package state

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func putLimitsOp(cluster, revision uint64) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricLimits{PutMetricLimits: &statev1.PutMetricLimits{
			Limits: &novacronv1.MetricLimits{ClusterSeries: cluster}, Revision: revision,
		}}
	}
}

func shareOp(revision uint64, shares ...*novacronv1.MetricShare) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ShareMetricSeries{ShareMetricSeries: &statev1.ShareMetricSeries{Revision: revision, Shares: shares}}
	}
}

func share(host string, series, held uint64) *novacronv1.MetricShare {
	return &novacronv1.MetricShare{HostId: host, Series: series, Held: held}
}

// checkLimits demands that shares come to no more than the limit, or than they did before.
func checkLimits(t require.TestingT, v View, epochs map[string]uint64) {
	record, _ := v.MetricLimits()
	sum := uint64(0)
	for _, s := range record.GetShares() {
		require.LessOrEqual(t, s.GetSeries(), s.GetHeld())
		sum += s.GetHeld()
	}
	require.LessOrEqual(t, sum, max(record.GetLimits().GetClusterSeries(), epochs["held series"]))
	epochs["held series"] = sum
}

func TestSharesGrowOnlyOutOfWhatIsFree(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	for _, id := range []string{"a", "b"} {
		f.must(func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_AGENT}}}
		})
		f.must(observeHost(id, novacronv1.HostState_HOST_STATE_UP, nil))
	}
	refused := func(want error, op func(*statev1.Command), why ...any) {
		t.Helper()
		_, err := f.apply(op)
		require.ErrorIs(t, err, want, why...)
	}
	refused(ErrStale, shareOp(0, share("a", 1, 1)), "there is no limit")
	f.must(putLimitsOp(100, 0))
	record, _ := f.store.View().MetricLimits()
	revision := record.GetRevision()
	refused(ErrStale, shareOp(revision+1, share("a", 1, 1)))
	refused(ErrRefused, shareOp(revision, share("a", 60, 60), share("b", 41, 41)))
	refused(ErrInvalid, shareOp(revision, share("b", 1, 1), share("a", 1, 1)), "they are in order")
	refused(ErrInvalid, shareOp(revision, share("a", 2, 1)))
	refused(ErrStale, shareOp(revision, share("z", 1, 1)), "the host is gone")
	f.must(shareOp(revision, share("a", 60, 60), share("b", 40, 40)))

	f.must(putLimitsOp(50, revision))
	refused(ErrStale, putLimitsOp(70, revision))
	record, _ = f.store.View().MetricLimits()
	require.Len(t, record.GetShares(), 2, "hosts keep what they have until they hear of less")
	old := record.GetShares()[1].GetRevision()
	refused(ErrRefused, shareOp(record.GetRevision(), share("a", 30, 60), share("b", 45, 45)))
	f.must(shareOp(record.GetRevision(), share("a", 30, 60), share("b", 40, 40)))
	record, _ = f.store.View().MetricLimits()
	require.Greater(t, record.GetShares()[0].GetRevision(), old)
	require.Equal(t, old, record.GetShares()[1].GetRevision(), "nothing is new about it")

	// A backup brings its limit back, and not its shares.
	var backup, merged bytes.Buffer
	require.NoError(t, f.store.View().Write(&backup))
	f.must(putLimitsOp(200, 0))
	record, _ = f.store.View().MetricLimits()
	f.must(shareOp(record.GetRevision(), share("a", 150, 150)))
	require.NoError(t, Merge(&merged, &backup, f.store.View()))
	require.NoError(t, f.store.Restore(&merged))
	record, _ = f.store.View().MetricLimits()
	require.Equal(t, uint64(50), record.GetLimits().GetClusterSeries())
	require.Len(t, record.GetShares(), 1)
	require.Equal(t, uint64(150), record.GetShares()[0].GetHeld())

	f.must(putLimitsOp(0, 0))
	record, _ = f.store.View().MetricLimits()
	require.Empty(t, record.GetShares())
	require.True(t, proto.Equal(&novacronv1.MetricLimits{}, record.GetLimits()))
}
