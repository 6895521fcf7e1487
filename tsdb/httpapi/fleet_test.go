package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// members is a cluster that does not change.
type members []federate.Member

func (m members) Members() []federate.Member { return m }

// deadShard does not answer.
type deadShard struct{}

func (deadShard) Evaluate(context.Context, federate.Evaluation) (federate.Partial, error) {
	return federate.Partial{}, errDisk
}

func (deadShard) Select(context.Context, engine.Selection) (engine.SeriesSet, error) {
	return nil, errDisk
}

func (deadShard) LabelNames(context.Context, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, errDisk
}

func (deadShard) LabelValues(context.Context, string, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, errDisk
}

func (deadShard) Exemplars(context.Context, int64, int64, ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	return nil, errDisk
}

// cluster makes the API of a controller over some hosts, the last of which does not answer.
func cluster(t *testing.T, hosts int) http.Handler {
	t.Helper()
	queries, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queries.Close()) })
	var all members
	for i := range hosts {
		name := fmt.Sprintf("h%d", i)
		store := memory.Open(memory.Options{})
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		fill(t, store, labels.FromStrings("__name__", "vm_cpu_seconds_total", "vm_name", fmt.Sprintf("web-%d", i), "host", name), 15)
		all = append(all, federate.Member{Name: name, Shard: federate.Local{Host: name, Store: store, Query: queries}})
	}
	all[hosts-1].Shard = deadShard{}
	fleet := federate.NewFleet(all, federate.Options{})
	return fixture(t, func(o *Options) {
		o.Engine, o.Source, o.Complete = federate.NewEngine(queries, 0), fleet.WithComplete(false), fleet.WithComplete(true)
	})
}

// TestFleet holds that a controller answers for its hosts, names the one that is missing, and refuses where it must.
func TestFleet(t *testing.T) {
	api := cluster(t, 4)
	for path, want := range map[string]string{
		"/api/v1/query?query=sum(irate(vm_cpu_seconds_total[5m]))": `"result":[{"metric":{},"value":[1700000000,"3"]}]`,
		"/api/v1/query?query=vm_cpu_seconds_total":                 `"vm_name":"web-2"`,
		"/api/v1/series?match[]=vm_cpu_seconds_total":              `"vm_name":"web-2"`,
		"/api/v1/label/vm_name/values?x":                           `"data":["web-0","web-1","web-2"]`,
		"/api/v1/labels?x":                                         `"data":["__name__","host","vm_name"]`,
		"/api/v1/query_range?query=count(vm_cpu_seconds_total)&start=1700000000&end=1700000000&step=15": `"values":[[1700000000,"3"]]`,
	} {
		got := ask(t, api, path, "")
		assert.Equal(t, http.StatusOK, got.code, path)
		assert.Contains(t, got.body, want, path)
		assert.Contains(t, got.body, `"warnings":["`, path)
		assert.Contains(t, got.body, "1 of 4 hosts did not answer, and their series are missing: h3", path)
		refused := ask(t, api, path+"&partial_response=0", "")
		kind, text := refused.failed(t)
		assert.Equal(t, "unavailable", kind, path)
		assert.Equal(t, http.StatusServiceUnavailable, refused.code, path)
		assert.Contains(t, text, "h3", path)
	}
}

// countingWriter remembers the longest write.
type countingWriter struct {
	*httptest.ResponseRecorder
	longest, writes int
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.longest, w.writes = max(w.longest, len(b)), w.writes+1
	return w.ResponseRecorder.Write(b)
}

// TestStreams holds that an answer goes out in pieces, also where it is one long series.
func TestStreams(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Source = brokenSource{o.Source, 5000, nil} })
	for _, path := range []string{"/api/v1/series?match[]=m", "/api/v1/query_range?query=vector(time())&start=0&end=11000&step=1"} {
		w := &countingWriter{ResponseRecorder: httptest.NewRecorder()}
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		assert.True(t, strings.HasSuffix(w.Body.String(), "}"), path)
		assert.Greater(t, w.writes, 4, path)
		assert.Less(t, w.longest, piece+1024, path)
	}
}
