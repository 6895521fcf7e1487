package wire

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(line)
}

// other is one of a ring's members that is not the relay.
func (r *ring) other(t *testing.T) (m federate.Member, relay *relayGroup) {
	t.Helper()
	groups, _ := r.roster.Relays(r.members)
	require.Len(t, groups, 1)
	relay = groups[0].(*relayGroup)
	for _, m = range r.members {
		if m.Shard.(shardOf).url != relay.by.url {
			break
		}
	}
	return m, relay
}

// TestHostsThatRelaysCannotReachAreAvoided: each is asked directly for a minute, and told of once in it.
func TestHostsThatRelaysCannotReachAreAvoided(t *testing.T) {
	r := newRing(t, 6)
	logged := &lines{}
	r.roster.Logger = slog.New(slog.NewTextHandler(logged, nil))
	m, _ := r.other(t)
	lost := func(host string, answer []byte) []byte {
		if host == m.Name {
			return nil
		}
		return answer
	}
	r.alter.Store(&lost)
	all, _ := r.roster.Relays(r.members)
	for range 2 { // the second time as of a question that was under way already
		require.Contains(t, r.askBy(t, evaluations[0], all).failed, m.Name)
		groups, rest := r.roster.Relays(r.members)
		require.Equal(t, []federate.Member{m}, rest)
		require.Len(t, groups, 1, "others are asked as before")
	}
	require.Equal(t, 1, bytes.Count(logged.all.Bytes(), []byte("cannot be asked by way of another")), logged.all.String())
	require.Contains(t, logged.all.String(), "INFO")
	r.roster.summary(m.Shard.(shardOf).url).unrelayed = time.Now().Add(-2 * unrelayedRest)
	_, rest := r.roster.Relays(r.members)
	require.Empty(t, rest)
}

// TestClocksThatAreApartAreWarnedOf since they are for people to correct.
func TestClocksThatAreApartAreWarnedOf(t *testing.T) {
	logged := &lines{}
	roster := &Roster{Logger: slog.New(slog.NewTextHandler(logged, nil))}
	k := newKeys(func() time.Time { return time.Unix(1_700_000_000, 0) })
	by, err := newSealer(k.key(k.number()))
	require.NoError(t, err)
	asked := k.now().Add(-time.Hour).UnixMilli()
	_, err = k.admit(k.number(), nil, asked, prove(by, questionData(nil, asked)))
	require.Error(t, err)
	g := &relayGroup{roster: roster, all: []relayable{{shard: shardOf{url: "a"}}, {shard: shardOf{url: "b"}}, {shard: shardOf{url: "c"}}}}
	g.avoid(map[int]error{1: err})
	require.Contains(t, logged.all.String(), "level=WARN")
	require.Contains(t, logged.all.String(), "shard=b")
}

// TestRelaysThatReachFewAreAvoided, and not those that they do not reach.
func TestRelaysThatReachFewAreAvoided(t *testing.T) {
	r := newRing(t, 5)
	_, relay := r.other(t)
	none := func(string, []byte) []byte { return nil }
	r.alter.Store(&none)
	require.Len(t, r.ask(t, evaluations[0]).failed, 4, "all but the relay itself")
	groups, rest := r.roster.Relays(r.members)
	require.Empty(t, rest)
	require.NotEqual(t, relay.by.url, groups[0].(*relayGroup).by.url)
}

// handled answers calls by a handler.
type handled http.HandlerFunc

func (h handled) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}

// TestBusyRelaysAreNoBadOnes: they are asked again with the next question.
func TestBusyRelaysAreNoBadOnes(t *testing.T) {
	r := newRing(t, 3)
	_, relay := r.other(t)
	busy := &Relay{calls: make(chan struct{})}
	relay.by.HTTP = handled(Server{Relaying: busy}.serveRelay)
	err := relay.Ask(t.Context(), evaluations[0], federate.Told{})
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), err)
	_, again := r.other(t)
	require.Equal(t, relay.by.url, again.by.url)
}

// panicking is a shard with a mistake in it.
type panicking struct{ federate.Shard }

func (panicking) Evaluate(context.Context, federate.Evaluation) (federate.Partial, error) {
	panic("a mistake")
}

// TestPanicsOfRelayedQuestionsAreErrors of the one shard.
func TestPanicsOfRelayedQuestionsAreErrors(t *testing.T) {
	relay := NewRelay(&http.Client{})
	question, err := proto.Marshal(evaluationTo(evaluations[0]))
	require.NoError(t, err)
	number, asked := relay.keys.number(), time.Now().UnixMilli()
	by, err := newSealer(relay.keys.key(number))
	require.NoError(t, err)
	own := &agentv1.RelayedShard{Key: number, Proof: prove(by, questionData(question, asked))}
	var told []*agentv1.RelayResponse
	require.NoError(t, Server{Shard: panicking{}, Relaying: relay}.relay(t.Context(),
		&agentv1.RelayRequest{Question: question, Asked: asked, Shards: []*agentv1.RelayedShard{own}},
		func(m *agentv1.RelayResponse) error { told = append(told, m); return nil }))
	require.Len(t, told, 1)
	require.Contains(t, told[0].GetFailed(), "a mistake")
}

// TestEvaluationsThatAreNone are refused before anything is computed.
func TestEvaluationsThatAreNone(t *testing.T) {
	for name, m := range map[string]*agentv1.EvaluateRequest{
		"end before start": {Start: 2, End: 1, Step: 1},
		"step below 0":     {Start: 1, End: 2, Step: -1},
		"step of ages":     {Start: 1, End: 2, Step: 1 << 62},
		"all of time":      {Start: -1 << 63, End: 1<<63 - 1, Step: 1 << 40},
		"too many steps":   {Start: -1 << 61, End: 1 << 61, Step: 1},
	} {
		_, err := evaluationFrom(m)
		require.Error(t, err, name)
	}
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	store := memory.Open(memory.Options{})
	fill(t, store, "a", 3)
	_, err = federate.Local{Host: "a", Store: store, Query: q}.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{`g[5m]`}, Start: 60_000, End: 60_000})
	require.ErrorContains(t, err, "ranges of samples at one time")
}
