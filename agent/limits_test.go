package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/agent/jobs"
	"github.com/novacron/novacron/agent/reconcile"
	"github.com/novacron/novacron/cluster/blob"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/shard"
)

// disk is a shard whose limits take as long, and fail as often, as a test says.
type disk struct {
	fail func() error
	live func() int
	mu   sync.Mutex
	// took are the shares that were to be saved, in order.
	took []int
}

func (d *disk) saved() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.took)
}

func (d *disk) SeriesLimits() shard.SeriesLimits { return shard.SeriesLimits{} }

func (d *disk) LimitSeries(limits shard.SeriesLimits) error {
	d.mu.Lock()
	d.took = append(d.took, limits.Share)
	d.mu.Unlock()
	if d.fail == nil {
		return nil
	}
	return d.fail()
}

func (d *disk) Live() int { return d.live() }

func shareIntent(n uint64) *agentv1.MetricLimitIntent {
	return &agentv1.MetricLimitIntent{Limits: &novacronv1.MetricLimits{ClusterSeries: 1000}, Share: n}
}

// limiting runs limits over a disk in virtual time; reports counts how often the cluster was to be told.
func limiting(t *testing.T, d *disk, test func(l *seriesLimits, reports *atomic.Int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int32
		l := newSeriesLimits(d, func() { reports.Add(1) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx) }()
		synctest.Wait()
		test(l, &reports)
		cancel()
		<-done
	})
}

func TestLimitsAreHeardWhenTheyAreSaved(t *testing.T) {
	var room atomic.Bool
	d := &disk{fail: func() error {
		if room.Load() {
			return nil
		}
		return errors.New("disk is full")
	}, live: func() int { return 3 }}
	limiting(t, d, func(l *seriesLimits, reports *atomic.Int32) {
		l.want(5, shareIntent(10))
		pass(2*limitsAgain + time.Second)
		require.Equal(t, []int{10, 10, 10}, d.saved(), "tried again")
		require.Zero(t, l.usage().GetRevision())
		require.Zero(t, reports.Load())
		room.Store(true)
		pass(limitsAgain)
		require.Equal(t, uint64(5), l.usage().GetRevision())
		require.Equal(t, uint64(3), l.usage().GetSeries())
		require.EqualValues(t, 1, reports.Load())
		pass(time.Hour)
		require.Len(t, d.saved(), 4, "once is enough")
		l.want(6, nil)
		l.want(7, shareIntent(10))
		synctest.Wait()
		require.Equal(t, uint64(7), l.usage().GetRevision())
		require.EqualValues(t, 1, reports.Load(), "nothing that others wait for")
	})
}

// TestUsageIsNotNewerThanItsSeries: limits that hold from when series are counted are not said to be heard with them.
func TestUsageIsNotNewerThanItsSeries(t *testing.T) {
	d := &disk{}
	l := newSeriesLimits(d, func() {}, slog.New(slog.DiscardHandler))
	l.want(1, shareIntent(900))
	require.NoError(t, l.apply())
	d.live = func() int {
		l.want(2, shareIntent(700))
		require.NoError(t, l.apply())
		return 650
	}
	require.Equal(t, uint64(1), l.usage().GetRevision(), "up to 900 came in after the count")
	require.Nil(t, (*seriesLimits)(nil).usage())
}

// TestASlowDiskOfMetricsDelaysNoMachine hands on desired sets while the first limits are still being saved; of those that
// came meanwhile only the newest are taken.
func TestASlowDiskOfMetricsDelaysNoMachine(t *testing.T) {
	d := &disk{live: func() int { return 0 }}
	limiting(t, d, func(l *seriesLimits, _ *atomic.Int32) {
		gate := make(chan struct{})
		d.fail = func() error { <-gate; return nil }
		host := hostOfLimits(t, l)
		for revision, share := range []uint64{0, 50, 40, 30} {
			if share > 0 {
				host.takeDesired(uint64(revision), &agentv1.DesiredSet{Metrics: &agentv1.MetricIntent{Limits: shareIntent(share)}, Vms: []*novacronv1.VM{{Id: "vm"}}})
				synctest.Wait()
			}
		}
		host.takeDesired(1, &agentv1.DesiredSet{Metrics: &agentv1.MetricIntent{Limits: shareIntent(99)}}) // late
		require.Equal(t, []int{50}, d.saved())
		require.Zero(t, l.usage().GetRevision())
		close(gate)
		synctest.Wait()
		require.Equal(t, []int{50, 30}, d.saved())
		require.Equal(t, uint64(3), l.usage().GetRevision())
	})
}

// hostOfLimits has all that a desired set goes to.
func hostOfLimits(t *testing.T, l *seriesLimits) *daemon {
	t.Helper()
	driver, err := fake.New(fake.Options{})
	require.NoError(t, err)
	machines, err := hypervisor.New(hypervisor.Config{Driver: driver, ClusterID: "c", JournalDir: t.TempDir(), Logger: l.logger})
	require.NoError(t, err)
	blobs, err := blob.Open(t.TempDir(), blob.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, blobs.Close()) })
	return &daemon{
		logger: l.logger, machines: machines, blobs: blobs, limits: l, jobs: jobs.New(jobs.Config{Changed: func() {}, Logger: l.logger}),
		volumes: reconcile.NewVolumes(reconcile.VolumesConfig{Maker: machines}), reconciler: reconcile.New(reconcile.Config{Machines: machines, ClusterID: "c"}),
	}
}
