package loop

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func (r *replica) addSource(t *testing.T, name string, hostLabels map[string]string) {
	t.Helper()
	r.do(t, func(c *statev1.Command) {
		put(name, false)(c)
		c.GetPutMetricSource().GetSpec().HostLabels = hostLabels
	})
}

func (r *replica) source(t *testing.T, name string) *novacronv1.MetricSourceStatus {
	t.Helper()
	record, ok := r.store.View().MetricSource(name)
	require.True(t, ok)
	return record.GetSource().GetStatus()
}

func (r *replica) planSources(t *testing.T) SourcesPlan {
	t.Helper()
	plan := PlanSources(r.store.View(), func(string) bool { return false })
	for _, op := range plan.ops() {
		r.do(t, op)
	}
	return plan
}

func TestSourcesAreSpreadAndStay(t *testing.T) {
	r := newReplica()
	for _, host := range []string{"a", "b", "c"} {
		r.addHost(t, host, 1)
	}
	count := map[string]int{}
	for i := range 7 {
		r.addSource(t, fmt.Sprint("s", i), nil)
	}
	r.planSources(t)
	for i := range 7 {
		count[r.source(t, fmt.Sprint("s", i)).GetHostId()]++
	}
	require.Len(t, count, 3)
	for host, n := range count {
		require.LessOrEqual(t, n, 3, host)
	}
	before := r.index
	r.addHost(t, "d", 1)
	after := r.index
	r.planSources(t)
	require.Equal(t, after, r.index, "nothing moves to a new host by itself")
	require.Greater(t, after, before)
}

func TestSourcesFollowLabelsDrainsAndSilence(t *testing.T) {
	r := newReplica()
	r.addHost(t, "plain", 1)
	r.addSource(t, "edge", map[string]string{"zone": "edge", "rack": "1"})
	r.planSources(t)
	require.Equal(t, "no host can collect from it: 1 looked at; 1: it does not have the labels rack=1, zone=edge", r.source(t, "edge").GetMessage())
	require.Empty(t, r.planSources(t).ops(), "it is said once")

	r.addSource(t, "any", nil)
	r.planSources(t)
	r.drain(t, "plain")
	plan := r.planSources(t)
	require.Equal(t, "host plain is being drained", plan.End.GetEndings()[0].GetMessage())
	require.Empty(t, r.planSources(t).ops(), "it waits for the host")
	require.Equal(t, "plain", r.source(t, "any").GetHostId())

	r.addHost(t, "other", 1)
	r.addSource(t, "third", nil)
	r.planSources(t)
	require.Equal(t, "other", r.source(t, "third").GetHostId())
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: "other", State: novacronv1.HostState_HOST_STATE_DOWN}}
	})
	require.Equal(t, "host other is not heard from", r.planSources(t).End.GetEndings()[0].GetMessage())
}

// TestALostHostKeepsItsSourceUntilItsLeasesAreOver: also across a change of leaders, who wait anew.
func TestALostHostKeepsItsSourceUntilItsLeasesAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		r.addHost(t, "a", 1)
		r.addSource(t, "s", nil)
		r.planSources(t)
		r.addHost(t, "b", 1)
		sources := &MetricSources{Store: r.store, Log: r, Now: time.Now, Logger: quiet()}
		lead := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { _ = sources.Loop().Run(ctx); close(done) }()
			return func() { cancel(); <-done }
		}
		r.do(t, func(c *statev1.Command) {
			c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: "a", State: novacronv1.HostState_HOST_STATE_DOWN}}
		})
		stop := lead()
		<-time.After(metric.LeaseWait - 2*time.Second)
		require.Equal(t, "a", r.source(t, "s").GetHostId())
		stop()
		stop = lead()
		defer func() { stop() }()
		<-time.After(metric.Lease)
		require.Equal(t, "a", r.source(t, "s").GetHostId(), "the new leader does not know when the last lease was given")
		<-time.After(metric.LeaseWait - metric.Lease + 4*time.Second)
		require.Equal(t, "b", r.source(t, "s").GetHostId())
	})
}
