package httpapi

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// TestAnswers holds answers to the byte. That these are Prometheus's own is held in tsdb/peer/api.
func TestAnswers(t *testing.T) {
	api := fixture(t, func(o *Options) {
		o.Metadata = func(_ context.Context, metric string) (map[string][]Metadata, error) {
			all := map[string][]Metadata{"vm_available": {{Type: "gauge", Help: "Whether it answers."}}, "vm_cpu_seconds_total": {{Unit: "seconds"}}}
			if metric != "" {
				return map[string][]Metadata{metric: all[metric]}, nil
			}
			return all, nil
		}
		o.Build = Build{Version: "3.5.0", GoVersion: "go"}
		o.Config = func() string { return "a: b\n" }
		o.Stats = func(_ context.Context, top int) (Stats, error) {
			return Stats{Cardinality: engine.Cardinality{Series: 4, Values: 7, ByMetric: []engine.Count{{Name: "m", Count: uint64(top)}}}, MinTime: 1, MaxTime: 2}, nil
		}
		o.Metrics = func(w io.Writer) error { _, err := io.WriteString(w, "up 1\n"); return err }
	})
	for path, want := range map[string]string{
		"/api/v1/query?query=1%2B1":                                      `{"status":"success","data":{"resultType":"scalar","result":[1700000000,"2"]}}`,
		"/api/v1/query?query=%22a%22&time=1.5":                           `{"status":"success","data":{"resultType":"string","result":[1.500,"a"]}}`,
		"/api/v1/query?query=nothing":                                    `{"status":"success","data":{"resultType":"vector","result":[]}}`,
		"/api/v1/query?query=vm_available":                               `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"vm_available","note":"a \"b\"\\\u000a\u0001ü","vm_name":"web-0"},"value":[1700000000,"1"]}]}}`,
		"/api/v1/query?query=vm_available[20s]":                          `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"vm_available","note":"a \"b\"\\\u000a\u0001ü","vm_name":"web-0"},"values":[[1699999985,"1"],[1700000000,"1"]]}]}}`,
		"/api/v1/labels":                                                 `{"status":"success","data":["__name__","host","note","vm_name"]}`,
		"/api/v1/labels?limit=1":                                         `{"status":"success","data":["__name__"],"warnings":["results truncated due to limit"]}`,
		"/api/v1/label/vm_name/values":                                   `{"status":"success","data":["web-0","web-1","web-2"]}`,
		"/api/v1/label/U__vm__name/values":                               `{"status":"success","data":["web-0","web-1","web-2"]}`,
		"/api/v1/label/none/values":                                      `{"status":"success","data":[]}`,
		"/api/v1/series?limit=1&match[]={host=~`.%2B`}":                  `{"status":"success","data":[{"__name__":"vm_cpu_seconds_total","host":"h1","vm_name":"web-0"}],"warnings":["results truncated due to limit"]}`,
		"/api/v1/metadata?limit=1":                                       `{"status":"success","data":{"vm_available":[{"type":"gauge","help":"Whether it answers.","unit":""}]}}`,
		"/api/v1/metadata?metric=vm_cpu_seconds_total":                   `{"status":"success","data":{"vm_cpu_seconds_total":[{"type":"unknown","help":"","unit":"seconds"}]}}`,
		"/api/v1/targets":                                                `{"status":"success","data":{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}}`,
		"/api/v1/targets/metadata":                                       `{"status":"success","data":[]}`,
		"/api/v1/rules?type=alert":                                       `{"status":"success","data":{"groups":[]}}`,
		"/api/v1/alerts":                                                 `{"status":"success","data":{"alerts":[]}}`,
		"/api/v1/query_range?query=time()&start=7&end=20&step=5":         `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[7,"7"],[12,"12"],[17,"17"]]}]}}`,
		"/api/v1/query_range?query=time()&start=7&end=20&step=5&align=1": `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[5,"5"],[10,"10"],[15,"15"],[20,"20"]]}]}}`,
		"/api/v1/format_query?query=sum(a)by(b)":                         `{"status":"success","data":"sum by (b) (a)"}`,
		"/api/v1/parse_query?query=1":                                    `{"status":"success","data":{"type":"numberLiteral","val":"1"}}`,
		"/api/v1/query_exemplars?query=vm_available":                     `{"status":"success","data":[{"seriesLabels":{"__name__":"vm_available","note":"a \"b\"\\\u000a\u0001ü","vm_name":"web-0"},"exemplars":[{"labels":{"trace_id":"t1"},"value":"4","timestamp":1699999998.500}]}]}`,
		"/api/v1/status/config":                                          `{"status":"success","data":{"yaml":"a: b\n"}}`,
		"/api/v1/status/flags":                                           `{"status":"success","data":{}}`,
		"/api/v1/status/buildinfo":                                       `{"status":"success","data":{"version":"3.5.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"go"}}`,
		"/api/v1/status/tsdb?limit=3":                                    `{"status":"success","data":{"headStats":{"numSeries":4,"numLabelPairs":7,"chunkCount":0,"minTime":1,"maxTime":2},"seriesCountByMetricName":[{"name":"m","value":3}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[]}}`,
		"/metrics":                                                       "up 1\n",
		"/-/healthy":                                                     "NovaCron is healthy.\n",
		"/-/ready":                                                       "NovaCron is ready.\n",
	} {
		got := ask(t, api, path, "")
		assert.Equal(t, http.StatusOK, got.code, path)
		assert.Equal(t, want, got.body, path)
	}
	form := ask(t, api, "/api/v1/query", params("query", "1+1"))
	assert.JSONEq(t, `{"status":"success","data":{"resultType":"scalar","result":[1700000000,"2"]}}`, form.body)
	assert.Equal(t, "application/json", form.header.Get("Content-Type"))
	assert.Empty(t, form.header.Get("Access-Control-Allow-Origin"), "CORS is off")
}

