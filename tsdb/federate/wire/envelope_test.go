package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// serverOf is a shard with many machines, so that answers take several messages.
func serverOf(t *testing.T) Server {
	t.Helper()
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	store := memory.Open(memory.Options{})
	fill(t, store, "h", 200)
	return Server{Shard: federate.Local{Host: "h", Store: store, Query: q}}
}

// evaluations are asked on each way: a short answer, a long one, a limit and a mistake.
var evaluations = []federate.Evaluation{
	{Exprs: []string{"sum(g)"}, Start: 3_000_000, End: 3_000_000, Lookback: 300_000_000_000},
	{Exprs: []string{"g", "h"}, Start: 600_000, End: 3_000_000, Step: 15_000, Lookback: 300_000_000_000},
	{Exprs: []string{"g"}, Start: 600_000, End: 3_000_000, Step: 15_000, Lookback: 300_000_000_000, MaxCells: 10},
	{Exprs: []string{"sum("}},
}

// requireSameAnswer compares what two clients are told.
func requireSameAnswer(t *testing.T, e federate.Evaluation, a, b Client) {
	t.Helper()
	want, wantErr := a.Evaluate(t.Context(), e)
	got, err := b.Evaluate(t.Context(), e)
	require.Equal(t, wantErr, err)
	require.Len(t, got.Rows, len(want.Rows))
	for i := range want.Rows {
		require.Len(t, got.Rows[i], len(want.Rows[i]))
		for k, row := range want.Rows[i] {
			require.Equal(t, row.Labels, got.Rows[i][k].Labels)
			require.Len(t, got.Rows[i][k].Values, len(row.Values))
		}
	}
	require.Equal(t, want.Samples, got.Samples)
	require.Equal(t, want.Bytes, got.Bytes)
}

// TestAgentsOfConnectAreUnderstood: those of the last version pack their answers by Connect.
func TestAgentsOfConnectAreUnderstood(t *testing.T) {
	s := serverOf(t)
	ours, theirs := http.NewServeMux(), http.NewServeMux()
	ours.Handle(NewHandler(s))
	theirs.Handle(agentv1connect.NewShardServiceHandler(s))
	here, there := httptest.NewServer(ours), httptest.NewServer(theirs)
	t.Cleanup(here.Close)
	t.Cleanup(there.Close)
	for _, e := range evaluations {
		requireSameAnswer(t, e, clientOf(t, there), clientOf(t, here))
	}
}

// TestControllersOfConnectAreAnswered: those of the last version ask by Connect.
func TestControllersOfConnectAreAnswered(t *testing.T) {
	s := serverOf(t)
	mux := http.NewServeMux()
	mux.Handle(NewHandler(s))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client := clientOf(t, server)
	for _, e := range evaluations {
		want, wantErr := client.Evaluate(t.Context(), e)
		answer := newCollector(e)
		stream, err := client.RPC.Evaluate(t.Context(), connect.NewRequest(&agentv1.EvaluateRequest{
			Exprs: e.Exprs, Start: e.Start, End: e.End, Step: e.Step, Lookback: e.Lookback.Milliseconds(), MaxCells: uint64(e.MaxCells), Plain: true,
		}))
		require.NoError(t, err)
		messages := 0
		for ; stream.Receive(); messages++ {
			require.NoError(t, answer.add(stream.Msg(), 0))
		}
		require.NoError(t, stream.Close())
		if wantErr != nil {
			require.EqualError(t, fromConnect(stream.Err()), wantErr.Error())
			continue
		}
		require.NoError(t, stream.Err())
		got, err := answer.finish()
		require.NoError(t, err)
		require.Equal(t, want.Samples, got.Samples)
		if len(e.Exprs) > 1 {
			require.Greater(t, messages, 1)
		}
	}
}

// TestAnswersThatAreNone: each kind of wrong answer is an error, and none a refusal of the shard.
func TestAnswersThatAreNone(t *testing.T) {
	last, err := appendLast(nil, nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		kind   string
		status int
		body   []byte
		says   string
	}{
		"nothing":             {streamType, 200, nil, "cut off"},
		"no end":              {streamType, 200, []byte{0, 0, 0, 0, 0}, "cut off"},
		"an end alone":        {streamType, 200, last, "cut off"},
		"more behind its end": {streamType, 200, append(bytes.Clone(last), 'x'), "goes on"},
		"half a message":      {streamType, 200, []byte{0, 0, 0, 0, 9, 1}, "unexpected EOF"},
		"too long a message":  {streamType, 200, []byte{0, 0xff, 0, 0, 0}, "at most"},
		"a packed message":    {streamType, 200, []byte{1, 0, 0, 0, 0}, "compressed"},
		"another kind":        {"text/html", 200, []byte("<html>"), "text/html"},
		"no right to ask":     {"text/plain", 403, []byte("no"), "403"},
		"another service":     {"text/plain", 404, []byte("no"), "404"},
		"an end of no JSON":   {streamType, 200, []byte{2, 0, 0, 0, 1, '{'}, "end of an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				_, _ = w.Write(c.body)
			}))
			t.Cleanup(server.Close)
			var refused *federate.RefusedError
			_, err := clientOf(t, server).Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}})
			require.ErrorContains(t, err, c.says)
			require.NotErrorAs(t, err, &refused)
		})
	}
}

