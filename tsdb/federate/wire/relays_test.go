package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// ring is shards behind TLS that can relay, and the roster of a controller that knows their keys.
type ring struct {
	roster  *Roster
	members []federate.Member
	// relayed counts calls to relay; alter may change what a shard answers by way of another.
	relayed atomic.Int32
	alter   atomic.Pointer[func(host string, answer []byte) []byte]
}

// ofOneGroup are names of so many hosts of the same group.
func ofOneGroup(n int) (names []string) {
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprintf("h%d", i); place(name, groupsOf(n)) == 0 {
			names = append(names, name)
		}
	}
	return names
}

func newRing(t *testing.T, n int) *ring {
	t.Helper()
	r := &ring{}
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	var hosts []Host
	var caller *http.Client
	for _, name := range ofOneGroup(n) {
		store := memory.Open(memory.Options{})
		fill(t, store, name, 3)
		server := httptest.NewUnstartedServer(nil)
		server.StartTLS() // the certificate is that of all such servers
		t.Cleanup(server.Close)
		caller = server.Client()
		_, handler := NewHandler(Server{
			Shard: federate.Local{Host: name, Store: store, Query: q}, Relaying: NewRelay(server.Client()),
			Summary: func(context.Context) (federate.Summary, error) {
				return federate.Summarize(map[string][]string{"__name__": nil, "host": nil, "vm_id": nil}, 10), nil
			},
		})
		server.Config.Handler = r.between(name, handler)
		hosts = append(hosts, Host{Name: name, URL: server.URL})
	}
	r.roster = &Roster{Hosts: func() []Host { return hosts }, HTTP: caller, Logger: slog.New(slog.DiscardHandler)}
	r.members = r.roster.Members()
	require.Len(t, r.roster.Known(t.Context(), r.members), n)
	return r
}

// between is who may change what a shard answers.
func (r *ring) between(host string, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		alter := r.alter.Load()
		switch {
		case q.URL.Path == agentv1connect.ShardServiceRelayProcedure:
			r.relayed.Add(1)
		case q.URL.Path == agentv1connect.ShardServiceEvaluateSealedProcedure && alter != nil:
			got := httptest.NewRecorder()
			handler.ServeHTTP(got, q)
			w.Header().Set("Content-Type", streamType)
			_, _ = w.Write((*alter)(host, got.Body.Bytes()))
			return
		}
		handler.ServeHTTP(w, q)
	})
}

// heardAnswers is what relays tell.
type heardAnswers struct {
	partial map[string]federate.Partial
	failed  map[string]error
}

func (r *ring) ask(t *testing.T, e federate.Evaluation) heardAnswers {
	t.Helper()
	groups, rest := r.roster.Relays(r.members)
	require.Empty(t, rest)
	require.NotEmpty(t, groups)
	h := r.askBy(t, e, groups)
	require.Len(t, r.members, len(h.partial)+len(h.failed))
	return h
}

// askBy asks by way of relays alone.
func (r *ring) askBy(t *testing.T, e federate.Evaluation, groups []federate.Relay) heardAnswers {
	t.Helper()
	h := heardAnswers{map[string]federate.Partial{}, map[string]error{}}
	for _, g := range groups {
		members := g.Members()
		require.NoError(t, g.Ask(t.Context(), e, federate.Told{
			Alive: func() {}, Context: func(int) context.Context { return t.Context() },
			Answer: func(i int, p federate.Partial, err error) {
				name := members[i].Name
				require.NotContains(t, h.partial, name)
				require.NotContains(t, h.failed, name)
				if err != nil {
					h.failed[name] = err
				} else {
					h.partial[name] = p
				}
			},
		}))
	}
	return h
}

// TestRelayedAnswersAreTheDirectOnes to the last bit, errors included.
func TestRelayedAnswersAreTheDirectOnes(t *testing.T) {
	r := newRing(t, 7)
	for _, e := range evaluations {
		h := r.ask(t, e)
		for _, m := range r.members {
			want, err := m.Shard.Evaluate(t.Context(), e)
			if err != nil {
				require.Equal(t, err, h.failed[m.Name])
				continue
			}
			require.Equal(t, fmt.Sprint(want), fmt.Sprint(h.partial[m.Name])) // bits of what is absent are no number
		}
	}
	require.Positive(t, r.relayed.Load())
}

