package rpc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// forwarding has a forward with a sealed secret.
func forwarding(t *testing.T, s *Server, secret string) *novacronv1.MetricForward {
	t.Helper()
	op := &statev1.PutMetricForward{Spec: &novacronv1.MetricForwardSpec{Name: "mimir", Url: "https://a/push"}}
	require.NoError(t, (&forwardService{s}).seal(op, []byte(secret)))
	s.put(t, append(agentCommands("h1"), &statev1.Command{Op: &statev1.Command_PutMetricForward{PutMetricForward: op}})...)
	record, _ := s.Store.View().MetricForward("mimir")
	return record.GetForward()
}

// TestForwardSecretsAreForHosts alone, and sealed for this forward.
func TestForwardSecretsAreForHosts(t *testing.T) {
	s := &desiredService{withCA(t, server(t, &log{leads: true}))}
	forward := forwarding(t, s.Server, "s3cret")
	record, _ := s.Store.View().MetricForward("mimir")
	require.NotContains(t, record.String(), "s3cret")
	job := s.forwardsFor(s.Store.View()).GetForwards()[0]
	require.Equal(t, "s3cret", string(job.GetSecret()))
	require.Equal(t, forward.GetId(), job.GetId())
	answer, err := (&forwardService{s.Server}).GetMetricForward(t.Context(), connect.NewRequest(&novacronv1.GetMetricForwardRequest{Name: "mimir"}))
	require.NoError(t, err)
	require.NotContains(t, answer.Msg.String(), "s3cret")
	require.NotEmpty(t, answer.Msg.GetForward().GetSpec().GetCredential().GetSealed().GetFingerprint())

	other, err := pki.NewCA("one", time.Now())
	require.NoError(t, err)
	s.CA = other
	job = s.forwardsFor(s.Store.View()).GetForwards()[0]
	require.Empty(t, job.GetSecret())
	require.Contains(t, job.GetSecretProblem(), "give the secret again")
}

// TestForwardReports are kept by the leader, bounded, and of this forward and of members alone.
func TestForwardReports(t *testing.T) {
	s := &desiredService{withCA(t, server(t, &log{leads: true}))}
	forward := forwarding(t, s.Server, "x")
	s.put(t, agentCommands("h2")...)
	revision := s.Store.Revision()
	say := func(host string, id, pending uint64) {
		s.reportForwards(s.Store.View(), host, []*agentv1.MetricForwardObservation{{Forward: "mimir", Id: id, Status: &novacronv1.MetricForwardHost{
			HostName: "a lie", PendingSamples: pending, LastError: strings.Repeat("x", 2000),
		}}})
	}
	say("h2", forward.GetId(), 1)
	say("h1", forward.GetId(), 2)
	say("h1", forward.GetId(), 3)
	say("h3", forward.GetId(), 4)
	hosts := s.withHosts(forward).GetHosts()
	require.Len(t, hosts, 2)
	require.Equal(t, "h1", hosts[0].GetHostName())
	require.Equal(t, uint64(3), hosts[0].GetPendingSamples())
	require.LessOrEqual(t, len(hosts[0].GetLastError()), maxSourceError+len("…"))
	require.Equal(t, revision, s.Store.Revision(), "nothing was replicated")
	say("h2", forward.GetId()+1, 1) // of another one with the name
	require.Len(t, s.withHosts(forward).GetHosts(), 1)

	var many []*agentv1.MetricForwardObservation
	for i := range 100 {
		many = append(many, &agentv1.MetricForwardObservation{Forward: fmt.Sprint(i), Status: &novacronv1.MetricForwardHost{}})
	}
	s.reportForwards(s.Store.View(), "h1", many)
	require.Len(t, s.forwards.byHost["h1"], maxHostForwards)
	s.put(t, &statev1.Command{Op: &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: "h1", Force: true}}})
	s.withHosts(forward)
	require.NotContains(t, s.forwards.byHost, "h1")
}

// TestBadForwardsAreRefused with all that is wrong, before anything is replicated.
func TestBadForwardsAreRefused(t *testing.T) {
	s := &forwardService{withCA(t, server(t, &log{leads: true}))}
	for says, spec := range map[string]*novacronv1.MetricForwardSpec{
		"match[1] is \"{\"":     {Name: "a", Url: "http://a", Match: []string{"up", "{"}},
		"url is":                {Name: "a", Url: "gopher://a"},
		"headers.X:":            {Name: "a", Url: "http://a", Headers: map[string]string{"X:": "x"}},
		"clientCertificate":     {Name: "a", Url: "http://a", ClientCertificate: true},
		"queueBytes is 5":       {Name: "a", Url: "http://a", QueueBytes: 5},
		"labels.__name__":       {Name: "a", Url: "http://a", Labels: map[string]string{"__name__": "x"}},
		"username is \"a:b\"":   {Name: "a", Url: "http://a", Username: "a:b"},
		"no definition":         nil,
		"secret: missing: give": {Name: "a", Url: "http://a", Credential: &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{}}},
	} {
		_, err := s.CreateMetricForward(t.Context(), connect.NewRequest(&novacronv1.CreateMetricForwardRequest{Spec: spec}))
		require.Error(t, err, says)
		if says != "no definition" {
			require.ErrorContains(t, err, says)
		}
	}
	_, err := s.GetMetricForward(t.Context(), connect.NewRequest(&novacronv1.GetMetricForwardRequest{Name: "none"}))
	require.ErrorIs(t, err, state.ErrNotFound)
}

// TestAForwardConcernsEveryHost is told to all hosts when it changes.
func TestAForwardConcernsEveryHost(t *testing.T) {
	require.True(t, concernsMetrics(state.Change{After: &statev1.MetricForwardRecord{}}, "h1"))
	require.True(t, concernsMetrics(state.Change{Before: &statev1.MetricForwardRecord{}}, "h2"))
}