// TestEvaluationsEndWithTheirTime: what the caller waits for bounds the work on the shard.
func TestEvaluationsEndWithTheirTime(t *testing.T) {
	bounded := make(chan bool, 1)
	handler := Server{Shard: asked{tell: func(ctx context.Context) {
		_, has := ctx.Deadline()
		bounded <- has
	}}}
	_, h := NewHandler(handler)
	for timeout, want := range map[string]bool{"1000": true, "": false, "-1": false, "x": false, "99999999999": false} {
		question, err := appendEnvelope(nil, 0, &agentv1.EvaluateRequest{Exprs: []string{"g"}})
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPost, agentv1connect.ShardServiceEvaluateProcedure, bytes.NewReader(question))
		r.Header.Set("Content-Type", streamType)
		r.Header.Set(timeoutHeader, timeout)
		h.ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, want, <-bounded, timeout)
	}
}

// asked is a shard that tells how it is asked to evaluate, and has nothing.
type asked struct {
	down
	tell func(ctx context.Context)
}

func (a asked) Evaluate(ctx context.Context, _ federate.Evaluation) (federate.Partial, error) {
	a.tell(ctx)
	return federate.Partial{}, nil
}

// answering is a caller that always hears the same.
type answering struct{ body io.ReadCloser }

func (a answering) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {streamType}}, Body: a.body}, nil
}

// ending tells whether it was read to its end.
type ending struct {
	io.Reader
	ended bool
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.ended = e.ended || errors.Is(err, io.EOF)
	return n, err
}

func (e *ending) Close() error { return nil }

// TestErrorsAreReadToTheEnd of their answers too, so that the connections that brought them are free again.
func TestErrorsAreReadToTheEnd(t *testing.T) {
	for _, failed := range []error{nil, connect.NewError(connect.CodeResourceExhausted, errors.New("too much"))} {
		answer, err := appendEnvelope(nil, 0, &agentv1.EvaluateResponse{Summary: &agentv1.EvaluateSummary{}})
		require.NoError(t, err)
		answer, err = appendLast(answer, failed)
		require.NoError(t, err)
		body := &ending{Reader: bytes.NewReader(answer)}
		client, err := NewClient(answering{body}, "http://h")
		require.NoError(t, err)
		_, err = client.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}})
		if failed != nil {
			require.ErrorContains(t, err, "too much")
		} else {
			require.NoError(t, err)
		}
		require.True(t, body.ended)
	}
}

// unspeakable is a shard whose answer no message can carry.
type unspeakable struct{ down }

func (unspeakable) Evaluate(context.Context, federate.Evaluation) (federate.Partial, error) {
	return federate.Partial{Infos: []string{"\xff"}}, nil
}

// TestAnswersThatCannotBeSentAreFaultsOfTheShard by both ways.
func TestAnswersThatCannotBeSentAreFaultsOfTheShard(t *testing.T) {
	ours, theirs := http.NewServeMux(), http.NewServeMux()
	ours.Handle(NewHandler(Server{Shard: unspeakable{}}))
	theirs.Handle(agentv1connect.NewShardServiceHandler(Server{Shard: unspeakable{}}))
	for _, mux := range []*http.ServeMux{ours, theirs} {
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		_, err := clientOf(t, server).Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}})
		require.ErrorContains(t, err, "UTF-8")
		require.Equal(t, connect.CodeInternal, connect.CodeOf(err))
	}
}

// FuzzStreams reads any bytes as an answer: it ends, and holds no more than a message.
func FuzzStreams(f *testing.F) {
	message, err := appendEnvelope(nil, 0, &agentv1.EvaluateResponse{Summary: &agentv1.EvaluateSummary{Samples: 3}})
	require.NoError(f, err)
	whole, err := appendLast(message, connect.NewError(connect.CodeResourceExhausted, errors.New("too much")))
	require.NoError(f, err)
	f.Add(whole)
	f.Add(message)
	f.Add([]byte{2, 0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, body []byte) {
		b, _ := buffers.Get().(*buffer)
		b.reads.Reset(bytes.NewReader(body))
		s := &stream{io.NopCloser(nil), b, messageMax}
		defer s.close()
		for range len(body) + 1 {
			more, err := s.next(&agentv1.EvaluateResponse{})
			if err != nil || !more {
				return
			}
			if len(s.message()) > len(body) {
				t.Fatalf("a message of %d bytes was read from %d", len(s.message()), len(body))
			}
		}
		t.Fatal("it goes on")
	})
}
