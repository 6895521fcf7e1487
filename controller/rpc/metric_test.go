package rpc

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// put has commands applied to the state of a server.
func (s *Server) put(t *testing.T, commands ...*statev1.Command) {
	t.Helper()
	for _, command := range commands {
		command.Version, command.Time = state.Version, timestamppb.Now()
		encoded, err := proto.Marshal(command)
		require.NoError(t, err)
		require.NoError(t, s.Store.Apply(s.Store.Revision()+1, encoded).Err)
	}
}

func agentCommands(id string) []*statev1.Command {
	return []*statev1.Command{
		{Op: &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_AGENT}}}},
		{Op: &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: id, State: novacronv1.HostState_HOST_STATE_UP, Info: &novacronv1.HostInfo{}}}},
	}
}

// assigned has a source, with a sealed secret, collected by h1.
func assigned(t *testing.T, s *Server, secret string) *novacronv1.MetricSource {
	t.Helper()
	s.put(t, append(agentCommands("h1"), agentCommands("h2")...)...)
	op := &statev1.PutMetricSource{Spec: &novacronv1.MetricSourceSpec{Name: "node", Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: "http://a"}}}}
	require.NoError(t, (&metricService{s}).seal(op, []byte(secret)))
	s.put(t, &statev1.Command{Op: &statev1.Command_PutMetricSource{PutMetricSource: op}})
	record, _ := s.Store.View().MetricSource("node")
	s.put(t, &statev1.Command{Op: &statev1.Command_AssignMetricSources{AssignMetricSources: &statev1.AssignMetricSources{
		Assignments: []*statev1.MetricAssignment{{Source: "node", HostId: "h1", Revision: record.GetSource().GetRevision()}},
	}}})
	record, _ = s.Store.View().MetricSource("node")
	return record.GetSource()
}

func withCA(t *testing.T, s *Server) *Server {
	t.Helper()
	ca, err := pki.NewCA("one", time.Now())
	require.NoError(t, err)
	s.CA, s.Now, s.Logger = ca, time.Now, slog.New(slog.DiscardHandler)
	return s
}

// TestLeasesComeFromAProvenState: without the proof there are none, and none for who is not, or no longer, to collect.
func TestLeasesComeFromAProvenState(t *testing.T) {
	l := &log{leads: true}
	s := &desiredService{withCA(t, server(t, l))}
	none, err := s.leases(t.Context(), "h1")
	require.NoError(t, err)
	require.Empty(t, none)
	require.Zero(t, l.reads, "hosts without sources cost nothing")

	source := assigned(t, s.Server, "s3cret")
	leases, err := s.leases(t.Context(), "h1")
	require.NoError(t, err)
	require.Len(t, leases, 1)
	require.Equal(t, source.GetStatus().GetEpoch(), leases[0].GetEpoch())
	require.Equal(t, metric.Lease, leases[0].GetDuration().AsDuration())
	require.Equal(t, 1, l.reads)
	others, err := s.leases(t.Context(), "h2")
	require.NoError(t, err)
	require.Empty(t, others)

	l.readErr = errors.New("leads no more")
	_, err = s.leases(t.Context(), "h1")
	require.ErrorIs(t, err, l.readErr)
	l.readErr = nil
	s.put(t, &statev1.Command{Op: &statev1.Command_EndMetricAssignments{EndMetricAssignments: &statev1.EndMetricAssignments{
		Endings: []*statev1.MetricEnding{{Source: "node", Epoch: source.GetStatus().GetEpoch()}},
	}}})
	leases, err = s.leases(t.Context(), "h1")
	require.NoError(t, err)
	require.Empty(t, leases, "it was asked for the source back")
}

