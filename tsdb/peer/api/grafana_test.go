package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/httpapi"
)

// TestGrafana replays what Grafana's Prometheus data source sends, in the order of a user's day: saving the data source,
// the drop-downs of variables, the metric explorer, the query builder, panels, exemplars and alerts.
func TestGrafana(t *testing.T) {
	p := newPlace(t)
	us, them := ours(p), theirs(p)
	end, start := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()-1200, 10)
	window := []string{"start", start, "end", end}
	with := func(pairs ...string) string { return q(append(pairs, window...)...) }
	for _, call := range []struct{ name, path string }{
		{"save: the kind and version of the server", "/api/v1/status/buildinfo"},
		{"save and test", "/api/v1/query " + q("query", "1+1", "time", "4")},
		{"health of the back end", "/api/v1/query_range " + q("query", "1+1", "start", "1", "end", "4", "step", "1")},
		{"label_names()", "/api/v1/labels " + with()},
		{"label_names(), newer", "/api/v1/labels " + with("limit", "40000")},
		{"label_names(metric)", "/api/v1/labels " + with("match[]", `{__name__="vm_cpu_seconds_total"}`)},
		{"label_values(host)", "/api/v1/label/host/values?" + with()},
		{"label_values(metric, host)", "/api/v1/label/host/values?" + with("match[]", `vm_cpu_seconds_total{vm_name="web-0"}`)},
		{"metrics()", "/api/v1/label/__name__/values?" + with("limit", "40000")},
		{"a label with a dot", "/api/v1/label/U__a_2e_b/values?" + with()},
		{"query_result()", "/api/v1/query " + q("query", "topk(1, vm_cpu_seconds_total)", "time", end)},
		{"series of a selector", "/api/v1/series " + with("match[]", `vm_cpu_seconds_total{host=~"h.*"}`)},
		{"series of a selector, GET", "/api/v1/series?" + with("match[]", "vm_memory_bytes", "limit", "40000")},
		{"help and type of metrics", "/api/v1/metadata?limit=40000"},
		{"help of one metric", "/api/v1/metadata?metric=vm_memory_bytes"},
		{"recording rules for the builder", "/api/v1/rules"},
		{"alerts of the data source", "/api/v1/rules?type=alert"},
		{"the format button", "/api/v1/format_query " + q("query", "sum(rate(vm_cpu_seconds_total[5m]))by(host)")},
		{"a panel", "/api/v1/query_range " + with("query", `sum by (host) (rate(vm_cpu_seconds_total{host=~"h.*"}[1m0s]))`, "step", "15")},
		{"a panel with a timeout", "/api/v1/query_range " + with("query", "vm_memory_bytes", "step", "15.000", "timeout", "60s")},
		{"a table", "/api/v1/query " + q("query", "vm_memory_bytes", "time", end+".123")},
		{"a heatmap", "/api/v1/query_range " + with("query", "sum by (le) (rate(wait_seconds_bucket[1m]))", "step", "60")},
		{"an error in the editor", "/api/v1/query_range " + with("query", "sum(rate(x[5m])", "step", "15")},
		{"exemplars", "/api/v1/query_exemplars " + with("query", "vm_cpu_seconds_total")},
		{"exemplars of a quantile", "/api/v1/query_exemplars?" + with("query", "histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))")},
	} {
		same(t, get(t, us, call.path), get(t, them, call.path), call.name)
	}
	var built struct{ Data httpapi.Build }
	require.NoError(t, json.Unmarshal([]byte(get(t, us, "/api/v1/status/buildinfo").body), &built))
	assert.Equal(t, "3.5.0", built.Data.Version, "Grafana asks for what this version has")
	assert.Equal(t, http.StatusNotFound, get(t, us, "/api/v1/status/ruler").code, "how Grafana finds that this is not Mimir")
}
