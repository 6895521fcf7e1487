package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func scrapeOf(name, url string) *novacronv1.MetricSourceSpec {
	return &novacronv1.MetricSourceSpec{Name: name, Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: url}}}
}

func sealedAs(spec *novacronv1.MetricSourceSpec, fingerprint string) *novacronv1.MetricSourceSpec {
	spec.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{Fingerprint: fingerprint, KeyId: "k"}}}
	return spec
}

func putSourceOp(spec *novacronv1.MetricSourceSpec, options ...func(*statev1.PutMetricSource)) func(*statev1.Command) {
	return func(c *statev1.Command) {
		op := &statev1.PutMetricSource{Spec: spec}
		for _, option := range options {
			option(op)
		}
		c.Op = &statev1.Command_PutMetricSource{PutMetricSource: op}
	}
}

func replacing(generation uint64) func(*statev1.PutMetricSource) {
	return func(op *statev1.PutMetricSource) { op.Replace, op.Generation = true, generation }
}

func withCipher(text string) func(*statev1.PutMetricSource) {
	return func(op *statev1.PutMetricSource) {
		op.Secret = &statev1.SealedMetricSecret{KeyId: "k", Ciphertext: []byte(text)}
	}
}

func deleteSourceOp(name string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricSource{DeleteMetricSource: &statev1.DeleteMetricSource{Name: name}}
	}
}

func assignOp(name, host string, revision uint64) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_AssignMetricSources{AssignMetricSources: &statev1.AssignMetricSources{
			Assignments: []*statev1.MetricAssignment{{Source: name, HostId: host, Revision: revision}},
		}}
	}
}

func endOp(name string, epoch uint64) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_EndMetricAssignments{EndMetricAssignments: &statev1.EndMetricAssignments{
			Endings: []*statev1.MetricEnding{{Source: name, Epoch: epoch, Message: "why"}},
		}}
	}
}

func releaseOp(name string, epoch uint64) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ReleaseMetricSources{ReleaseMetricSources: &statev1.ReleaseMetricSources{
			Releases: []*statev1.MetricRelease{{Source: name, Epoch: epoch}},
		}}
	}
}

func observeSourceOp(host string, o *statev1.MetricSourceObservation) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveMetricSources{ObserveMetricSources: &statev1.ObserveMetricSources{HostId: host, Sources: []*statev1.MetricSourceObservation{o}}}
	}
}

func (f *fixture) source(name string) *novacronv1.MetricSource {
	f.t.Helper()
	record, ok := f.store.View().MetricSource(name)
	require.True(f.t, ok, name)
	return record.GetSource()
}

func (f *fixture) assign(name, host string) uint64 {
	f.t.Helper()
	f.must(assignOp(name, host, f.source(name).GetRevision()))
	return f.source(name).GetStatus().GetEpoch()
}

func TestASourceIsOfOneHostAtATime(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 1, 1, 1)
	f.addHost("h2", 1, 1, 1)
	f.must(putSourceOp(scrapeOf("node", "http://a")))
	seen := f.source("node").GetRevision()
	epoch := f.assign("node", "h1")
	require.Equal(t, sourceStarting, f.source("node").GetStatus().GetState())
	_, err := f.apply(assignOp("node", "h2", seen))
	require.ErrorIs(t, err, ErrStale, "a plan from before")
	_, err = f.apply(assignOp("node", "h2", f.source("node").GetRevision()))
	require.ErrorIs(t, err, ErrStale, "it has a host")

	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, ObservedGeneration: 1,
		LastSuccessTime: timestamppb.New(f.now), Series: 4, Watermark: timestamppb.New(f.now)}))
	status := f.source("node").GetStatus()
	require.Equal(t, sourceRunning, status.GetState())
	require.EqualValues(t, 4, status.GetSeries())
	f.must(observeSourceOp("h2", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, LastError: "not mine"}))
	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch - 1, LastError: "long ago"}))
	require.Empty(t, f.source("node").GetStatus().GetLastError())
	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, Stopped: true}))
	require.Equal(t, "h1", f.source("node").GetStatus().GetHostId(), "nobody asked it to stop")
	_, err = f.apply(releaseOp("node", epoch))
	require.ErrorIs(t, err, ErrStale)

	require.True(t, MayCollect(f.source("node"), "h1"))
	_, err = f.apply(endOp("node", epoch-1))
	require.ErrorIs(t, err, ErrStale)
	f.must(endOp("node", epoch))
	require.False(t, MayCollect(f.source("node"), "h1"))
	require.Equal(t, "h1", f.source("node").GetStatus().GetHostId())
	_, err = f.apply(endOp("node", epoch))
	require.ErrorIs(t, err, ErrStale, "once is enough")
	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, Stopped: true}))
	status = f.source("node").GetStatus()
	require.Equal(t, sourceWaiting, status.GetState())
	require.Empty(t, status.GetHostId())
	require.NotNil(t, status.GetWatermark(), "the next host begins where this one got to")

	again := f.assign("node", "h1")
	require.Greater(t, again, epoch)
	require.Equal(t, epoch, f.source("node").GetStatus().GetContinuedEpoch())
	f.must(endOp("node", again))
	f.must(releaseOp("node", again))
	f.assign("node", "h2")
	require.Zero(t, f.source("node").GetStatus().GetContinuedEpoch())
}