// TestTheSecretIsInTheSetOfTheHostThatCollects and in nothing else that is made of the state.
func TestTheSecretIsInTheSetOfTheHostThatCollects(t *testing.T) {
	s := &desiredService{withCA(t, server(t, &log{leads: true}))}
	source := assigned(t, s.Server, "s3cret")
	record, _ := s.Store.View().MetricSource("node")
	require.NotContains(t, record.String(), "s3cret")
	require.Equal(t, "s3cret", string(s.metricsFor(s.Store.View(), "h1").GetJobs()[0].GetSecret()))
	require.Empty(t, s.metricsFor(s.Store.View(), "h2").GetJobs())
	require.Equal(t, []string{"node"}, s.metricsFor(s.Store.View(), "h2").GetSources().GetNames(), "all know which sources there are")

	ca, err := pki.NewCA("one", time.Now())
	require.NoError(t, err)
	ours := s.CA
	s.CA = ca
	job := s.metricsFor(s.Store.View(), "h1").GetJobs()[0]
	require.Empty(t, job.GetSecret())
	require.Contains(t, job.GetSecretProblem(), "give the secret again")
	s.CA = ours
	s.put(t, &statev1.Command{Op: &statev1.Command_EndMetricAssignments{EndMetricAssignments: &statev1.EndMetricAssignments{
		Endings: []*statev1.MetricEnding{{Source: "node", Epoch: source.GetStatus().GetEpoch()}},
	}}})
	job = s.metricsFor(s.Store.View(), "h1").GetJobs()[0]
	require.True(t, job.GetEnding())
	require.Empty(t, job.GetSecret(), "it has no more use for it")
}

func TestSealingChecksWhatIsGiven(t *testing.T) {
	m := &metricService{withCA(t, server(t, &log{}))}
	sealed := &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{}}}
	file := &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: "/a"}}
	op := func(credential *novacronv1.MetricCredential, replace bool) *statev1.PutMetricSource {
		return &statev1.PutMetricSource{Replace: replace, Spec: &novacronv1.MetricSourceSpec{Name: "a", Credential: credential}}
	}
	require.ErrorContains(t, m.seal(op(sealed, false), nil), "secret: missing")
	require.NoError(t, m.seal(op(sealed, true), nil), "what is there is kept")
	require.ErrorContains(t, m.seal(op(file, false), []byte("x")), "give one of them")
	require.ErrorContains(t, m.seal(op(nil, false), make([]byte, metric.MaxSecretBytes+1)), "at most 65536")
	require.NoError(t, m.seal(op(file, false), nil))
}

func TestProgressIsCommittedNowAndThenAndNewsAtOnce(t *testing.T) {
	now := time.Unix(10_000, 0)
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	known := func() *novacronv1.MetricSourceStatus {
		return &novacronv1.MetricSourceStatus{
			State: novacronv1.MetricSourceState_METRIC_SOURCE_STATE_RUNNING, Epoch: 4, ObservedGeneration: 2,
			LastSuccessTime: at(-time.Minute), UpdateTime: at(-10 * time.Second), Watermark: at(-time.Minute),
		}
	}
	for name, c := range map[string]struct {
		known func(*novacronv1.MetricSourceStatus)
		seen  *agentv1.MetricJobObservation
		news  bool
	}{
		"progress":        {nil, &agentv1.MetricJobObservation{Epoch: 4, ObservedGeneration: 2, LastSuccessTime: at(0)}, false},
		"progress, later": {func(k *novacronv1.MetricSourceStatus) { k.UpdateTime = at(-progressEvery) }, &agentv1.MetricJobObservation{Epoch: 4, LastSuccessTime: at(0)}, true},
		"an error":        {nil, &agentv1.MetricJobObservation{Epoch: 4, LastError: "refused"}, true},
		"another epoch":   {nil, &agentv1.MetricJobObservation{Epoch: 3, LastError: "refused"}, false},
		"a definition":    {nil, &agentv1.MetricJobObservation{Epoch: 4, ObservedGeneration: 3}, true},
		"a pause":         {nil, &agentv1.MetricJobObservation{Epoch: 4, ObservedGeneration: 2, Pauses: []*novacronv1.MetricPause{{Account: "a", Api: "b", UntilTime: at(time.Hour)}}}, true},
		"the same pause": {func(k *novacronv1.MetricSourceStatus) {
			k.Pauses = []*novacronv1.MetricPause{{Account: "a", Api: "b", UntilTime: at(time.Hour)}}
		}, &agentv1.MetricJobObservation{Epoch: 4, ObservedGeneration: 2, Pauses: []*novacronv1.MetricPause{{Account: "a", Api: "b", UntilTime: at(time.Hour)}}}, false},
		"nothing": {nil, &agentv1.MetricJobObservation{Epoch: 4, ObservedGeneration: 2}, false},
		"the first success": {func(k *novacronv1.MetricSourceStatus) {
			k.State = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_STARTING
		}, &agentv1.MetricJobObservation{Epoch: 4, LastSuccessTime: at(0)}, true},
		"stopped": {func(k *novacronv1.MetricSourceStatus) {
			k.State = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_ENDING
		}, &agentv1.MetricJobObservation{Epoch: 4, Stopped: true}, true},
		"not stopped yet": {func(k *novacronv1.MetricSourceStatus) {
			k.State = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_ENDING
		}, &agentv1.MetricJobObservation{Epoch: 4, LastError: "x"}, false},
	} {
		k := known()
		if c.known != nil {
			c.known(k)
		}
		require.Equal(t, c.news, isSourceNews(k, c.seen, now), name)
	}
	long := clip(strings.Repeat("é", maxSourceError))
	require.True(t, utf8.ValidString(long))
	require.LessOrEqual(t, len(long), maxSourceError+len("…"))
}

