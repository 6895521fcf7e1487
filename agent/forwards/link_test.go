package forwards

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/forward"
)

// TestARemoteThatAnswersNoText breaks no report: its words are in what this host tells of itself.
func TestARemoteThatAnswersNoText(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = c.Write([]byte("HTTP/1.1 500 Erreur \xe9\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\xe9\xe9"))
			}
			_ = c.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	h := newHost(t)
	h.want(t, 1, &agentv1.MetricForwardJob{Id: 5, Generation: 1, Spec: &novacronv1.MetricForwardSpec{Name: "far", Url: "http://" + listener.Addr().String(), Protocol: 2, QueueBytes: 1 << 20}})
	h.store(t)
	require.Eventually(t, func() bool { return h.observed(t).GetLastError() != "" }, patience, time.Millisecond)
	require.Equal(t, "the remote answers 500 Erreur", h.observed(t).GetLastError())
	report := &agentv1.MetricForwardObservation{Status: h.observed(t)}
	_, err = proto.Marshal(report)
	require.NoError(t, err)

	_, err = proto.Marshal(describe(forward.Status{Error: "caf\xe9"}))
	require.NoError(t, err, "and nor does what anybody else has said")
}

// TestConnectionsServeOn while who we are does not change, and are closed when it does.
func TestConnectionsServeOn(t *testing.T) {
	var mu sync.Mutex
	states := map[http.ConnState]int{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		states[s]++
	}
	server.Start()
	defer server.Close()
	seen := func(s http.ConnState) int {
		mu.Lock()
		defer mu.Unlock()
		return states[s]
	}
	h, generation := newHost(t), uint64(0)
	deliver := func(secret string, match ...string) {
		generation++
		job := &agentv1.MetricForwardJob{Id: 5, Generation: generation, Secret: []byte(secret), Spec: &novacronv1.MetricForwardSpec{Name: "far", Url: server.URL, Match: match, Protocol: 1, QueueBytes: 1 << 20}}
		job.Spec.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{}}}
		h.manager.Desired(generation, &agentv1.MetricForwards{Forwards: []*agentv1.MetricForwardJob{job}})
		require.Eventually(t, func() bool { return h.observed(t).GetObservedGeneration() == generation }, patience, time.Millisecond)
		before := h.observed(t).GetSentSamples()
		h.store(t)
		require.Eventually(t, func() bool { return h.observed(t).GetSentSamples() == before+1 }, patience, time.Millisecond)
		require.Eventually(t, func() bool { return seen(http.StateIdle) >= int(generation) }, patience, time.Millisecond)
	}
	deliver("one")
	deliver("one", "orders_total")
	require.Equal(t, 1, seen(http.StateNew))
	require.Zero(t, seen(http.StateClosed))
	deliver("another", "orders_total")
	require.Equal(t, 2, seen(http.StateNew))
	require.Eventually(t, func() bool { return seen(http.StateClosed) == 1 }, patience, time.Millisecond)
	h.manager.Desired(99, &agentv1.MetricForwards{})
	require.Eventually(t, func() bool { return seen(http.StateClosed) == 2 }, patience, time.Millisecond, "and so are those of one that is gone")
}
