package telemetry

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// values are what a registry writes, read as Prometheus does, by series.
func values(t *testing.T, r *Registry) map[string]float64 {
	t.Helper()
	var text strings.Builder
	require.NoError(t, r.Write(&text))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	require.NoError(t, err)
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, slices.Collect(maps.Values(families))...)
	require.NoError(t, err)
	all := map[string]float64{}
	for _, s := range samples {
		all[s.Metric.String()] = float64(s.Value)
	}
	return all
}

func TestAProcessTellsOfItself(t *testing.T) {
	r := New("1.2.3")
	n := 1.0
	r.Gauge("novacron_raft_leader", "1 where this controller leads.", nil, func() float64 { return n })
	r.Counter("novacron_raft_commits_total", "Entries.", map[string]string{"log": "a"}, func() float64 { return 2 * n })
	r.Samples(func() []Sample {
		return []Sample{
			{Name: "novacron_shard_series", Help: "Series.", Labels: map[string]string{"host": "h", "tier": "raw"}, Value: 7},
			{Name: "novacron_shard_samples_total", Help: "Samples.", Counter: true, Value: 3},
		}
	})
	n = 5
	all := values(t, r)
	require.InDelta(t, 5, all["novacron_raft_leader"], 0)
	require.InDelta(t, 10, all[`novacron_raft_commits_total{log="a"}`], 0)
	require.InDelta(t, 7, all[`novacron_shard_series{host="h", tier="raw"}`], 0)
	require.InDelta(t, 3, all["novacron_shard_samples_total"], 0)
	require.Positive(t, all["go_goroutines"])
	require.Positive(t, all["process_resident_memory_bytes"])
	found := false
	for series := range all {
		found = found || strings.HasPrefix(series, "novacron_build_info{") && strings.Contains(series, `version="1.2.3"`)
	}
	require.True(t, found)
}

func TestCallsAreMeasured(t *testing.T) {
	r := New("dev")
	h := r.Calls(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			http.Error(w, "no", http.StatusForbidden)
		case "/gone":
			panic(http.ErrAbortHandler)
		}
	}), func(path string) string { return strings.TrimPrefix(path, "/") })
	for _, path := range []string{"/good", "/good", "/bad"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/gone", nil)) })
	all := values(t, r)
	require.InDelta(t, 2, all[`novacron_rpc_calls_total{code="200", procedure="good"}`], 0)
	require.InDelta(t, 1, all[`novacron_rpc_calls_total{code="403", procedure="bad"}`], 0)
	require.InDelta(t, 2, all[`novacron_rpc_duration_seconds_count{procedure="good"}`], 0)
	require.InDelta(t, 0, all[`novacron_rpc_open_calls{procedure="gone"}`], 0)
}