// TestPausesAreBounded keeps a host from filling the state.
func TestPausesAreBounded(t *testing.T) {
	var told []*novacronv1.MetricPause
	for range 2 * maxPauses {
		told = append(told, &novacronv1.MetricPause{Account: "a", Api: "b", UntilTime: timestamppb.Now()})
	}
	require.Len(t, bounded(told), maxPauses)
	told[0].Account, told[1].Api, told[2].UntilTime = strings.Repeat("x", maxPauseText+1), strings.Repeat("x", maxPauseText+1), &timestamppb.Timestamp{Nanos: -1}
	require.Len(t, bounded(told), maxPauses-3)
}

// TestDeletionsConcernAllHosts: one that had the source before may keep something of it.
func TestDeletionsConcernAllHosts(t *testing.T) {
	record := &statev1.MetricSourceRecord{Source: &novacronv1.MetricSource{Status: &novacronv1.MetricSourceStatus{HostId: "h1"}}}
	require.True(t, concernsMetrics(state.Change{Before: record}, "h2"))
	require.False(t, concernsMetrics(state.Change{Before: record, After: record}, "h2"))
	require.True(t, concernsMetrics(state.Change{After: record}, "h1"))
}

// TestSeriesKeepTheirHost: the loss of one host moves its series alone, and all hosts have about as many.
func TestSeriesKeepTheirHost(t *testing.T) {
	hosts := map[string]*novacronv1.Host{}
	for i := range 5 {
		hosts[fmt.Sprint("host-", i)] = &novacronv1.Host{}
	}
	before, count := map[int]string{}, map[string]int{}
	sample := func(i int) *novacronv1.MetricSample {
		return &novacronv1.MetricSample{Name: "queue_length", Labels: map[string]string{"queue": fmt.Sprint(i), "rack": "a"}}
	}
	const series = 5000
	for i := range series {
		before[i] = keeper(sample(i), hosts)
		count[before[i]]++
	}
	for host, n := range count {
		require.InDelta(t, series/5, n, series/25, host)
	}
	delete(hosts, "host-3")
	for i := range series {
		if now := keeper(sample(i), hosts); before[i] != "host-3" {
			require.Equal(t, before[i], now)
		}
	}
}

func TestPushesAreBoundedAndNeedAHost(t *testing.T) {
	m := &metricService{withCA(t, server(t, &log{}))}
	_, err := m.PushMetrics(t.Context(), pushOf(maxPushed+1))
	require.ErrorContains(t, err, "at most 10000")
	_, err = m.PushMetrics(t.Context(), pushOf(1))
	require.ErrorContains(t, err, "no host is up")
}

func pushOf(n int) *connect.Request[novacronv1.PushMetricsRequest] {
	return connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: make([]*novacronv1.MetricSample, n)})
}
