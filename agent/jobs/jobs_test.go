package jobs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
)

// target is a source that counts how often it is asked, and by whom.
type target struct {
	mu     sync.Mutex
	times  []time.Time
	opened []Source
	// hang keeps a collection until it is closed, whatever its context says; err fails it, refuse the making of it.
	hang        chan struct{}
	err, refuse error
	stored      int
	closed      int
}

func (c *target) open(_ context.Context, source Source) (Opened, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return Opened{}, c.refuse
	}
	c.opened = append(c.opened, source)
	return Opened{Collector: c, Limits: collect.Limits{Undeclared: true}, Close: func() error { c.closed++; return nil }}, nil
}

func (c *target) CollectMetrics(ctx context.Context, _ tsdb.MetricsQuery) ([]collect.Metric, error) {
	c.mu.Lock()
	hang, err := c.hang, c.err
	c.times = append(c.times, time.Now())
	c.mu.Unlock()
	if hang != nil {
		<-hang
		return nil, errors.Join(ctx.Err(), err)
	}
	return []collect.Metric{{Name: "queue_length", Value: 1, Timestamp: time.Now()}}, err
}

func (c *target) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return nil, nil
}

func (c *target) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range metrics {
		if one.Name == "queue_length" {
			c.stored++
		}
	}
	return nil
}

func (c *target) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.times)
}

// fixture is a manager at work in a bubble.
type fixture struct {
	*Manager
	*target
	registry *collect.Registry
	runner   *collect.Runner
	dir      string
	revision uint64
	changes  int
	stop     func()
}

func newFixture(t *testing.T, c *target, dir string) *fixture {
	t.Helper()
	f := &fixture{target: c, registry: collect.NewRegistry(), dir: dir}
	f.runner = collect.NewRunner(collect.RunnerConfig{Sink: c, Registry: f.registry, Logger: slog.New(slog.DiscardHandler)})
	f.Manager = New(Config{Runner: f.runner, Registry: f.registry, Open: c.open, Dir: dir, Changed: func() { f.changes++ }, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	f.stop = func() { cancel(); <-done; f.runner.Wait() }
	return f
}

func jobOf(epoch, generation uint64) *agentv1.MetricJob {
	return &agentv1.MetricJob{Epoch: epoch, Generation: generation, Spec: &novacronv1.MetricSourceSpec{
		Name: "node", Interval: durationpb.New(5 * time.Second), Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: "http://target"}},
	}}
}

func (f *fixture) want(jobs ...*agentv1.MetricJob) {
	f.revision++
	f.Desired(f.revision, &agentv1.MetricIntent{Jobs: jobs})
}

func (f *fixture) grant(epoch uint64) {
	f.Granted(time.Now(), []*agentv1.MetricLease{{Source: "node", Epoch: epoch, Duration: durationpb.New(metric.Lease)}})
}

func (f *fixture) observed(t *testing.T) *agentv1.MetricJobObservation {
	t.Helper()
	all := f.Observations()
	require.Len(t, all, 1)
	return all[0]
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAJobCollectsUnderItsLeaseAndNotAMomentLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &target{}, t.TempDir())
		defer f.stop()
		f.want(jobOf(7, 1))
		pass(time.Minute)
		require.Zero(t, f.asked(), "wanted is not enough")
		f.grant(6)
		pass(10 * time.Second)
		require.Zero(t, f.asked(), "a lease of another epoch is none")

		granted := time.Now()
		f.grant(7)
		pass(time.Minute)
		require.GreaterOrEqual(t, f.asked(), 3)
		last := f.times[len(f.times)-1]
		require.Less(t, last.Sub(granted), metric.Lease)
		o := f.observed(t)
		require.False(t, o.GetStopped(), "it may begin again")

		before := f.asked()
		f.grant(7)
		pass(10 * time.Second)
		require.Greater(t, f.asked(), before, "and does")
		o = f.observed(t)
		require.EqualValues(t, 1, o.GetObservedGeneration())
		require.EqualValues(t, 1, o.GetSeries())
		require.Empty(t, o.GetLastError())
		require.WithinDuration(t, time.Now(), o.GetLastSuccessTime().AsTime(), 6*time.Second)
		require.WithinDuration(t, time.Now(), o.GetWatermark().AsTime(), 6*time.Second)
		require.Equal(t, f.asked(), f.stored)
	})
}

