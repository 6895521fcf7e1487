package remotewrite

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"
)

// keeper is a host that answers as it is told and remembers what it got.
type keeper struct {
	*httptest.Server
	mu    sync.Mutex
	code  int
	got   []series
	types []string
}

func newKeeper(t *testing.T) *keeper {
	k := &keeper{code: http.StatusNoContent}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		text, err := snappy.Decode(nil, body)
		require.NoError(t, err)
		k.mu.Lock()
		defer k.mu.Unlock()
		version := versionOf(r)
		all, _ := decode(t, version, text)
		k.got, k.types = append(k.got, all...), append(k.types, r.Header.Get("Content-Type"))
		if version == 2 {
			w.Header().Set(written+"Samples-Written", "1")
		}
		if k.code != http.StatusNoContent {
			http.Error(w, "as it was told", k.code)
			return
		}
		w.WriteHeader(k.code)
	}))
	t.Cleanup(k.Close)
	return k
}

// fixture is a handler with two hosts, and a request with a series for each.
type fixture struct {
	*Handler
	t     *testing.T
	a, b  *keeper
	hosts []Host
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, a: newKeeper(t), b: newKeeper(t)}
	f.hosts = []Host{{"a", f.a.URL}, {"b", f.b.URL}}
	f.Handler = &Handler{
		Hosts: func() []Host { return f.hosts }, Sender: func(*http.Request) string { return "one" },
		HTTP: f.a.Client(), Logger: slog.New(slog.DiscardHandler), MaxBytes: 1 << 16,
	}
	return f
}

// both are series of which each host gets some.
func both() (all []series) {
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all = append(all, series{[]string{"__name__", name}, 1})
	}
	return all
}

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=" + message2
)

func (f *fixture) send(kind string, body []byte) *http.Response {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Content-Encoding", "snappy")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func requireAnswer(t *testing.T, answer *http.Response, code int, text string) {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, code, answer.StatusCode, "%s", body)
	require.Contains(t, string(body), text)
}

func TestEachHostStoresItsPart(t *testing.T) {
	f := newFixture(t)
	requireAnswer(t, f.send(type1, snappy.Encode(nil, encode1(both()))), http.StatusNoContent, "")
	require.NotEmpty(t, f.a.got)
	require.NotEmpty(t, f.b.got)
	require.ElementsMatch(t, both(), append(f.a.got, f.b.got...))

	f = newFixture(t)
	answer := f.send(type2, snappy.Encode(nil, encode2(both(), true)))
	requireAnswer(t, answer, http.StatusNoContent, "")
	require.Equal(t, "2", answer.Header.Get(written+"Samples-Written"), "both told")
	require.Equal(t, []string{type2}, f.a.types)
}

// TestTheWorstAnswerCounts has what should be sent again before what never can be stored.
func TestTheWorstAnswerCounts(t *testing.T) {
	for _, c := range []struct{ a, b, want int }{
		{204, 400, 400}, {400, 204, 400}, {400, 503, 503}, {503, 204, 503}, {500, 400, 503}, {429, 204, 503}, {204, 415, 415}, {403, 204, 503}, {204, 404, 503},
	} {
		f := newFixture(t)
		f.a.code, f.b.code = c.a, c.b
		answer := f.send(type1, snappy.Encode(nil, encode1(both())))
		requireAnswer(t, answer, c.want, "as it was told")
		require.Equal(t, c.want == 503, answer.Header.Get("Retry-After") != "")
	}
}

func TestAHostThatIsGoneHasTheSenderTryAgain(t *testing.T) {
	f := newFixture(t)
	f.b.Close()
	requireAnswer(t, f.send(type1, snappy.Encode(nil, encode1(both()))), http.StatusServiceUnavailable, "host b: ")
	f.hosts = nil
	requireAnswer(t, f.send(type1, snappy.Encode(nil, encode1(both()))), http.StatusServiceUnavailable, "no host is up")
}

func TestManyRequestsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{Hosts: func() []Host { return nil }, Sender: func(*http.Request) string { return "" }, InFlight: 1}
		h.once.Do(func() { h.slots = make(chan struct{}, 1) })
		h.slots <- struct{}{}
		began, w := time.Now(), httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, nil))
		require.Equal(t, patience, time.Since(began))
		requireAnswer(t, w.Result(), http.StatusServiceUnavailable, "under way")
	})
}

func TestBadRequestsReachNoHost(t *testing.T) {
	f := newFixture(t)
	requireAnswer(t, f.send(type1, []byte("text")), http.StatusBadRequest, "not packed with snappy")
	requireAnswer(t, f.send(type1, snappy.Encode(nil, []byte{0x0a, 9})), http.StatusBadRequest, "no message of remote write")
	requireAnswer(t, f.send(type2, snappy.Encode(nil, message(nil, 5, []byte{0x0a, 1, 7}))), http.StatusBadRequest, "symbol 7 of 0")
	requireAnswer(t, f.send(type1, make([]byte, 1<<17)), http.StatusRequestEntityTooLarge, "more than 65536 bytes")
	requireAnswer(t, f.send(type1, snappy.Encode(nil, make([]byte, 1<<17))), http.StatusRequestEntityTooLarge, "131072 bytes unpacked")
	require.Empty(t, append(f.a.types, f.b.types...))
	requireAnswer(t, f.send(type1, snappy.Encode(nil, nil)), http.StatusNoContent, "")
	require.Len(t, append(f.a.types, f.b.types...), 1, "without series one host judges")
}
