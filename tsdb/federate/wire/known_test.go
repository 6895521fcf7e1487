package wire

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

// TestShardsTellWhatTheyKnow asks two shards, one of them of before, and one that is down.
func TestShardsTellWhatTheyKnow(t *testing.T) {
	var asked atomic.Int32
	serve := func(known federate.Known) string {
		mux := http.NewServeMux()
		mux.Handle(agentv1connect.NewShardServiceHandler(Server{Summary: func(context.Context) (federate.Summary, error) {
			asked.Add(1)
			s := federate.Summarize(map[string][]string{"host": {"a"}}, 10)
			s.Known = known
			return s, nil
		}}))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server.URL
	}
	told := federate.Known{Revision: engine.Revision{Epoch: 1 << 60, Changes: 7, Since: [3]int64{-1 << 63, 5, 1 << 62}}, Series: 42}
	hosts := []Host{{Name: "new", URL: serve(told)}, {Name: "old", URL: serve(federate.Known{})}, {Name: "down", Down: true}}
	roster := &Roster{Hosts: func() []Host { return hosts }, HTTP: &http.Client{Timeout: time.Minute}, Logger: slog.New(slog.DiscardHandler)}
	want := map[string]federate.Known{"new": told, "old": {}}
	assert.Equal(t, want, roster.Known(t.Context(), roster.Members()))
	assert.Equal(t, want, roster.Known(t.Context(), roster.Members()))
	assert.EqualValues(t, 2, asked.Load(), "what is fresh is not asked for again")
	pruned := labels.MustNewMatcher(labels.MatchEqual, "host", "b")
	assert.False(t, roster.MayHave(roster.Members()[1], []*labels.Matcher{pruned}), "the labels came with it")
}

// TestASilentShardIsWaitedForOnce asks of a shard that does not answer.
func TestASilentShardIsWaitedForOnce(t *testing.T) {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	roster := &Roster{Hosts: func() []Host { return []Host{{Name: "silent", URL: server.URL}} }, HTTP: server.Client(), Logger: slog.New(slog.DiscardHandler)}
	began := time.Now()
	assert.Empty(t, roster.Known(t.Context(), roster.Members()))
	assert.GreaterOrEqual(t, time.Since(began), knownWait)
	roster.mu.Lock()
	s := roster.summary(server.URL)
	if s.asking == nil { // its call has ended, as a busy machine comes late
		s.asking = make(chan struct{})
	}
	s.asked = time.Now().Add(-knownWait)
	roster.mu.Unlock()
	assert.Empty(t, roster.freshen(roster.Members(), summaryFresh), "silent for as long as one waits: nobody waits for it again")
}

// TestGuessesDoNotWait for shards that have told in the last minute.
func TestGuessesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3
		hosts := &silence{}
		roster := manyHosts(n, hosts)
		members := roster.Members()
		took := func(ask func(context.Context, []federate.Member) map[string]federate.Known, known int) time.Duration {
			began := time.Now()
			assert.Len(t, ask(t.Context(), members), known)
			return time.Since(began)
		}
		assert.Equal(t, knownWait, took(roster.Lately, 0), "nothing is known yet")
		time.Sleep(summaryTimeout)
		roster.mu.Lock()
		for _, s := range roster.summaries {
			s.at, s.Known = time.Now(), federate.Known{Series: 7}
		}
		roster.mu.Unlock()
		time.Sleep(summaryFresh + time.Second)
		_, before := hosts.counts()
		assert.Zero(t, took(roster.Lately, n))
		synctest.Wait()
		_, asked := hosts.counts()
		assert.Equal(t, n, asked-before, "beside")
		assert.Equal(t, knownWait, took(roster.Known, 0), "who needs what is of now waits")
		assert.Zero(t, took(roster.Lately, 0), "they have been silent for too long")
		time.Sleep(summaryTimeout)
		assert.Zero(t, took(roster.Lately, 0), "they have failed")
		time.Sleep(summaryFresh)
		assert.Equal(t, knownWait, took(roster.Lately, 0))
		time.Sleep(summaryTimeout)
	})
}

// TestEstimatesAreThoseOfTheShard counts behind HTTP.
func TestEstimatesAreThoseOfTheShard(t *testing.T) {
	shard := newFar(t, "h")
	fill(t, shard.store, "h", 3)
	e := federate.Estimation{Min: 0, Max: 4_000_000, Selectors: [][]*labels.Matcher{
		{labels.MustNewMatcher(labels.MatchEqual, "__name__", "g")}, {labels.MustNewMatcher(labels.MatchRegexp, "vm_id", "0|1")}, nil,
	}}
	got, err := shard.client.Estimate(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, []engine.Estimate{{Least: 3, Likely: 3}, {Least: 6, Likely: 6}, {Least: 9, Likely: 9}}, got)
	e.Bounds = []federate.Bounds{{Min: 0, Max: 4_000_000}, {Min: -2, Max: -1}, {Min: 0, Max: 4_000_000}}
	got, err = shard.client.Estimate(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, []engine.Estimate{{Least: 3, Likely: 3}, {}, {Least: 9, Likely: 9}}, got, "each between its own times")
	e.Bounds = e.Bounds[:2]
	_, err = shard.client.Estimate(t.Context(), e)
	require.ErrorContains(t, err, "bounds for 2 of 3 selectors")
	e.Selectors, e.Bounds = make([][]*labels.Matcher, maxExprs+1), nil
	_, err = shard.client.Estimate(t.Context(), e)
	require.ErrorContains(t, err, "257 selectors at once, at most 256")
	_, err = estimationFrom(&agentv1.EstimateRequest{Selectors: []*agentv1.LabelMatchers{{Matchers: []*agentv1.LabelMatcher{{Type: agentv1.LabelMatcher_TYPE_REGEXP, Name: "a", Value: "("}}}}})
	require.Error(t, err)
}