// TestRelaysCannotForge: whatever is done to an answer on its way, it is none.
func TestRelaysCannotForge(t *testing.T) {
	e := evaluations[1]
	var mu sync.Mutex
	whole := map[string][]byte{}
	keep := func(host string, answer []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		whole[host] = bytes.Clone(answer)
		return answer
	}
	another := func(host string, _ []byte) []byte {
		for name, answer := range whole {
			if name != host {
				return answer
			}
		}
		return nil
	}
	pieces := func(answer []byte) (all [][]byte) {
		for len(answer) > 0 {
			n := envelopeHead + int(answer[3])<<8 + int(answer[4]) + int(answer[2])<<16
			all, answer = append(all, answer[:n]), answer[n:]
		}
		return all
	}
	for name, alter := range map[string]func(host string, answer []byte) []byte{
		"a bit":             func(_ string, a []byte) []byte { a[len(a)/2] ^= 1; return a },
		"another's":         another,
		"its answer before": func(host string, _ []byte) []byte { return whole[host] },
		"cut off":           func(_ string, a []byte) []byte { return a[:len(a)/2] },
		"without its end": func(_ string, a []byte) []byte {
			all := pieces(a)
			return bytes.Join(append(all[:len(all)-2:len(all)-2], all[len(all)-1]), nil)
		},
		"without its beginning": func(_ string, a []byte) []byte { return bytes.Join(pieces(a)[1:], nil) },
		"twice": func(_ string, a []byte) []byte {
			all := pieces(a)
			return bytes.Join(append([][]byte{all[0]}, all...), nil)
		},
		"nothing": func(string, []byte) []byte { return nil },
		"a refusal": func(string, []byte) []byte {
			last, err := appendLast(nil, toConnect(context.Background(), &query.LimitError{Limit: "series"}))
			require.NoError(t, err)
			return last
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, 3)
			r.alter.Store(&keep)
			require.Empty(t, r.ask(t, e).failed)
			r.alter.Store(&alter)
			h := r.ask(t, e)
			require.NotEmpty(t, h.failed)
			for host, err := range h.failed {
				var refused *federate.RefusedError
				require.NotErrorAs(t, err, &refused, host)
			}
			require.Len(t, h.partial, 1, "that of the relay itself")
		})
	}
}

// sealedCall asks a shard by way of nobody, with a proof.
func sealedCall(t *testing.T, m federate.Member, caller *http.Client, q *agentv1.EvaluateSealedRequest) error {
	t.Helper()
	at := *m.Shard.(shardOf).URL
	at.Path = agentv1connect.ShardServiceEvaluateSealedProcedure
	stream, err := open(t.Context(), caller, &at, q)
	require.NoError(t, err)
	defer stream.close()
	_, err = stream.next(&agentv1.EvaluateSealedResponse{})
	return err
}

// TestOnlyControllersAsk: without the proof of one who knows the shard's key there is no answer.
func TestOnlyControllersAsk(t *testing.T) {
	r := newRing(t, 2)
	m := r.members[0]
	caller, ok := r.roster.HTTP.(*http.Client)
	require.True(t, ok)
	key, other := r.roster.summary(m.Shard.(shardOf).url).key, r.roster.summary(r.members[1].Shard.(shardOf).url).key
	question, err := proto.Marshal(evaluationTo(evaluations[0]))
	require.NoError(t, err)
	another, err := proto.Marshal(evaluationTo(evaluations[1]))
	require.NoError(t, err)
	now := time.Now().UnixMilli()
	proof := prove(key.by, questionData(question, now))
	old := now - (maxApart + time.Minute).Milliseconds()
	require.NoError(t, sealedCall(t, m, caller, &agentv1.EvaluateSealedRequest{Question: question, Asked: now, Key: key.number, Proof: proof}))
	for name, q := range map[string]*agentv1.EvaluateSealedRequest{
		"a proof again":    {Question: question, Asked: now, Key: key.number, Proof: proof},
		"no proof":         {Question: question, Asked: now, Key: key.number},
		"another question": {Question: another, Asked: now, Key: key.number, Proof: proof},
		"another time":     {Question: question, Asked: now + 1, Key: key.number, Proof: proof},
		"another's key":    {Question: question, Asked: now, Key: key.number, Proof: prove(other.by, questionData(question, now))},
		"an old question":  {Question: question, Asked: old, Key: key.number, Proof: prove(key.by, questionData(question, old))},
		"an old key":       {Question: question, Asked: now, Key: key.number - 2, Proof: proof},
		"a key to come":    {Question: question, Asked: now, Key: key.number + 1, Proof: proof},
	} {
		require.ErrorContains(t, sealedCall(t, m, caller, q), "permission_denied", name)
	}
}

