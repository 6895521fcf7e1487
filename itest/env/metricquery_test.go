package env_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// asked is a whole answer: the last value of each series by the host that it names, and what there is to say.
type asked struct {
	values   map[string]float64
	points   int
	warnings []string
}

func query(ctx context.Context, client *env.Client, r *novacronv1.QueryMetricsRequest) (asked, error) {
	got := asked{values: map[string]float64{}}
	stream, err := client.Metrics.QueryMetrics(ctx, connect.NewRequest(r))
	if err != nil {
		return got, err
	}
	defer stream.Close()
	for stream.Receive() {
		for _, s := range stream.Msg().GetSeries() {
			got.values[s.GetLabels()["host"]] = s.GetValues()[len(s.GetValues())-1]
			got.points += len(s.GetValues())
		}
		got.warnings = append(got.warnings, stream.Msg().GetSummary().GetWarnings()...)
	}
	return got, stream.Err()
}

// awaitValue asks until the answer has one value without a host, and it is the one that is wanted.
func awaitValue(t *testing.T, client *env.Client, expr string, want float64) {
	t.Helper()
	waitFor(t, expr, func(ctx context.Context) error {
		got, err := query(ctx, client, &novacronv1.QueryMetricsRequest{Query: expr})
		if err != nil {
			return err
		}
		if len(got.values) != 1 || got.values[""] != want {
			return fmt.Errorf("%+v, want %v", got, want)
		}
		return nil
	})
}

// TestOneQuestionIsAnsweredByAllHosts asks a follower of hosts that measure themselves and of a target that one of them
// scrapes, then with a host that has gone.
func TestOneQuestionIsAnsweredByAllHosts(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "# TYPE shop_queue gauge\nshop_queue{till=\"1\"} 7")
	}))
	t.Cleanup(target.Close)
	c := env.New(t, env.Options{Controllers: 3, Agents: 3})
	client := admin(t, c, followers(t, c)[0].Name)
	addSource(t, client, &novacronv1.MetricSourceSpec{
		Name: "shop", Interval: durationpb.New(5 * time.Second),
		Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: target.URL, Undeclared: true}},
	}, "")

	awaitValue(t, client, `count(host_cpus)`, 3)
	awaitValue(t, client, `sum(shop_queue)`, 7)
	awaitValue(t, client, `count(count by (host) (rate(host_context_switches_total[5m]) > 0))`, 3)
	now := time.Now()
	got, err := query(t.Context(), client, &novacronv1.QueryMetricsRequest{
		Query: `max by (host) (host_memory_total_bytes)`, Start: timestamppb.New(now.Add(-time.Minute)), End: timestamppb.New(now), Step: durationpb.New(5 * time.Second),
	})
	require.NoError(t, err)
	assert.Len(t, got.values, 3)
	assert.GreaterOrEqual(t, got.points, 3)
	assert.Empty(t, got.warnings)

	chart, contentType := rendered(t, client, &novacronv1.RenderMetricsRequest{Question: &novacronv1.QueryMetricsRequest{Query: `max by (host) (host_cpus)`}, Format: "csv"})
	assert.Equal(t, "text/csv; charset=utf-8", contentType)
	assert.Regexp(t, `^time,value,host\n([^,]+,\d+,host-\d\n){3}$`, chart)

	for name, bad := range map[string]*novacronv1.QueryMetricsRequest{
		"not PromQL":     {Query: `sum(`},
		"time and start": {Query: `up`, Time: timestamppb.New(now), Start: timestamppb.New(now)},
		"no step":        {Query: `up`, Start: timestamppb.New(now)},
	} {
		_, err := query(t.Context(), client, bad)
		assert.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%s: %v", name, err)
	}
	_, err = query(t.Context(), client, &novacronv1.QueryMetricsRequest{Query: `up`, Start: timestamppb.New(now.AddDate(-1, 0, 0)), Step: durationpb.New(time.Second)})
	assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "too many steps: %v", err)
	for _, address := range []string{client.Address, c.Member("host-1").Config.API} {
		hosts := map[bool]string{true: "3", false: "1"}[address == client.Address]
		assert.Contains(t, overHTTP(t, client, address, "query?query=count(host_cpus)"), `"`+hosts+`"]}]`, "the API of Prometheus at %s", address)
	}
	agent := c.Member("host-1").Config.API
	assert.Contains(t, overHTTP(t, client, agent, "metadata?metric=host_cpus"), `{"host_cpus":[{"type":"gauge"`)
	assert.Regexp(t, `"numSeries":[1-9]`, overHTTP(t, client, agent, "status/tsdb"))

	plansAreTold(t, client)
	require.NoError(t, c.Member("host-2").Stop())
	waitFor(t, "the host to be missing", func(ctx context.Context) error {
		got, err = query(ctx, client, &novacronv1.QueryMetricsRequest{Query: `max by (host) (host_cpus)`})
		if err != nil {
			return err
		}
		if len(got.values) != 2 || len(got.warnings) != 1 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	assert.Contains(t, got.warnings[0], "1 of 3 hosts did not answer, and their series are missing: host-2")
	_, err = query(t.Context(), client, &novacronv1.QueryMetricsRequest{Query: `sum(host_cpus)`, Complete: true})
	assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "%v", err)
}

