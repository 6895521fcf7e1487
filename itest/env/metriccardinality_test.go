package env_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// runaway is a target with twenty series, and with new ones at each scrape once it has been let loose.
type runaway struct {
	*httptest.Server
	loose   atomic.Bool
	scrapes atomic.Int64
}

const steadySeries, newSeries = 20, 30

func newRunaway(t *testing.T) *runaway {
	t.Helper()
	s := &runaway{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "# TYPE shop_requests gauge")
		for i := range steadySeries {
			fmt.Fprintf(w, "shop_requests{path=\"/%d\"} 1\n", i)
		}
		if n := s.scrapes.Add(1); s.loose.Load() {
			for i := range newSeries {
				fmt.Fprintf(w, "shop_requests{path=\"/%d\",request_id=\"%d-%d\"} 1\n", i%steadySeries, n, i)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func setLimits(t *testing.T, client *env.Client, l *novacronv1.MetricLimits) {
	t.Helper()
	_, err := client.Metrics.SetMetricLimits(t.Context(), connect.NewRequest(&novacronv1.SetMetricLimitsRequest{Limits: l}))
	require.NoError(t, err)
}

// TestRunawayLabelIsFoundAndStopped lets a label run away, has the explorer name it, stops it by a limit of its metric and
// then everything new by one of the cluster, while all that is there goes on.
func TestRunawayLabelIsFoundAndStopped(t *testing.T) {
	t.Parallel()
	target := newRunaway(t)
	c := env.New(t, env.Options{Controllers: 3, Agents: 3})
	client := admin(t, c, followers(t, c)[0].Name)
	addSource(t, client, &novacronv1.MetricSourceSpec{
		Name: "shop", Interval: durationpb.New(5 * time.Second),
		Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: target.URL, Undeclared: true}},
	}, "")
	awaitValue(t, client, `count(shop_requests)`, steadySeries)

	awaitValue(t, client, `count(collector_up{collector="host"})`, 3)
	let := time.Now()
	target.loose.Store(true)
	explored := awaitFinding(t, client, let)
	finding := explored.GetFindings()[0]
	assert.Equal(t, "shop_requests", finding.GetMetric())
	assert.Equal(t, uint64(steadySeries), finding.GetLeft(), "%s", finding)
	assert.Equal(t, uint64(steadySeries), finding.GetSeriesBefore(), "%s", finding)
	assert.GreaterOrEqual(t, finding.GetValues(), uint64(newSeries))
	assert.InDelta(t, 1, finding.GetGrowthShare(), 0.001)
	assert.Contains(t, finding.GetText(), "label request_id of metric shop_requests: ")
	checkWholeClusterAPI(t, c, client)

	// The metric is stopped where it is: hosts take no new series of it, and the old ones go on.
	most := finding.GetSeries()
	setLimits(t, client, &novacronv1.MetricLimits{Metrics: map[string]uint64{"shop_requests": most}})
	awaitValue(t, client, `count(sum(collector_refused_samples_total{reason="metric_limit"}) > 0)`, 1)
	held := ask1(t, client, `count(shop_requests)`)
	scrapes := target.scrapes.Load()
	waitFor(t, "more scrapes", func(context.Context) error {
		if target.scrapes.Load() < scrapes+3 {
			return fmt.Errorf("%d scrapes", target.scrapes.Load())
		}
		return nil
	})
	assert.Equal(t, held, ask1(t, client, `count(shop_requests)`), "no series was added")
	waitFor(t, "the old series to go on", func(ctx context.Context) error {
		got, err := query(ctx, client, &novacronv1.QueryMetricsRequest{Query: fmt.Sprintf(`count(timestamp(shop_requests{request_id=""}) > %d)`, time.Now().Unix()-12)})
		if err != nil || got.values[""] != steadySeries {
			return fmt.Errorf("%v: %w", got, err)
		}
		return nil
	})

	// The cluster takes no new series at all: the refusal says why, and the way out.
	setLimits(t, client, &novacronv1.MetricLimits{ClusterSeries: 30})
	_, err := client.Metrics.DefineMetric(t.Context(), connect.NewRequest(&novacronv1.DefineMetricRequest{Definition: &novacronv1.MetricDefinition{
		Name: "queue_length", Type: novacronv1.MetricType_METRIC_TYPE_GAUGE, Help: "Jobs that wait.",
	}}))
	require.NoError(t, err)
	waitFor(t, "the limit of the cluster", func(ctx context.Context) error {
		answer, err := client.Metrics.PushMetrics(ctx, connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: []*novacronv1.MetricSample{{Name: "queue_length", Value: 1}}}))
		if err != nil {
			return err
		}
		if answer.Msg.GetRefusedCount() != 1 || answer.Msg.GetRefused()[0].GetReason() != "cluster_limit" {
			return fmt.Errorf("%s", answer.Msg)
		}
		assert.Contains(t, answer.Msg.GetRefused()[0].GetMessage(), "novacron metric limits set --cluster-series N")
		return nil
	})
	awaitValue(t, client, `count(sum(novacron_shard_refused_total{reason="cluster_limit"}) > 0)`, 1)
	awaitShares(t, client, 30)
	setLimits(t, client, &novacronv1.MetricLimits{ClusterSeries: 1_000_000})
	awaitShares(t, client, 1_000_000)
	waitFor(t, "room for new series", func(ctx context.Context) error {
		answer, err := client.Metrics.PushMetrics(ctx, connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: []*novacronv1.MetricSample{{Name: "queue_length", Value: 1}}}))
		if err == nil && answer.Msg.GetStored() != 1 {
			err = fmt.Errorf("%s", answer.Msg)
		}
		return err
	})
	awaitValue(t, client, `sum(queue_length)`, 1)
}