// TestKeysEnd: they are taken for as long as they are used, and an hour at most.
func TestKeysEnd(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).Truncate(keyLife).Add(keyLife - time.Second)
	k := newKeys(func() time.Time { return now })
	number := k.number()
	by, err := newSealer(k.key(number))
	require.NoError(t, err)
	admitted := func() error {
		at := now.UnixMilli()
		_, err := k.admit(number, []byte("q"), at, prove(by, questionData([]byte("q"), at)))
		return err
	}
	require.NoError(t, admitted())
	now = now.Add(keyUse)
	require.NoError(t, admitted(), "told in the last second of its hour")
	now = now.Add(2 * keyLife)
	require.ErrorIs(t, admitted(), errNoKey)
	require.NotEqual(t, k.key(number), k.key(number+1))
	require.NotEqual(t, k.key(number), newKeys(time.Now).key(number))
	_, err = newSealer(nil)
	require.Error(t, err)
}

// TestGroupsOfManyHosts are about the square root, of similar size, and stay as hosts come and go.
func TestGroupsOfManyHosts(t *testing.T) {
	for n, groups := range map[int]int{0: 1, 1: 1, 16: 4, 256: 16, 1000: 32, 2000: 32, 2100: 64} {
		assert.Equal(t, groups, groupsOf(n), n)
	}
	sizes := make([]int, groupsOf(1000))
	for i := range 1000 {
		sizes[place(fmt.Sprintf("host-%04d", i), len(sizes))]++
	}
	for _, n := range sizes {
		assert.InDelta(t, 31, n, 25)
	}
}

// TestHostsThatCannotBeRelayed are asked directly, as all are whose relay fails.
func TestHostsThatCannotBeRelayed(t *testing.T) {
	r := newRing(t, 6)
	r.roster.summary(r.members[0].Shard.(shardOf).url).key = sealKey{} // as of an older version
	r.roster.summary(r.members[1].Shard.(shardOf).url).key.since = time.Now().Add(-keyUse)
	groups, rest := r.roster.Relays(append(r.members, federate.Member{Name: "down", Shard: down{errDown}}))
	of := len(rest)
	for _, g := range groups {
		of += len(g.Members())
	}
	require.Equal(t, 7, of)
	for _, m := range []federate.Member{r.members[0], r.members[1]} {
		require.Contains(t, rest, m)
	}
	for _, m := range r.members {
		r.roster.summary(m.Shard.(shardOf).url).badRelay = time.Now()
	}
	groups, rest = r.roster.Relays(r.members)
	require.Empty(t, groups)
	require.Len(t, rest, 6)
}

// TestRelaysThatFailAreAvoided for a while.
func TestRelaysThatFailAreAvoided(t *testing.T) {
	r := newRing(t, 4)
	r.roster.HTTP = &http.Client{Transport: &silence{fails: true}}
	r.roster.shards = nil
	groups, _ := r.roster.Relays(r.roster.Members())
	require.Len(t, groups, 1)
	asked := false
	for _, g := range groups {
		by := g.(*relayGroup).by.url
		require.Error(t, g.Ask(t.Context(), evaluations[0], federate.Told{}))
		again, _ := r.roster.Relays(r.roster.Members())
		for _, next := range again {
			require.NotEqual(t, by, next.(*relayGroup).by.url)
			asked = true
		}
	}
	require.True(t, asked)
}