// TestBadInput holds that each wrong parameter is refused as bad data, and by its name and value.
func TestBadInput(t *testing.T) {
	api := fixture(t, nil)
	for _, example := range []struct{ path, name, value string }{
		{"query?query=sum(", "query", "parse error"},
		{"query", "query", "no expression found"},
		{"query?query=1&time=yesterday", "time", "yesterday"},
		{"query?query=1&time=NaN", "time", "NaN"},
		{"query?query=1&time=1e300", "time", "1e300"},
		{"query?query=1&limit=-1", "limit", "-1"},
		{"query?query=1&limit=x", "limit", "x"},
		{"query?query=1&timeout=soon", "timeout", "soon"},
		{"query?query=1&timeout=-5s", "timeout", "-5s"},
		{"query?query=1&timeout=0", "timeout", "0"},
		{"query?query=1&lookback_delta=y", "lookback_delta", "y"},
		{"query?query=1&partial_response=maybe", "partial_response", "maybe"},
		{"query_range?query=1&end=2&step=1", "start", `""`},
		{"query_range?query=1&start=1&step=1", "end", `""`},
		{"query_range?query=1&start=5&end=2&step=1", "end", "5"},
		{"query_range?query=1&start=1&end=2", "step", `""`},
		{"query_range?query=1&start=1&end=2&step=0", "step", "0"},
		{"query_range?query=1&start=1&end=2&step=-1", "step", "-1"},
		{"query_range?query=1&start=1&end=2&step=0.0001", "step", "0.0001"},
		{"query_range?query=1&start=1&end=2&step=Inf", "step", "Inf"},
		{"query_range?query=1&start=0&end=11001&step=1", "step", "11001"},
		{"query_range?query=1&start=-9e15&end=9e15&step=1e9", "step", "1e9"},
		{"query_range?query=1&start=1&end=2&step=1&align=maybe", "align", "maybe"},
		{"labels?start=x", "start", "x"},
		{"labels?match[]={}", "match[]", "{}"},
		{"labels?match[]=a&match[]=b(", "match[]", "b("},
		{"label/a/values?end=x", "end", "x"},
		{"label/a/values?limit=1.5", "limit", "1.5"},
		{"label/%FF/values", "name", `\xff`},
		{"series", "match[]", "selector"},
		{"series?match[]={a=~`x*`}", "match[]", "x*"},
		{"series?match[]={a=~`(`}", "match[]", "missing closing"},
		{"metadata?limit=a", "limit", "a"},
		{"metadata?limit_per_metric=a", "limit_per_metric", "a"},
		{"targets?state=odd", "state", "odd"},
		{"targets/metadata?match_target={", "match_target", "{"},
		{"rules?type=odd", "type", "odd"},
		{"status/tsdb?limit=0", "limit", "0"},
		{"status/tsdb?limit=10001", "limit", "10001"},
		{"query_exemplars?query=(", "query", "parse error"},
		{"query_exemplars?query=a&start=2&end=1", "end", "1"},
		{"format_query?query=(", "query", "parse error"},
		{"parse_query?query=(", "query", "parse error"},
		{"query?query=%zz", "parameters", "%zz"},
	} {
		t.Run(example.path, func(t *testing.T) {
			got := ask(t, api, "/api/v1/"+example.path, "")
			kind, text := got.failed(t)
			assert.Equal(t, http.StatusBadRequest, got.code)
			assert.Equal(t, "bad_data", kind)
			assert.Contains(t, text, example.name)
			assert.Contains(t, text, example.value)
		})
	}
}

