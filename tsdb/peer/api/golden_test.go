package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/index"
	v1 "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// theirs is Prometheus's own handler over the same data.
func theirs(p place) http.Handler {
	router := route.New()
	api := v1.NewAPI(p.queries, p.source, nil, nil, p.source,
		func(context.Context) v1.ScrapePoolsRetriever { return nothing{} }, func(context.Context) v1.TargetRetriever { return nothing{} },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} }, func() config.Config { return config.Config{} },
		map[string]string{"a.flag": "1"}, v1.GlobalURLOptions{}, func(h http.HandlerFunc) http.HandlerFunc { return h },
		fixedStats{}, "", false, false, 0, slog.New(slog.DiscardHandler), func(context.Context) v1.RulesRetriever { return nothing{} },
		0, 1, 0, false, nil, func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil }, &v1.PrometheusVersion{Version: "3.5.0", GoVersion: "go"},
		nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil, false, nil, false, false, false, false, 0, false, false, nil, nil,
		v1.OpenAPIOptions{}, parser.NewParser(query.ParserOptions()))
	api.Register(router.WithPrefix("/api/v1"))
	return router
}

// nothing is a server without targets, rules and alerts.
type nothing struct{}

func (nothing) ScrapePools() []string                                 { return nil }
func (nothing) TargetsActive() map[string][]*scrape.Target            { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target           { return nil }
func (nothing) TargetsDroppedCounts() map[string]int                  { return map[string]int{} }
func (nothing) RuleGroups() []*rules.Group                            { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule                  { return nil }
func (nothing) Alertmanagers() []*url.URL                             { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL                      { return nil }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) { return nil, fmt.Errorf("none") }

// fixedStats are of a store with one metric.
type fixedStats struct{ v1.TSDBAdminStats }

func (fixedStats) Stats(string, int) (*tsdb.Stats, error) {
	one := []index.Stat{{Name: "n", Count: 2}}
	return &tsdb.Stats{NumSeries: 4, MinTime: 1, MaxTime: 2, IndexPostingStats: &index.PostingsStats{
		CardinalityMetricsStats: one, CardinalityLabelStats: one, LabelValueStats: one, LabelValuePairsStats: one, NumLabelPairs: 7,
	}}, nil
}

// ours is our handler with the same about it.
func ours(p place) http.Handler {
	o := p.options
	o.Build = httpapi.Build{Version: "3.5.0", GoVersion: "go"}
	o.Flags = map[string]string{"a.flag": "1"}
	o.Stats = func(context.Context, int) (httpapi.Stats, error) {
		one := []engine.Count{{Name: "n", Count: 2}}
		return httpapi.Stats{Cardinality: engine.Cardinality{Series: 4, Values: 7, ByMetric: one, ByLabel: one, BytesByLabel: one, ByPair: one}, MinTime: 1, MaxTime: 2, Chunks: chunksUnknown}, nil
	}
	return httpapi.New(o)
}

// chunksUnknown is what Prometheus says where its metrics do not tell: a NaN as an integer.
var chunksUnknown = int64(notANumber)

var notANumber = math.NaN()

func q(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// TestGolden holds every endpoint's answer, and the kind of every error, to Prometheus's.
func TestGolden(t *testing.T) {
	p := newPlace(t)
	p.addHistograms(t)
	us, them := ours(p), theirs(p)
	end, start := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()-1200, 10)
	var paths []string
	for _, expr := range []string{
		"vm_cpu_seconds_total", "sum by (host) (rate(vm_cpu_seconds_total[5m]))", "1/0", "-1/0", "0/0", `"text"`, "time()", "nothing", "vm_memory_bytes",
		"disk_seconds", "own_seconds", "rate(disk_seconds[5m])", "histogram_quantile(0.9, wait_seconds_bucket)", "disk_seconds[1m]", "1e-9", "1e22", "-0",
		"topk(2, vm_cpu_seconds_total)", "vm_cpu_seconds_total{host=\"h0\"} + on(vm_name) vm_cpu_seconds_total{host=\"h1\"}", "rate(vm_memory_bytes[5m])",
		"sum(", "vm_cpu_seconds_total + on(host) vm_cpu_seconds_total", "quantile(2, vm_memory_bytes)", "vm_memory_bytes @ end()",
	} {
		paths = append(paths,
			"/api/v1/query?"+q("query", expr, "time", end), "/api/v1/query?"+q("query", expr, "time", now.Format(time.RFC3339)), "/api/v1/query "+q("query", expr, "limit", "1", "time", end),
			"/api/v1/query_range?"+q("query", expr, "start", start, "end", end, "step", "1m"), "/api/v1/query_range "+q("query", expr, "start", start, "end", end, "step", "37.5", "limit", "2"),
			"/api/v1/format_query?"+q("query", expr), "/api/v1/parse_query "+q("query", expr), "/api/v1/query_exemplars?"+q("query", expr+" or up", "start", start, "end", end))
	}
	for _, expr := range []string{
		"a{b=~\"c\",d!~\"e\"}[5m:1m] offset -5m", "a @ 1.5", "a[5m] @ start()", "-a", "(a)", "topk(3, a) without (b)", "a / on(b) group_left(c) d", "a == bool 1",
		"a and ignoring(b) c", "label_replace(a, \"b\", \"c\", \"d\", \"e\")", "a[5m+1m]", "a offset (1m*2)", "sum without () (a)", "a[1h:]", "a[5m] smoothed", "count_values(\"x\", a)",
		"a + fill_left(0) b",
	} {
		paths = append(paths, "/api/v1/parse_query?"+q("query", expr), "/api/v1/format_query "+q("query", expr))
	}
	paths = append(paths,
		"/api/v1/labels", "/api/v1/labels "+q("match[]", "vm_memory_bytes", "match[]", "vm_cpu_seconds_total"), "/api/v1/labels?limit=2", "/api/v1/labels?"+q("start", end, "end", end),
		"/api/v1/labels?"+q("start", "10", "end", "20"), "/api/v1/label/host/values", "/api/v1/label/host/values?limit=1", "/api/v1/label/vm_name/values?"+q("match[]", `{host="h0"}`),
		"/api/v1/label/none/values", "/api/v1/label/U__vm__name/values", "/api/v1/series?"+q("match[]", "vm_memory_bytes"), "/api/v1/series "+q("match[]", "vm_memory_bytes", "match[]", `{host="h0"}`),
		"/api/v1/series?"+q("match[]", "vm_memory_bytes", "limit", "1"), "/api/v1/series?"+q("match[]", "nothing"), "/api/v1/metadata", "/api/v1/targets", "/api/v1/targets?state=active",
		"/api/v1/targets/metadata", "/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/alerts", "/api/v1/alertmanagers", "/api/v1/status/tsdb", "/api/v1/status/buildinfo", "/api/v1/status/flags",
		// Errors.
		"/api/v1/query", "/api/v1/query?query=1&time=x", "/api/v1/query?query=1&limit=-1", "/api/v1/query?query=1&timeout=x", "/api/v1/query?query=1&lookback_delta=x",
		"/api/v1/query_range?query=1", "/api/v1/query_range?query=1&start=2&end=1&step=1", "/api/v1/query_range?query=1&start=1&end=2&step=0", "/api/v1/query_range?query=1&start=0&end=11001&step=1",
		"/api/v1/query_range?query=1&start=0&end=11000&step=1", "/api/v1/labels?"+q("match[]", "{}"), "/api/v1/series", "/api/v1/series?"+q("match[]", "("), "/api/v1/query_exemplars?query=(",
		"/api/v1/status/tsdb?limit=0", "/api/v1/rules?type=x", "/api/v1/label/host/values?start=x", "/api/v1/metadata?limit=x", "/api/v1/targets/metadata?match_target=(",
	)
	for _, path := range paths {
		same(t, get(t, us, path), get(t, them, path), path)
	}
	t.Logf("%d answers are the same", len(paths))
}

// same holds that two answers are the same JSON; of errors the texts may differ.
func same(t *testing.T, us, them said, path string) {
	t.Helper()
	assert.Equal(t, them.code, us.code, "%s\nours: %.300s\ntheirs: %.300s", path, us.body, them.body)
	if them.code == http.StatusOK {
		// Its own storage gives an empty list of exemplars where this one gives none.
		assert.JSONEq(t, strings.Replace(them.body, `"data":null`, `"data":[]`, 1), us.body, path)
		return
	}
	type failure struct{ Status, ErrorType string }
	var a, b failure
	require.NoError(t, json.Unmarshal([]byte(us.body), &a), path)
	require.NoError(t, json.Unmarshal([]byte(them.body), &b), path)
	assert.Equal(t, b, a, path)
}

// TestShapes holds that answers whose values differ by server have Prometheus's fields.
func TestShapes(t *testing.T) {
	p := newPlace(t)
	us, them := ours(p), theirs(p)
	for _, path := range []string{"/api/v1/status/runtimeinfo", "/api/v1/query?query=1&stats=true", "/api/v1/query?query=vm_memory_bytes&stats=all&time=1699999200", "/api/v1/status/config"} {
		assert.Equal(t, shape(t, get(t, them, path).body), shape(t, get(t, us, path).body), path)
	}
	text, err := json.Marshal(v1.Target{})
	require.NoError(t, err)
	mine, err := json.Marshal(httpapi.Target{})
	require.NoError(t, err)
	assert.Equal(t, shape(t, string(text)), shape(t, string(mine)))
}

// shape replaces all values by their types.
func shape(t *testing.T, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return shapeOf(v)
}

func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = shapeOf(v[name])
		}
		return v
	case []any:
		if len(v) > 0 {
			return []any{shapeOf(v[0])}
		}
	}
	return fmt.Sprintf("%T", v)
}