// TestRelaysAreBounded in what they take on.
func TestRelaysAreBounded(t *testing.T) {
	s := Server{Relaying: NewRelay(&http.Client{})}
	none := func(*agentv1.RelayResponse) error { return nil }
	require.ErrorContains(t, s.relay(t.Context(), &agentv1.RelayRequest{Shards: make([]*agentv1.RelayedShard, maxRelayed+1)}, none), "at most 256")
	for range maxRelaying {
		s.Relaying.calls <- struct{}{}
	}
	require.ErrorContains(t, s.relay(t.Context(), &agentv1.RelayRequest{}, none), "ask them directly")
	require.ErrorContains(t, Server{}.relay(t.Context(), &agentv1.RelayRequest{}, none), "asked directly")
	require.ErrorContains(t, Server{}.evaluateSealed(t.Context(), nil, nil), "asked directly")
	require.Len(t, clipped(errors.New(strings.Repeat("x", 2*maxFailed))), maxFailed)
	require.Equal(t, strings.Repeat("ü", maxFailed/2-1), clipped(errors.New("\xff"+strings.Repeat("ü", maxFailed))), "else it could not be sent")
}

// FuzzRelayed reads any bytes as what a relay tells: it ends, and tells of each shard once at most.
func FuzzRelayed(f *testing.F) {
	by, err := newSealer(make([]byte, keyBytes))
	require.NoError(f, err)
	proof := prove(by, nil)
	seal := newSealed(by, proof)
	piece, err := seal.message(&agentv1.EvaluateResponse{Summary: &agentv1.EvaluateSummary{Samples: 3}})
	require.NoError(f, err)
	end, err := seal.last(nil)
	require.NoError(f, err)
	var whole []byte
	for _, m := range []*agentv1.RelayResponse{{Sealed: piece}, {Sealed: end}, {Shard: 1, Failed: "no"}, {}, {Shard: 7, Failed: "no"}} {
		whole, err = appendEnvelope(whole, 0, m)
		require.NoError(f, err)
	}
	whole, err = appendLast(whole, nil)
	require.NoError(f, err)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, body []byte) {
		told := map[int]int{}
		shard := shardOf{Client{URL: &url.URL{Scheme: "http", Host: "h"}, HTTP: said(body)}, "http://h"}
		one := relayable{shard: shard, key: sealKey{by: by}}
		g := &relayGroup{roster: &Roster{Logger: slog.New(slog.DiscardHandler)}, by: shard, all: []relayable{one, one}}
		_ = g.Ask(t.Context(), federate.Evaluation{Exprs: []string{"g"}}, federate.Told{
			Alive: func() {}, Context: func(int) context.Context { return t.Context() },
			Answer: func(i int, _ federate.Partial, _ error) { told[i]++ },
		})
		for i, n := range told {
			if i > 1 || n > 1 {
				t.Fatalf("shard %d was told of %d times", i, n)
			}
		}
	})
}

// said answers every call with the same bytes.
type said []byte

func (s said) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {streamType}}, Body: io.NopCloser(bytes.NewReader(s))}, nil
}

// FuzzSealed opens any bytes as a piece of an answer: only what the shard sealed is one.
func FuzzSealed(f *testing.F) {
	by, err := newSealer(make([]byte, keyBytes))
	require.NoError(f, err)
	proof := make([]byte, sealedMore)
	piece, err := newSealed(by, proof).message(&agentv1.EvaluateResponse{})
	require.NoError(f, err)
	f.Add(piece)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, piece []byte) {
		first, second := newSealed(by, proof), newSealed(by, proof)
		second.data[len(second.data)-1] = 1 // it follows another piece
		_, _, one := first.open(piece)
		_, _, two := second.open(piece)
		if one == nil && two == nil {
			t.Fatal("a piece is taken in two places")
		}
	})
}
