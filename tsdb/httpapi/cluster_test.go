package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/federate/explore"
)

// TestCardinalityIsTold asks for it with each parameter, and for what makes no sense.
func TestCardinalityIsTold(t *testing.T) {
	var asked explore.Ask
	api := fixture(t, func(o *Options) {
		o.Explore = func(_ context.Context, ask explore.Ask) (explore.Answer, error) {
			asked = ask
			return explore.Answer{
				Total: explore.Row{Series: 12, SeriesBefore: 2}, Groups: 7, Rows: []explore.Row{{Name: "id", Series: 10, Values: 9, Left: 1}},
				Findings: []explore.Finding{{Metric: "m", Label: "id", Values: 9, Series: 10, Left: 1, GrowthShare: 0.9, Since: time.Hour}},
			}, nil
		}
	})
	got := ask(t, api, "/api/v1/cardinality?by=label&since=1h&limit=3&match[]=m{a='b'}", "")
	assert.JSONEq(t, `{"status":"success","data":{"series":12,"seriesBefore":2,"groups":[{"name":"id","series":10,"seriesBefore":0,"values":9,"valuesBefore":0,`+
		`"left":1,"leftBefore":0}],"groupCount":7,"findings":[{"metric":"m","label":"id","values":9,"series":10,"left":1,"growthShare":0.9,`+
		`"text":"label id of metric m: 9 values, 90 % of its growth in 1 h; dropping it leaves 1 of 10 series"}]}}`, got.body)
	assert.Equal(t, explore.Ask{Selector: "m{a='b'}", By: "label", Since: time.Hour, Top: 3, Now: now}, asked)
	assert.NotContains(t, ask(t, api, "/api/v1/cardinality?by=host", "").body, "left\":1,\"leftB")
	require.Equal(t, http.StatusOK, ask(t, api, "/api/v1/cardinality?by=value", "").code)
	assert.Equal(t, explore.ByValue, asked.By)
	for bad, name := range map[string]string{
		"by=colour": "by", "since=x": "since", "since=-1h": "since", "limit=0": "limit", "limit=20000": "limit", "match[]={": "match[]",
		"match[]=a&match[]=b": "match[]", "drop=__name__": "drop", "drop=a&by=value": "drop",
	} {
		got := ask(t, api, "/api/v1/cardinality?"+bad, "")
		kind, text := got.failed(t)
		assert.Equal(t, "bad_data", kind, bad)
		assert.Contains(t, text, fmt.Sprintf("invalid parameter %q: ", name), bad)
	}
	assert.Equal(t, http.StatusNotFound, ask(t, fixture(t, nil), "/api/v1/cardinality", "").code)
}

// TestWhatIsMissingIsTold has functions of the options warn, and a client who wants all or nothing.
func TestWhatIsMissingIsTold(t *testing.T) {
	api := fixture(t, func(o *Options) {
		o.Metadata = func(ctx context.Context, _ string) (map[string][]Metadata, error) {
			Warn(ctx, "h3 is missing")
			return map[string][]Metadata{"m": {{Type: "gauge"}}}, nil
		}
		o.Stats = func(ctx context.Context, _ int) (Stats, error) {
			Warn(ctx, "h3 is missing")
			return Stats{MinTime: 1, MaxTime: 2}, nil
		}
		o.Targets = func(ctx context.Context) ([]Target, error) {
			Warn(ctx, "h3 is missing")
			return []Target{NewTarget("kvm", "agent://h1/kvm", map[string]string{"host": "h1"}).Every(15*time.Second, 10*time.Second)}, nil
		}
		o.Explore = func(ctx context.Context, _ explore.Ask) (explore.Answer, error) {
			return explore.Answer{Warnings: []string{"h3 is missing"}}, nil
		}
	})
	for path, want := range map[string]string{
		"metadata?x": `"data":{"m":[{"type":"gauge","help":"","unit":""}]}`, "status/tsdb?x": `"minTime":1,"maxTime":2`, "cardinality?x": `"groups":[]`,
		"targets?x":          `"scrapePool":"kvm","scrapeUrl":"agent://h1/kvm","globalUrl":"agent://h1/kvm","lastError":"","lastScrape":"0001-01-01T00:00:00Z","lastScrapeDuration":0,"health":"unknown","scrapeInterval":"15s","scrapeTimeout":"10s"`,
		"targets/metadata?x": `"data":[]`,
	} {
		got := ask(t, api, "/api/v1/"+path, "")
		assert.Contains(t, got.body, want, path)
		assert.Contains(t, got.body, `"warnings":["h3 is missing"]`, path)
		kind, text := ask(t, api, "/api/v1/"+path+"&partial_response=0", "").failed(t)
		assert.Equal(t, "unavailable", kind, path)
		assert.Equal(t, "h3 is missing", text, path)
	}
	assert.NotContains(t, ask(t, api, "/api/v1/targets?state=dropped", "").body, "warnings", "nobody was asked")
	Warn(t.Context(), "to nobody")
}

// TestExemplarsTellWhoIsMissing has a host that does not answer.
func TestExemplarsTellWhoIsMissing(t *testing.T) {
	api := cluster(t, 3)
	got := ask(t, api, "/api/v1/query_exemplars?query=vm_cpu_seconds_total&start=0&end=1800000000", "")
	assert.Contains(t, got.body, `"vm_name":"web-1"`)
	assert.Contains(t, got.body, "1 of 3 hosts did not answer, and their series are missing: h2")
	refused := ask(t, api, "/api/v1/query_exemplars?query=vm_cpu_seconds_total&start=0&end=1800000000&partial_response=0", "")
	assert.Equal(t, http.StatusServiceUnavailable, refused.code)
}