func TestACollectionUnderWayIsBrokenOffBeforeTheLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowTarget{}
		f := newFixture(t, &slow.target, t.TempDir())
		f.cfg.Open = func(context.Context, Source) (Opened, error) { return Opened{Collector: slow}, nil }
		defer f.stop()
		long := jobOf(1, 1)
		long.Spec.Interval = durationpb.New(time.Minute)
		f.want(long)
		for slow.asked() == 0 { // kept alive until the collection is under way
			f.grant(1)
			pass(5 * time.Second)
		}
		granted := time.Now()
		f.grant(1)
		pass(time.Minute)
		require.LessOrEqual(t, slow.brokenOff.Sub(granted), metric.Lease-guard)
		require.Greater(t, slow.brokenOff.Sub(granted), metric.Lease-guard-2*time.Second)
	})
}

// slowTarget collects until it is told to stop.
type slowTarget struct {
	target
	brokenOff time.Time
}

func (s *slowTarget) CollectMetrics(ctx context.Context, _ tsdb.MetricsQuery) ([]collect.Metric, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	<-ctx.Done()
	s.brokenOff = time.Now()
	return nil, ctx.Err()
}

func TestStoppedIsSaidOnceNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &target{hang: make(chan struct{})}
		f := newFixture(t, c, t.TempDir())
		defer f.stop()
		f.want(jobOf(3, 1))
		f.grant(3)
		pass(6 * time.Second)
		require.Equal(t, 1, c.asked())
		ending := jobOf(3, 2)
		ending.Ending = true
		f.want(ending)
		pass(5 * time.Second)
		require.False(t, f.observed(t).GetStopped(), "a collection hangs")
		changes := f.changes
		close(c.hang)
		c.mu.Lock()
		c.hang = nil
		c.mu.Unlock()
		pass(time.Second)
		require.True(t, f.observed(t).GetStopped())
		require.Greater(t, f.changes, changes, "it is told at once")
		require.Equal(t, 1, c.closed)

		f.grant(3) // late, and out of order
		f.want(jobOf(3, 3))
		pass(30 * time.Second)
		require.Equal(t, 1, c.asked(), "what is over stays over")
		f.want(jobOf(4, 3))
		f.grant(4)
		pass(10 * time.Second)
		require.Greater(t, c.asked(), 1)
	})
}

func TestANewDefinitionRestartsAndAnOldSetIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &target{}, t.TempDir())
		defer f.stop()
		f.want(jobOf(1, 1))
		f.grant(1)
		pass(6 * time.Second)
		changed := jobOf(1, 2)
		changed.Spec.Labels = map[string]string{"rack": "a"}
		f.want(changed)
		f.Desired(1, &agentv1.MetricIntent{})
		f.Desired(9, nil)
		f.grant(1)
		pass(6 * time.Second)
		require.Len(t, f.opened, 2)
		require.Equal(t, "a", f.opened[1].Spec.GetLabels()["rack"])
		require.EqualValues(t, 2, f.observed(t).GetObservedGeneration())
		f.want()
		pass(time.Second)
		require.Empty(t, f.Observations())
		asked := f.asked()
		pass(30 * time.Second)
		require.Equal(t, asked, f.asked())
	})
}

func TestWhatCannotBeMadeIsToldAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &target{refuse: errors.New("region mars-1 is unknown")}
		f := newFixture(t, c, t.TempDir())
		defer f.stop()
		f.want(jobOf(1, 1))
		f.grant(1)
		pass(time.Second)
		require.ErrorContains(t, errors.New(f.observed(t).GetLastError()), "metric source node: region mars-1 is unknown")
		c.mu.Lock()
		c.refuse = nil
		c.mu.Unlock()
		for range 6 {
			f.grant(1)
			pass(5 * time.Second)
		}
		require.Positive(t, c.asked())
		require.Empty(t, f.observed(t).GetLastError())
		c.mu.Lock()
		c.err = errors.New("connection refused")
		c.mu.Unlock()
		f.grant(1)
		pass(6 * time.Second)
		require.Equal(t, "connection refused", f.observed(t).GetLastError())
	})
}

func TestWithoutAShardItSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Changed: func() {}, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		defer func() { cancel(); synctest.Wait() }()
		ending := jobOf(1, 1)
		m.Desired(1, &agentv1.MetricIntent{Jobs: []*agentv1.MetricJob{ending}})
		require.Contains(t, m.Observations()[0].GetLastError(), "keeps no metrics")
		ending = jobOf(1, 2)
		ending.Ending = true
		m.Desired(2, &agentv1.MetricIntent{Jobs: []*agentv1.MetricJob{ending}})
		pass(time.Second)
		require.True(t, m.Observations()[0].GetStopped())
	})
}

func TestDefinitionsReachTheRegistry(t *testing.T) {
	f := &fixture{registry: collect.NewRegistry()}
	m := New(Config{Registry: f.registry, Changed: func() {}, Logger: slog.New(slog.DiscardHandler)})
	m.Desired(1, &agentv1.MetricIntent{Definitions: []*novacronv1.MetricDefinition{
		{Name: "queue_length", Type: novacronv1.MetricType_METRIC_TYPE_GAUGE, Help: "Jobs that wait.", Labels: []string{"queue"}, Owner: "ops"},
		{Name: "vm_mine", Type: novacronv1.MetricType_METRIC_TYPE_GAUGE, Help: "Not allowed."},
	}})
	def, known := f.registry.Lookup("queue_length")
	require.True(t, known)
	require.Equal(t, collect.TypeGauge, def.Type)
	_, known = f.registry.Lookup("vm_mine")
	require.False(t, known)
	m.Desired(2, &agentv1.MetricIntent{})
	_, known = f.registry.Lookup("queue_length")
	require.False(t, known)
}

func TestTheNextAgentGoesOnFromTheSavedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), &target{}
		f := newFixture(t, c, dir)
		one := jobOf(5, 1)
		one.Watermark = timestamppb.New(time.Unix(1000, 0))
		f.want(one)
		f.grant(5)
		pass(6 * time.Second)
		require.Equal(t, time.Unix(1000, 0).UTC(), c.opened[0].From)
		kept := filepath.Join(c.opened[0].Dir, "ledger")
		require.NoError(t, os.WriteFile(kept, []byte("totals"), 0o600))
		f.stop()

		again := newFixture(t, c, dir)
		again.want(jobOf(5, 1))
		again.grant(5)
		pass(6 * time.Second)
		require.FileExists(t, kept, "the same assignment")
		continued := jobOf(9, 1)
		continued.ContinuedEpoch = 5
		again.want(continued)
		again.grant(9)
		pass(6 * time.Second)
		require.FileExists(t, kept, "the next one of this host")
		again.want(jobOf(14, 1)) // another host had it in between
		again.grant(14)
		pass(6 * time.Second)
		require.NoFileExists(t, kept)
		again.stop()
	})
}

func TestFoldersStayInTheirPlace(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b"} {
		_, err := stateFolder(t.TempDir(), name, 1, 0)
		require.Error(t, err, name)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(file, []byte("s3cr3t\n"), 0o600))
	t.Setenv("NOVACRON_TEST_TOKEN", "from the environment")
	with := func(credential *novacronv1.MetricCredential) *agentv1.MetricJob {
		j := jobOf(1, 1)
		j.Spec.Credential, j.Secret = credential, []byte("sealed once")
		return j
	}
	ref := func(path string) *novacronv1.MetricCredential {
		return &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: path}}
	}
	env := func(name string) *novacronv1.MetricCredential {
		return &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Environment{Environment: name}}
	}
	sealed := &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{}}
	for want, credential := range map[string]*novacronv1.MetricCredential{"s3cr3t": ref(file), "from the environment": env("NOVACRON_TEST_TOKEN"), "sealed once": sealed} {
		read, err := secretOf(with(credential))
		require.NoError(t, err)
		got, err := read()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	none, err := secretOf(with(nil))
	require.NoError(t, err)
	require.Nil(t, none)
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, make([]byte, metric.MaxSecretBytes+1), 0o600))
	for says, credential := range map[string]*novacronv1.MetricCredential{
		"has to lie on every host": ref(filepath.Join(dir, "missing")), "no regular file": ref(dir), "has more than 65536 bytes": ref(large), "is not set": env("NOVACRON_TEST_NONE"),
	} {
		read, err := secretOf(with(credential))
		require.NoError(t, err)
		_, err = read()
		require.ErrorContains(t, err, says)
	}
	problem := with(sealed)
	problem.SecretProblem = "the secret takes another key"
	_, err = secretOf(problem)
	require.ErrorContains(t, err, "takes another key")
}