// TestPausesOutliveTheAssignment holds that the next host knows which APIs must not be called, also when the one before is
// lost, and that what is over is forgotten.
func TestPausesOutliveTheAssignment(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 1, 1, 1)
	f.addHost("h2", 1, 1, 1)
	f.must(putSourceOp(scrapeOf("node", "http://a")))
	epoch := f.assign("node", "h1")
	pause := &novacronv1.MetricPause{Account: "123", Api: "GetThings", UntilTime: timestamppb.New(f.now.Add(time.Hour))}
	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, LastError: "throttled", Pauses: []*novacronv1.MetricPause{pause},
		Spent: &novacronv1.MetricSpending{Day: "2026-03-01", Units: 70}}))
	f.must(endOp("node", epoch))
	f.must(releaseOp("node", epoch))
	next := f.assign("node", "h2")
	require.Len(t, f.source("node").GetStatus().GetPauses(), 1)
	require.True(t, proto.Equal(pause, f.source("node").GetStatus().GetPauses()[0]))
	require.EqualValues(t, 70, f.source("node").GetStatus().GetSpent().GetUnits())
	f.must(observeSourceOp("h2", &statev1.MetricSourceObservation{Source: "node", Epoch: next, LastSuccessTime: timestamppb.New(f.now)}))
	require.Empty(t, f.source("node").GetStatus().GetPauses())
}

func TestSourcesEndInOrder(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 1, 1, 1)
	f.must(putSourceOp(scrapeOf("node", "http://a")))
	f.must(deleteSourceOp("node"))
	_, there := f.store.View().MetricSource("node")
	require.False(t, there, "no host has it")

	f.must(putSourceOp(scrapeOf("node", "http://a")))
	epoch := f.assign("node", "h1")
	f.must(deleteSourceOp("node"))
	require.Equal(t, sourceEnding, f.source("node").GetStatus().GetState())
	_, err := f.apply(putSourceOp(scrapeOf("node", "http://a")))
	require.ErrorIs(t, err, ErrExists, "its collector may be at it still")
	_, err = f.apply(putSourceOp(scrapeOf("node", "http://b"), replacing(0)))
	require.ErrorIs(t, err, ErrRefused)
	f.must(releaseOp("node", epoch))
	_, there = f.store.View().MetricSource("node")
	require.False(t, there)

	f.must(putSourceOp(scrapeOf("node", "http://a")))
	paused := scrapeOf("node", "http://a")
	paused.Paused = true
	epoch = f.assign("node", "h1")
	f.must(putSourceOp(paused, replacing(1)))
	require.Equal(t, sourceEnding, f.source("node").GetStatus().GetState())
	f.must(observeSourceOp("h1", &statev1.MetricSourceObservation{Source: "node", Epoch: epoch, Stopped: true}))
	require.Equal(t, sourcePaused, f.source("node").GetStatus().GetState())
	f.must(putSourceOp(scrapeOf("node", "http://a"), replacing(0)))
	require.Equal(t, sourceWaiting, f.source("node").GetStatus().GetState())

	f.assign("node", "h1")
	f.must(func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: "h1"}}
	})
	require.Equal(t, sourceEnding, f.source("node").GetStatus().GetState(), "its leases have to run out")
	require.Contains(t, f.source("node").GetStatus().GetMessage(), "was removed")
}

func TestDefinitionsOfSourcesChangeInOrder(t *testing.T) {
	f := newFixture(t)
	f.must(putSourceOp(scrapeOf("node", "http://a")))
	before := f.store.View().Revision()
	f.must(putSourceOp(scrapeOf("node", "http://a")))
	require.Equal(t, before, f.source("node").GetRevision(), "a retry")
	_, err := f.apply(putSourceOp(scrapeOf("node", "http://b")))
	require.ErrorIs(t, err, ErrExists)
	_, err = f.apply(putSourceOp(scrapeOf("other", "http://b"), replacing(0)))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = f.apply(putSourceOp(scrapeOf("node", "http://b"), replacing(2)))
	require.ErrorIs(t, err, ErrStale)
	f.must(putSourceOp(scrapeOf("node", "http://b"), replacing(1)))
	require.EqualValues(t, 2, f.source("node").GetGeneration())
	_, err = f.apply(putSourceOp(&novacronv1.MetricSourceSpec{Name: "node", Kind: &novacronv1.MetricSourceSpec_Gcp{}}, replacing(0)))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "its kind stays")
	for _, op := range []func(*statev1.Command){putSourceOp(nil), deleteSourceOp("none"), func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricDefinition{}
	}} {
		_, err = f.apply(op)
		require.Error(t, err)
	}
}

