package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// TestATierIsNoLabelOfSeries asks for windows of hosts whose summaries are fresh, and of one store with all their series.
func TestATierIsNoLabelOfSeries(t *testing.T) {
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	whole := memory.Open(memory.Options{})
	var hosts []Host
	for i := range 2 {
		shard, name := newFar(t, fmt.Sprintf("h%d", i)), fmt.Sprintf("h%d", i)
		fill(t, shard.store, name, 2)
		fill(t, whole, name, 2)
		hosts = append(hosts, Host{Name: name, URL: shard.url})
	}
	roster := &Roster{Hosts: func() []Host { return hosts }, HTTP: &http.Client{Timeout: time.Minute}, Logger: slog.New(slog.DiscardHandler)}
	require.Len(t, roster.Known(t.Context(), roster.Members()), 2, "the summaries are fresh")
	fleet, pushing := federate.NewFleet(roster, federate.Options{}), federate.NewEngine(q, 0)
	times := query.Range{Start: time.UnixMilli(600_000), End: time.UnixMilli(3_500_000), Step: 5 * time.Minute}
	ask := func(e promql.QueryEngine, of storage.Queryable, expr string) *promql.Result {
		prepared, err := e.NewRangeQuery(t.Context(), of, nil, expr, times.Start, times.End, times.Step)
		require.NoError(t, err)
		t.Cleanup(prepared.Close)
		return prepared.Exec(t.Context())
	}
	for _, expr := range []string{`max by (host) (g{__tier__="raw"})`, `g{__tier__="5m:max"}`, `count(h{__tier__="5m:last"})`, `max_over_time(g{__tier__="5m:min"}[10m])`} {
		want := ask(q, query.NewQueryable(whole), expr)
		require.NoError(t, want.Err)
		require.NotEmpty(t, want.Value, expr)
		for _, e := range []promql.QueryEngine{pushing, q} { // computed by the hosts, and of their series
			got := ask(e, fleet, expr)
			require.NoError(t, got.Err)
			assert.Empty(t, got.Warnings, expr)
			assert.Equal(t, want.Value.String(), got.Value.String(), expr)
		}
	}
	for _, e := range []promql.QueryEngine{pushing, q} {
		assert.ErrorContains(t, ask(e, fleet, `max_over_time(g{__tier__="2h:max"}[10m:1m])`).Err, "write raw, or a tier")
		assert.ErrorContains(t, ask(e, fleet, `max_over_time(h{__tier__="5m:max"}[10m:1m])`).Err, "only the column last")
	}
	explained, err := federate.Questions{Engine: pushing, Fleet: fleet}.Explain(t.Context(), `count(g{__tier__="5m:max"})`, times)
	require.NoError(t, err)
	assert.Equal(t, []string{"h0", "h1"}, explained.Asked)
	require.Len(t, explained.Series, 1)
	assert.EqualValues(t, 4, explained.Series[0].Likely)
}

// silence is a transport of hosts that do not answer, or fail at once.
type silence struct {
	mu               sync.Mutex
	now, most, asked int
	fails            bool
}

func (h *silence) count(now, asked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.asked = h.now+now, h.asked+asked
	h.most = max(h.most, h.now)
}

// counts are the most calls at one time, and all of them.
func (h *silence) counts() (most, asked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most, h.asked
}

func (h *silence) RoundTrip(r *http.Request) (*http.Response, error) {
	h.count(1, 1)
	defer h.count(-1, 0)
	if !h.fails {
		<-r.Context().Done()
	}
	return nil, errors.New("no route to it")
}

func manyHosts(n int, through http.RoundTripper) *Roster {
	var hosts []Host
	for i := range n {
		hosts = append(hosts, Host{Name: fmt.Sprintf("h%04d", i), URL: fmt.Sprintf("http://h%04d", i)})
	}
	return &Roster{Hosts: func() []Host { return hosts }, HTTP: &http.Client{Transport: through}, Logger: slog.New(slog.DiscardHandler)}
}

// TestFewAreAskedForSummariesAtOnce where no host answers.
func TestFewAreAskedForSummariesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2*knownAtOnce + 10
		hosts := &silence{}
		roster := manyHosts(n, hosts)
		for _, m := range roster.Members() {
			assert.True(t, roster.MayHave(m, nil))
		}
		synctest.Wait()
		most, _ := hosts.counts()
		assert.Equal(t, knownAtOnce, most)
		time.Sleep(time.Minute)
		synctest.Wait()
		most, asked := hosts.counts()
		assert.Equal(t, knownAtOnce, most)
		assert.Equal(t, n, asked, "each has its turn")
	})
}

// TestFailingHostsAreNotAskedByEveryQuery but again when a summary would be old.
func TestFailingHostsAreNotAskedByEveryQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := &silence{fails: true}
		roster := manyHosts(1, hosts)
		query := func() int {
			assert.True(t, roster.MayHave(roster.Members()[0], nil))
			synctest.Wait()
			_, asked := hosts.counts()
			return asked
		}
		assert.Equal(t, 1, query())
		assert.Equal(t, 1, query())
		time.Sleep(summaryFresh + time.Second)
		assert.Equal(t, 2, query())
	})
}