// rendered is an answer as it is written for a chart or a file.
func rendered(t *testing.T, client *env.Client, r *novacronv1.RenderMetricsRequest) (text, contentType string) {
	t.Helper()
	stream, err := client.Metrics.RenderMetrics(t.Context(), connect.NewRequest(r))
	require.NoError(t, err)
	defer stream.Close()
	for stream.Receive() {
		text += string(stream.Msg().GetData())
		contentType += stream.Msg().GetContentType()
	}
	require.NoError(t, stream.Err())
	return text, contentType
}

// overHTTP asks a member by the HTTP API of Prometheus.
func overHTTP(t *testing.T, client *env.Client, address, path string) string {
	t.Helper()
	code, text, err := client.Get(t.Context(), address, "/api/v1/"+path)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code, "%s", text)
	return string(text)
}

// plansAreTold explains a query and analyzes it, over an hour of which most is settled although nothing was measured yet.
func plansAreTold(t *testing.T, client *env.Client) {
	t.Helper()
	now := time.Now()
	r := &novacronv1.QueryMetricsRequest{
		Query: `sum(host_cpus) / sum( host_cpus ) + on () group_left () sum(shop_queue)`, Align: true, Explain: true,
		Start: timestamppb.New(now.Add(-time.Hour)), End: timestamppb.New(now), Step: durationpb.New(time.Second),
	}
	told, err := summarized(t.Context(), client, r)
	require.NoError(t, err)
	e := told.GetExplanation()
	require.NotNil(t, e)
	assert.Equal(t, `{__part__="0"} / {__part__="0"} + on () group_left () {__part__="1"}`, e.GetController())
	assert.Equal(t, []string{"host-1", "host-2", "host-3"}, e.GetAskedHosts())
	assert.Len(t, e.GetParts(), 2)
	assert.Equal(t, map[string]uint32{"raw": 3}, e.GetParts()[0].GetTiers())
	assert.EqualValues(t, 3, e.GetSeries()[0].GetLikely())
	assert.Empty(t, e.GetCache().GetUnusedReason())

	r.Query = `sum(shop_queue)`
	told, err = summarized(t.Context(), client, r)
	require.NoError(t, err)
	assert.Len(t, told.GetExplanation().GetPrunedHosts(), 2, "one host scrapes the shop")
	assert.EqualValues(t, 1, told.GetExplanation().GetSeries()[0].GetLikely())

	r.Query, r.Explain, r.Analyze = `sum(host_cpus)`, false, true
	for _, known := range []bool{false, true} {
		told, err = summarized(t.Context(), client, r)
		require.NoError(t, err)
		a := told.GetAnalysis()
		require.NotNil(t, a)
		assert.Len(t, a.GetHosts(), 3)
		for _, h := range a.GetHosts() {
			assert.Positive(t, h.GetSamples(), "%v", h)
			assert.Positive(t, h.GetBytes(), "%v", h)
			assert.EqualValues(t, 1, h.GetCalls(), "%v", h)
		}
		assert.Equal(t, known, a.GetCache().GetKnownSteps() > 2000, "%v", a.GetCache())
		assert.Less(t, a.GetController().AsDuration(), a.GetElapsed().AsDuration())
	}
	assert.Contains(t, overHTTP(t, client, client.Address, fmt.Sprintf("query_range?query=sum(host_cpus)&start=%d&end=%d&step=60&stats=all", now.Unix()-60, now.Unix())), `"totalQueryableSamplesPerStep"`)
}

// summarized asks, and returns what there is to say at the end.
func summarized(ctx context.Context, client *env.Client, r *novacronv1.QueryMetricsRequest) (last *novacronv1.QuerySummary, err error) {
	stream, err := client.Metrics.QueryMetrics(ctx, connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for stream.Receive() {
		last = stream.Msg().GetSummary()
	}
	return last, stream.Err()
}