// TestMostPoints holds that the limit of points is Prometheus's, to the point.
func TestMostPoints(t *testing.T) {
	got := ask(t, fixture(t, nil), "/api/v1/query_range?query=1&start=0&end=11000&step=1", "")
	assert.Equal(t, http.StatusOK, got.code)
}

func TestSizes(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Limits.URL, o.Limits.Body = 100, 200 })
	got := ask(t, api, "/api/v1/query?query="+strings.Repeat("1", 100), "")
	_, text := got.failed(t)
	assert.Equal(t, http.StatusRequestURITooLong, got.code)
	assert.Contains(t, text, "at most 100")
	got = ask(t, api, "/api/v1/query", "query="+strings.Repeat("1", 300))
	_, text = got.failed(t)
	assert.Equal(t, http.StatusRequestEntityTooLarge, got.code)
	assert.Contains(t, text, "200 bytes")
	got = ask(t, api, "/api/v1/none", "")
	kind, _ := got.failed(t)
	assert.Equal(t, http.StatusNotFound, got.code)
	assert.Equal(t, "not_found", kind)
	assert.Equal(t, http.StatusNotFound, ask(t, api, "/api/v1/write", "x=y").code)
}

// TestKinds holds which error is which.
func TestKinds(t *testing.T) {
	for name, example := range map[string]struct {
		err  error
		kind string
		code int
	}{
		"a limit":          {&query.LimitError{Limit: "samples", Reached: "9", Max: "8", Way: "ask for less"}, "execution", 422},
		"time is up":       {&query.LimitError{Limit: "timeout", Reached: "more", Max: "2m"}, "timeout", 503},
		"hosts missing":    {&federate.MissingError{Hosts: []string{"h1"}, Asked: 2, First: errDisk}, "unavailable", 503},
		"closed":           {engine.ErrClosed, "unavailable", 503},
		"canceled":         {promql.ErrQueryCanceled("x"), "canceled", 499},
		"storage":          {promql.ErrStorage{Err: errDisk}, "internal", 500},
		"anything":         {errDisk, "execution", 422},
		"the client's own": {context.Canceled, "canceled", 499},
	} {
		t.Run(name, func(t *testing.T) {
			api := fixture(t, func(o *Options) { o.Source = brokenSource{o.Source, 3, example.err} })
			for _, path := range []string{"/api/v1/series?match[]=m", "/api/v1/query?query=m"} {
				got := ask(t, api, path, "")
				kind, text := got.failed(t)
				assert.Equal(t, example.kind, kind, path)
				assert.Equal(t, example.code, got.code, path)
				assert.Contains(t, text, example.err.Error(), path)
			}
		})
	}
}

// TestLate holds what an engine without limits of its own says.
func TestLate(t *testing.T) {
	assert.Equal(t, timeout, fail(fmt.Errorf("asked: %w", promql.ErrQueryTimeout("x"))).kind)
}

// TestLimitOfQuery holds that a query which breaks a limit says which, and the way out.
func TestLimitOfQuery(t *testing.T) {
	api := fixture(t, func(o *Options) {
		small, err := query.New(query.Options{Limits: query.Limits{Series: 2}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, small.Close()) })
		o.Engine = small
	})
	got := ask(t, api, "/api/v1/query?query=vm_cpu_seconds_total", "")
	kind, text := got.failed(t)
	assert.Equal(t, 422, got.code)
	assert.Equal(t, "execution", kind)
	assert.Contains(t, text, "allowed are 2: name more labels")
}