func TestSecretsAreKeptReplacedAndNotRedirected(t *testing.T) {
	f := newFixture(t)
	cipher := func() string {
		record, _ := f.store.View().MetricSource("node")
		return string(record.GetSecret().GetCiphertext())
	}
	_, err := f.apply(putSourceOp(sealedAs(scrapeOf("node", "http://a"), "1")))
	require.ErrorIs(t, err, ErrInvalid, "sealed, but nothing is given")
	f.must(putSourceOp(sealedAs(scrapeOf("node", "http://a"), "1"), withCipher("one")))
	set := f.source("node").GetSpec().GetCredential().GetSealed().GetSetTime()
	require.NotNil(t, set)
	f.must(putSourceOp(sealedAs(scrapeOf("node", "http://a"), "1"), withCipher("one, sealed again")))
	require.Equal(t, "one", cipher(), "a retry")

	slower := sealedAs(scrapeOf("node", "http://a"), "whatever")
	slower.Metrics = []string{"up"}
	f.must(putSourceOp(slower, replacing(0)))
	require.Equal(t, "one", cipher())
	require.Equal(t, "1", f.source("node").GetSpec().GetCredential().GetSealed().GetFingerprint(), "what it says is of what is there")
	require.True(t, proto.Equal(set, f.source("node").GetSpec().GetCredential().GetSealed().GetSetTime()))

	_, err = f.apply(putSourceOp(sealedAs(scrapeOf("node", "http://thief"), "1"), replacing(0)))
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "give it again")
	f.must(putSourceOp(sealedAs(scrapeOf("node", "http://new"), "2"), replacing(0), withCipher("two")))
	require.Equal(t, "two", cipher())
	generation := f.source("node").GetGeneration()
	f.must(putSourceOp(sealedAs(scrapeOf("node", "http://new"), "3"), replacing(0), withCipher("three")))
	require.Greater(t, f.source("node").GetGeneration(), generation, "its host has to hear of a new secret")
	f.must(putSourceOp(scrapeOf("node", "http://new"), replacing(0)))
	require.Empty(t, cipher())
}

func TestMetricDefinitionsKeepWhatSamplesMean(t *testing.T) {
	f := newFixture(t)
	define := func(d *novacronv1.MetricDefinition) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMetricDefinition{PutMetricDefinition: &statev1.PutMetricDefinition{Definition: d}}
		}
	}
	gauge := novacronv1.MetricType_METRIC_TYPE_GAUGE
	f.must(define(&novacronv1.MetricDefinition{Name: "q", Type: gauge, Help: "a"}))
	first, _ := f.store.View().MetricDefinition("q")
	f.must(define(&novacronv1.MetricDefinition{Name: "q", Type: gauge, Help: "a"}))
	same, _ := f.store.View().MetricDefinition("q")
	require.Equal(t, first.GetRevision(), same.GetRevision())
	f.must(define(&novacronv1.MetricDefinition{Name: "q", Type: gauge, Help: "b", Labels: []string{"x"}}))
	_, err := f.apply(define(&novacronv1.MetricDefinition{Name: "q", Type: gauge, Unit: "bytes", Help: "b"}))
	require.ErrorIs(t, err, ErrExists)
	remove := func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricDefinition{DeleteMetricDefinition: &statev1.DeleteMetricDefinition{Name: "q"}}
	}
	f.must(remove)
	_, err = f.apply(remove)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestWhatHostsAreToldStaysSmall(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 64<<10)
	fill := func(op func(i int) func(*statev1.Command)) (n int, err error) {
		for ; err == nil; n++ {
			_, err = f.apply(op(n))
		}
		return n, err
	}
	n, err := fill(func(i int) func(*statev1.Command) {
		return putSourceOp(sealedAs(scrapeOf(fmt.Sprint("s", i), "http://a"), "1"), withCipher(long))
	})
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "delete some")
	require.Greater(t, n, 10)
	f.must(putSourceOp(sealedAs(scrapeOf("s0", "http://a"), "2"), replacing(0), withCipher(long)))
	_, err = fill(func(i int) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMetricDefinition{PutMetricDefinition: &statev1.PutMetricDefinition{Definition: &novacronv1.MetricDefinition{Name: fmt.Sprint("m", i), Help: long}}}
		}
	})
	require.ErrorIs(t, err, ErrRefused)
}