// awaitFinding explores until the label is found, comparing with the time before a moment.
func awaitFinding(t *testing.T, client *env.Client, since time.Time) (answer *novacronv1.ExploreCardinalityResponse) {
	t.Helper()
	waitFor(t, "the label to be found", func(ctx context.Context) error {
		got, err := client.Metrics.ExploreCardinality(ctx, connect.NewRequest(&novacronv1.ExploreCardinalityRequest{
			Selector: `{__name__=~"shop_.*"}`, Since: durationpb.New(time.Since(since)),
		}))
		if err != nil {
			return err
		}
		if answer = got.Msg; len(answer.GetFindings()) == 0 || answer.GetFindings()[0].GetLabel() != "request_id" {
			return fmt.Errorf("%s", answer)
		}
		return nil
	})
	return answer
}

// ask1 is the one value of an answer.
func ask1(t *testing.T, client *env.Client, expr string) float64 {
	t.Helper()
	got, err := query(t.Context(), client, &novacronv1.QueryMetricsRequest{Query: expr})
	require.NoError(t, err)
	require.Len(t, got.values, 1, expr)
	return got.values[""]
}

// awaitShares waits until every host has its share of a limit, and they come to no more than it.
func awaitShares(t *testing.T, client *env.Client, limit uint64) {
	t.Helper()
	waitFor(t, "shares", func(ctx context.Context) error {
		answer, err := client.Metrics.GetMetricLimits(ctx, connect.NewRequest(&novacronv1.GetMetricLimitsRequest{}))
		if err != nil {
			return err
		}
		sum, held := uint64(0), uint64(0)
		for _, share := range answer.Msg.GetShares() {
			sum, held = sum+share.GetSeries(), held+share.GetHeld()
			if share.GetSeries() < limit/2/3 || share.Active == nil {
				return fmt.Errorf("%s", answer.Msg)
			}
		}
		if len(answer.Msg.GetShares()) != 3 || held > limit || limit-sum > 2 {
			return fmt.Errorf("%d of %d shared, %d held: %s", sum, limit, held, answer.Msg)
		}
		return nil
	})
}

// checkWholeClusterAPI asks a controller by the HTTP API of Prometheus for what all hosts have.
func checkWholeClusterAPI(t *testing.T, c *env.Cluster, client *env.Client) {
	t.Helper()
	for path, want := range map[string]string{
		"metadata?metric=host_cpus":                         `{"host_cpus":[{"type":"gauge"`,
		"metadata?metric=shop_requests":                     `{"shop_requests":[{"type":"gauge"`,
		"status/tsdb?limit=3":                               `"seriesCountByMetricName":[{"name":"shop_requests","value":`,
		"targets?state=active":                              `"scrapePool":"shop","scrapeUrl":"http`,
		"targets?scrapePool=host":                           `"scrapeUrl":"agent://host-3/host"`,
		"cardinality?by=label&match[]=shop_requests":        `"name":"request_id","series":`,
		"cardinality?by=host":                               `"name":"host-2","series":`,
		"cardinality?drop=request_id&match[]=shop_requests": fmt.Sprintf(`"left":%d,`, steadySeries),
	} {
		assert.Contains(t, overHTTP(t, client, client.Address, path), want, path)
	}
	agent := overHTTP(t, client, c.Member("host-1").Config.API, "cardinality?by=host")
	assert.Contains(t, agent, `"name":"host-1"`)
	assert.NotContains(t, agent, `"name":"host-2"`, "an agent tells of its own series")
}