// TestCut holds that an answer which breaks off halfway is cut, and not closed as if it were whole.
func TestCut(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Source = brokenSource{o.Source, 10_000, errDisk} })
	server := httptest.NewServer(api)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/api/v1/series?match[]=m")
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	_, err = io.ReadAll(answer.Body)
	require.Error(t, err)
}

// TestGzip holds that long answers are compressed for those who take it, and no more at one time than may be.
func TestGzip(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Source = brokenSource{o.Source, 5000, nil} })
	get := func(path, accept string) said {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", accept)
		return send(t, api, r)
	}
	plain := get("/api/v1/series?match[]=m", "gzip;q=0")
	assert.Empty(t, plain.header.Get("Content-Encoding"))
	zipped := get("/api/v1/series?match[]=m", "br, gzip")
	assert.Equal(t, "gzip", zipped.header.Get("Content-Encoding"))
	assert.Less(t, len(zipped.body), len(plain.body)/4)
	reader, err := gzip.NewReader(strings.NewReader(zipped.body))
	require.NoError(t, err)
	body, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Equal(t, plain.body, string(body))
	assert.Empty(t, get("/api/v1/query?query=1", "gzip").header.Get("Content-Encoding"), "a short answer")
}

func TestGzipIsBounded(t *testing.T) {
	zips := make(chan struct{}, 1)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	first, second := newAnswer(httptest.NewRecorder(), r, zips), newAnswer(httptest.NewRecorder(), r, zips)
	for _, a := range []*answer{first, second} {
		a.buf = make([]byte, piece)
		require.NoError(t, a.flow())
	}
	assert.NotNil(t, first.zip)
	assert.Nil(t, second.zip)
	first.release()
	assert.Empty(t, zips)
}

// slowEngine waits for the end of its time.
type slowEngine struct{ promql.QueryEngine }

func (e slowEngine) NewInstantQuery(ctx context.Context, _ storage.Queryable, _ promql.QueryOpts, _ string, _ time.Time) (promql.Query, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTimeout(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Engine = slowEngine{} })
	got := ask(t, api, "/api/v1/query?query=1&timeout=1ms", "")
	kind, _ := got.failed(t)
	assert.Equal(t, 503, got.code)
	assert.Equal(t, "timeout", kind)
}

// TestConcurrent holds that no more requests are answered at one time than may be, and that others are told so.
func TestConcurrent(t *testing.T) {
	o := Options{Limits: Limits{Concurrent: 1}.withDefaults()}
	a := &api{Options: o, slots: make(chan struct{}, 1)}
	a.slots <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	never := a.limited(func(*answer, *http.Request) error { return errors.New("it ran") })
	err := never(nil, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	f := fail(err)
	assert.Equal(t, timeout, f.kind)
	assert.Contains(t, f.Error(), "limit concurrent")
}

// TestPartial holds who reads the source that refuses partial answers.
func TestPartial(t *testing.T) {
	missing := &federate.MissingError{Hosts: []string{"h7"}, Asked: 8, First: errDisk}
	api := fixture(t, func(o *Options) { o.Complete = brokenSource{o.Source, 0, missing} })
	for _, path := range []string{"/api/v1/query?query=vm_available", "/api/v1/series?match[]=vm_available", "/api/v1/query_range?query=vm_available&start=1&end=2&step=1"} {
		assert.Equal(t, http.StatusOK, ask(t, api, path, "").code)
		for _, no := range []string{"0", "false"} {
			got := ask(t, api, path+"&partial_response="+no, "")
			kind, text := got.failed(t)
			assert.Equal(t, "unavailable", kind)
			assert.Equal(t, 503, got.code)
			assert.Contains(t, text, "h7")
		}
	}
}

func TestNotReady(t *testing.T) {
	api := fixture(t, func(o *Options) { o.Ready = func() error { return errors.New("the log is being read") } })
	got := ask(t, api, "/-/ready", "")
	assert.Equal(t, 503, got.code)
	assert.Contains(t, got.body, "the log is being read")
}

func TestRuntime(t *testing.T) {
	got := ask(t, fixture(t, nil), "/api/v1/status/runtimeinfo", "")
	assert.Contains(t, got.body, `"startTime":"2023-11-14T22:13:20Z"`)
}
