package rpc

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// series knows one host.
type series map[string]uint64

func (s series) Tell(id string, told *agentv1.MetricUsage, _ time.Time) { s[id] = told.GetSeries() }
func (s series) Active(id string) (uint64, bool) {
	n, told := s[id]
	return n, told
}

// TestLimitsGoToTheHostsTheyConcern has each host hear of its own share and of all limits, and of nothing else.
func TestLimitsGoToTheHostsTheyConcern(t *testing.T) {
	s := withCA(t, server(t, &log{leads: true}))
	s.Series = series{"h2": 40}
	s.put(t, append(agentCommands("h1"), agentCommands("h2")...)...)
	require.Equal(t, &novacronv1.MetricLimits{}, limitsFor(s.Store.View(), "h1").GetLimits(), "hosts hear that there are none")
	before := s.Store.View().Cursor()
	s.put(t, &statev1.Command{Op: &statev1.Command_PutMetricLimits{PutMetricLimits: &statev1.PutMetricLimits{Limits: &novacronv1.MetricLimits{ClusterSeries: 100}}}})
	record, _ := s.Store.View().MetricLimits()
	s.put(t, &statev1.Command{Op: &statev1.Command_ShareMetricSeries{ShareMetricSeries: &statev1.ShareMetricSeries{
		Revision: record.GetRevision(), Shares: []*novacronv1.MetricShare{{HostId: "h2", Series: 60, Held: 70}},
	}}})
	changes, _, err := s.Store.Next(t.Context(), before)
	require.NoError(t, err)
	require.Len(t, changes, 2)
	for _, host := range []string{"h1", "h2"} {
		require.True(t, concernsMetrics(changes[0], host), "the limit is for all")
		require.Equal(t, host == "h2", concernsMetrics(changes[1], host), "the share is for %s", host)
	}
	require.Equal(t, uint64(60), limitsFor(s.Store.View(), "h2").GetShare())
	require.Zero(t, limitsFor(s.Store.View(), "h1").GetShare())

	m := &metricService{s}
	answer, err := m.GetMetricLimits(t.Context(), connect.NewRequest(&novacronv1.GetMetricLimitsRequest{}))
	require.NoError(t, err)
	require.Equal(t, record.GetRevision(), answer.Msg.GetRevision())
	require.Len(t, answer.Msg.GetShares(), 2)
	require.Nil(t, answer.Msg.GetShares()[0].Active)
	require.Equal(t, "h2", answer.Msg.GetShares()[1].GetHostName())
	require.Equal(t, uint64(40), answer.Msg.GetShares()[1].GetActive())
	require.Equal(t, uint64(70), answer.Msg.GetShares()[1].GetHeld())
	_, err = m.SetMetricLimits(t.Context(), connect.NewRequest(&novacronv1.SetMetricLimitsRequest{Limits: &novacronv1.MetricLimits{ClusterSeries: 1 << 60}}))
	require.ErrorContains(t, err, "cluster_series")
	_, err = m.ExploreCardinality(t.Context(), connect.NewRequest(&novacronv1.ExploreCardinalityRequest{By: 99}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}
