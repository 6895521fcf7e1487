package jobs

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/collect"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// sources tells of jobs and of which sources the cluster has, as of a revision.
func (f *fixture) sources(revision uint64, names []string, jobs ...*agentv1.MetricJob) {
	f.revision = revision
	f.Desired(revision, &agentv1.MetricIntent{Jobs: jobs, Sources: &agentv1.MetricSourceNames{Names: names}})
	pass(2 * time.Second)
}

func folders(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestFoldersOfDeletedSourcesGo keeps those of sources that the cluster has, wherever they are collected, and those that a
// controller which lags behind does not know yet.
func TestFoldersOfDeletedSourcesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFixture(t, &target{}, dir)
		defer f.stop()
		for name, epoch := range map[string]uint64{"here": 7, "elsewhere": 8, "new": 50, "old": 9} {
			_, err := stateFolder(dir, name, epoch, 0)
			require.NoError(t, err)
		}
		require.NoError(t, os.Mkdir(filepath.Join(dir, "half-removed"), 0o700)) // by a process that died at it
		require.NoError(t, os.WriteFile(filepath.Join(dir, "note"), nil, 0o600))
		all := []string{"elsewhere", "half-removed", "here", "new", "note", "old"}

		f.want()
		pass(2 * time.Second)
		require.Equal(t, all, folders(t, dir), "a controller that does not tell which sources there are")
		f.sources(20, []string{"here", "elsewhere"})
		require.Equal(t, []string{"elsewhere", "here", "new", "note"}, folders(t, dir), "the state of revision 20 cannot know what is of 50")
		f.sources(60, []string{"here", "new"})
		require.Equal(t, []string{"here", "new", "note"}, folders(t, dir))
		f.stop()

		again := newFixture(t, &target{}, dir)
		defer again.stop()
		again.sources(61, nil)
		require.Equal(t, []string{"note"}, folders(t, dir), "what was deleted while the agent was down")
	})
}

// TestAFolderIsRemovedOnceNothingIsUnderWay deletes a source whose last collection hangs.
func TestAFolderIsRemovedOnceNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), &target{hang: make(chan struct{})}
		f := newFixture(t, c, dir)
		defer f.stop()
		f.sources(3, []string{"node"}, jobOf(3, 1))
		f.grant(3)
		pass(6 * time.Second)
		require.Equal(t, 1, c.asked())
		f.sources(4, nil)
		require.Equal(t, []string{"node"}, folders(t, dir))
		close(c.hang)
		pass(3 * time.Second)
		require.Empty(t, folders(t, dir))
	})
}

// recorder keeps what it is given.
type recorder struct{ stored []collect.Metric }

func (r *recorder) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	r.stored = append(r.stored, metrics...)
	return nil
}

// TestSeriesOfDeletedSourcesEnd has them end at once, not five minutes later, with their labels.
func TestSeriesOfDeletedSourcesEnd(t *testing.T) {
	dir, sink := t.TempDir(), &recorder{}
	folder, err := stateFolder(dir, "shop", 7, 0)
	require.NoError(t, err)
	require.NoError(t, collect.SaveSeries(t.Context(), Source{Dir: folder}.Store(collect.SeriesName), []collect.Metric{
		{Name: "vm_vcpus", Labels: map[string]string{"vm_id": "1"}, Source: "gcm"}, {Name: "shop_queue", Labels: map[string]string{"till": "2"}},
	}))
	m := New(Config{Dir: dir, Sink: sink, Registry: collect.NewRegistry(), Changed: func() {}, Logger: slog.New(slog.DiscardHandler)})
	m.Desired(9, &agentv1.MetricIntent{Sources: &agentv1.MetricSourceNames{}})
	m.clean(t.Context())
	require.Empty(t, folders(t, dir))
	require.Len(t, sink.stored, 2)
	for _, one := range sink.stored {
		require.True(t, collect.IsStale(one.Value))
	}
	require.True(t, slices.ContainsFunc(sink.stored, func(m collect.Metric) bool {
		return m.Name == "vm_vcpus" && m.Labels["source"] == "gcm" && m.Labels["vm_id"] == "1"
	}))
}

// pausedTarget is a source whose APIs must not be called.
type pausedTarget struct {
	target
	pauses []collect.Pause
}

func (p *pausedTarget) Progress() collect.Progress { return collect.Progress{Pauses: p.pauses} }

// TestPausesTravel takes what the host before was told, gives it to the collector, and tells the cluster what is new.
func TestPausesTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		c := &pausedTarget{pauses: []collect.Pause{{Account: "123", API: "ListThings", Until: until.Add(time.Hour)}}}
		f := newFixture(t, &c.target, t.TempDir())
		defer f.stop()
		var given []collect.Pause
		var spent collect.Spending
		f.cfg.Open = func(_ context.Context, s Source) (Opened, error) {
			given, spent = s.Pauses, s.Spent
			return Opened{Collector: c}, nil
		}
		one := jobOf(3, 1)
		one.Pauses = []*novacronv1.MetricPause{{Account: "123", Api: "GetThings", UntilTime: timestamppb.New(until)}}
		one.Spent = &novacronv1.MetricSpending{Day: "2026-03-01", Units: 70}
		f.want(one)
		f.grant(3)
		pass(time.Millisecond)
		require.Equal(t, collect.Spending{Day: "2026-03-01", Units: 70}, spent)
		require.EqualValues(t, 70, f.observed(t).GetSpent().GetUnits())
		require.Equal(t, []collect.Pause{{Account: "123", API: "GetThings", Until: until}}, given)
		require.Equal(t, until, f.observed(t).GetPauses()[0].GetUntilTime().AsTime(), "told also before the first collection")
		pass(8 * time.Second)
		told := f.observed(t).GetPauses()
		require.Len(t, told, 1)
		require.Equal(t, "ListThings", told[0].GetApi())
	})
}