func TestARestoreLeavesCollectorsWhereTheyAre(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 1, 1, 1)
	for _, name := range []string{"kept", "gone", "moved"} {
		f.must(putSourceOp(scrapeOf(name, "http://a")))
	}
	f.assign("gone", "h1")
	backup := saved(t, f.store.View())
	f.must(deleteSourceOp("gone"))
	f.must(releaseOp("gone", f.source("gone").GetStatus().GetEpoch()))
	epoch := f.assign("moved", "h1")
	f.must(putSourceOp(scrapeOf("moved", "http://b"), replacing(0)))
	f.must(putSourceOp(scrapeOf("new", "http://a")))
	f.assign("new", "h1")
	f.must(putSourceOp(scrapeOf("idle", "http://a")))
	now := merged(t, backup, f.store.View())

	moved, _ := now.MetricSource("moved")
	require.Equal(t, "h1", moved.GetSource().GetStatus().GetHostId())
	require.Equal(t, epoch, moved.GetSource().GetStatus().GetEpoch())
	require.Equal(t, "http://a", moved.GetSource().GetSpec().GetScrape().GetUrl(), "what is collected is the backup's")
	require.EqualValues(t, 3, moved.GetSource().GetGeneration())
	gone, ok := now.MetricSource("gone")
	require.True(t, ok)
	require.Empty(t, gone.GetSource().GetStatus().GetHostId(), "it has no collector today")
	fresh, ok := now.MetricSource("new")
	require.True(t, ok, "it is collected from: that has to end first")
	require.Equal(t, sourceEnding, fresh.GetSource().GetStatus().GetState())
	require.NotNil(t, fresh.GetSource().GetDeleteTime())
	_, ok = now.MetricSource("idle")
	require.False(t, ok)
}

// metricCommands draws commands on sources and definitions.
func metricCommands(t *rapid.T, id, other string, n uint64) []func(*statev1.Command) {
	spec := scrapeOf(id, "http://"+other)
	spec.Paused = n == 5
	epoch := rapid.Uint64Range(1, 60).Draw(t, "epoch")
	return []func(*statev1.Command){
		putSourceOp(spec), putSourceOp(spec, replacing(n)), putSourceOp(sealedAs(scrapeOf(id, "http://x"), other), replacing(0), withCipher(other)),
		putForward(forwardTo(id, other)), putForward(forwardTo(id, other), changing(n)), dropForward(id),
		putForward(sealedForward(forwardTo(id, "http://x"), other), changing(0), secretly(other)),
		deleteSourceOp(id), assignOp(id, other, epoch), assignOp(id, other, epoch), endOp(id, epoch), releaseOp(id, epoch),
		observeSourceOp(other, &statev1.MetricSourceObservation{Source: id, Epoch: epoch, Stopped: n%2 == 0, LastError: other}),
		func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMetricDefinition{PutMetricDefinition: &statev1.PutMetricDefinition{Definition: &novacronv1.MetricDefinition{Name: id, Unit: other}}}
		},
		func(c *statev1.Command) {
			c.Op = &statev1.Command_DeleteMetricDefinition{DeleteMetricDefinition: &statev1.DeleteMetricDefinition{Name: id}}
		},
		putLimitsOp(10*n, 0), shareOp(epoch, share(min(id, other), n, 2*n), share(max(id, other), 3, epoch)), shareOp(epoch, share(id, n, n)),
	}
}

// checkSources demands that states say who has a source, and that epochs only grow.
func checkSources(t require.TestingT, v View, epochs map[string]uint64) {
	for name, record := range v.MetricSources("") {
		source := record.GetSource()
		status := source.GetStatus()
		idle := status.GetState() == sourceWaiting || status.GetState() == sourcePaused
		require.Equal(t, idle, status.GetHostId() == "", "%s", status)
		require.True(t, source.GetDeleteTime() == nil || status.GetState() == sourceEnding, "%s", source)
		require.Equal(t, source.GetSpec().GetPaused() && !idle, source.GetSpec().GetPaused() && status.GetState() == sourceEnding, "%s", source)
		require.Equal(t, source.GetSpec().GetCredential().GetSealed() != nil, record.GetSecret() != nil)
		key := "source " + name
		if status.GetHostId() != "" {
			require.GreaterOrEqual(t, status.GetEpoch(), epochs[key], "an epoch went back")
			epochs[key] = status.GetEpoch()
		}
	}
}
