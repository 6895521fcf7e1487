package wire

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// stuck is a store that finds nothing before it is let go.
type stuck struct {
	engine.Engine
	free chan struct{}
}

func (s stuck) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	<-s.free
	return s.Engine.Select(ctx, sel)
}

// TestNoTurnIsNoRefusal: who gives up before a shard had a turn for it has not been refused, so that the others' answers
// still count.
func TestNoTurnIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := query.New(query.Options{Limits: query.Limits{Concurrent: 1}})
		require.NoError(t, err)
		defer func() { require.NoError(t, q.Close()) }()
		store := stuck{memory.Open(memory.Options{}), make(chan struct{})}
		server := Server{Shard: federate.Local{Host: "h", Store: store, Query: q}}
		request := connect.NewRequest(&agentv1.EvaluateRequest{Exprs: []string{"g"}})
		go func() { _, _ = server.Shard.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = server.Evaluate(ctx, request, nil)
		assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "%v", err)
		close(store.free)
		synctest.Wait()
	})
}

// cutting is a set whose reader's time is up after the first series.
type cutting struct {
	engine.SeriesSet
	given  int
	cancel context.CancelFunc
}

func (s *cutting) Next() bool {
	if s.given++; s.given == 2 {
		s.cancel()
	}
	return s.SeriesSet.Next()
}

// TestACutStreamIsNoAnswer: what was packed when the time was up is not given as all there is.
func TestACutStreamIsNoAnswer(t *testing.T) {
	store := memory.Open(memory.Options{})
	fill(t, store, "h", 3)
	set, err := store.Select(t.Context(), engine.Selection{Max: 4_000_000, Sorted: true})
	require.NoError(t, err)
	defer set.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err = sendSeries(ctx, &cutting{SeriesSet: set, cancel: cancel}, func(*agentv1.SelectResponse) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// wordy is a store with more to list than a message holds.
type wordy struct{ engine.Engine }

func (wordy) LabelValues(_ context.Context, _ string, _, _ int64, limit int, _ ...*labels.Matcher) (all []string, err error) {
	if limit == 0 {
		limit = 5000
	}
	return slices.Repeat([]string{strings.Repeat("v", 1000)}, limit), nil
}

func (wordy) Exemplars(context.Context, int64, int64, ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	return slices.Repeat([]engine.SeriesExemplars{{Labels: labels.FromStrings("a", strings.Repeat("v", 1000))}}, 5000), nil
}

// TestListsThatDoNotFitAreRefused, and the host is not taken for one that does not answer.
func TestListsThatDoNotFitAreRefused(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(NewHandler(Server{Shard: federate.Local{Host: "h", Store: wordy{memory.Open(memory.Options{})}}}))
	server := httptest.NewServer(mux)
	defer server.Close()
	roster := &Roster{Hosts: func() []Host { return []Host{{Name: "h", URL: server.URL}} }, HTTP: server.Client(), Logger: slog.New(slog.DiscardHandler)}
	shard := roster.Members()[0].Shard
	var refused *federate.RefusedError
	var limit *query.LimitError
	_, err := shard.LabelValues(t.Context(), "a", 0, 1, 0)
	require.ErrorAs(t, err, &refused)
	require.ErrorAs(t, err, &limit)
	assert.Contains(t, limit.Way, "give a limit")
	some, err := shard.LabelValues(t.Context(), "a", 0, 1, 4000)
	require.NoError(t, err)
	assert.Len(t, some, 4000)
	_, err = shard.Exemplars(t.Context(), 0, 1)
	require.ErrorAs(t, err, &refused)
	require.ErrorAs(t, err, &limit)
	assert.Contains(t, limit.Way, "less time")
}
