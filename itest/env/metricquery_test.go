package env_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/node"
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

// overHTTP asks a member by the HTTP API of Prometheus.
func overHTTP(t *testing.T, client *env.Client, address, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.URL(address)+"/api/v1/"+path, nil)
	require.NoError(t, err)
	answer, err := client.HTTP.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
	return string(text)
}
