package custom

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

const textType = "text/plain; version=0.0.4"

func TestScrape(t *testing.T) {
	var asked http.Header
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Clone()
		text(textType, "# HELP shop_queue Waiting.\n# TYPE shop_queue gauge\nshop_queue{till=\"1\",job=\"mine\"} 4\nup 1\n")(w, r)
	})
	meter := collect.NewMeter()
	c := scraper(t, Config{URL: url + "?token=secret", Labels: map[string]string{"site": "b"}, Timeout: 5 * time.Second, Meter: meter})
	before := time.Now()
	got, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.WithinRange(t, got[0].Timestamp, before, time.Now())
	require.Equal(t, map[string]string{"till": "1", "job": "shop", "exported_job": "mine", "instance": "i1", "site": "b"}, got[0].Labels)
	require.Equal(t, collect.TypeGauge, got[0].Type)
	require.Equal(t, "gzip", asked.Get("Accept-Encoding"))
	require.True(t, strings.HasPrefix(asked.Get("Accept"), "application/openmetrics-text;version=1.0.0"), asked.Get("Accept"))
	seconds := asked.Get("X-Prometheus-Scrape-Timeout-Seconds")
	require.True(t, strings.HasPrefix(seconds, "4.9") || seconds == "5", seconds)

	listed, err := c.ListAvailableMetrics(t.Context())
	require.NoError(t, err)
	require.Equal(t, []collect.MetricDefinition{{Name: "shop_queue", Type: collect.TypeGauge, Help: "Waiting."}}, listed)

	again, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, again, 2, "listing does not disturb what is present")
}

func TestScrapeIgnoresTimestamps(t *testing.T) {
	url := target(t, text(textType, "a 1 1000\nb 2\n"))
	got, err := collectOnce(t, scraper(t, Config{URL: url}))
	require.NoError(t, err)
	require.Equal(t, int64(1000), got[0].Timestamp.UnixMilli())
	got, err = collectOnce(t, scraper(t, Config{URL: url, IgnoreTimestamps: true}))
	require.NoError(t, err)
	require.Equal(t, got[1].Timestamp, got[0].Timestamp)
}

func TestScrapeAsksForNativeHistograms(t *testing.T) {
	var accept string
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		accept = r.Header.Get("Accept")
		text(protobufType, "")(w, r)
	})
	_, err := collectOnce(t, scraper(t, Config{URL: url, NativeHistograms: true}))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(accept, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"), accept)
}

// TestStaleMarkers follows series that vanish, a target that fails and comes back.
func TestStaleMarkers(t *testing.T) {
	body := ""
	failing := false
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		if failing {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		text(textType, body)(w, r)
	})
	c := scraper(t, Config{URL: url})
	stale := func() (found []string) {
		got, err := collectOnce(t, c)
		require.Equal(t, failing, err != nil)
		for _, m := range got {
			if collect.IsStale(m.Value) {
				found = append(found, m.Name+m.Labels["x"])
				require.Equal(t, "shop", m.Labels["job"])
			}
		}
		return found
	}
	body = "a{x=\"1\",y=\"2\"} 1\na{x=\"2\"} 1\ntimed 1 1000\n"
	require.Empty(t, stale())
	body = "a{y=\"2\",x=\"1\"} 1\n"
	require.Equal(t, []string{"a2"}, stale(), "another order of labels is the same series, and what has its own time does not end")
	require.Empty(t, stale(), "told once")
	failing = true
	require.Equal(t, []string{"a1"}, stale())
	require.Empty(t, stale())
	failing = false
	got, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, 1.0, got[0].Value)
}

func TestScrapeTakesTheFirstOfTwo(t *testing.T) {
	url := target(t, text(textType, "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"1\",y=\"2\"} 3\nb 1 1000\nb 2 2000\nb 3 1000\n"))
	c := scraper(t, Config{URL: url})
	for range 2 {
		got, err := collectOnce(t, c)
		require.NoError(t, err)
		require.Len(t, named(got, "a"), 1)
		require.Equal(t, 1.0, named(got, "a")[0].Value)
		require.Len(t, named(got, "b"), 3, "other times are other samples")
	}
}

func TestScrapeSelects(t *testing.T) {
	url := target(t, text(textType, "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nb 1\nc 1\n"))
	c := scraper(t, Config{URL: url, Metrics: []string{"h", "c"}})
	got, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, got, 4, "a family with all its series, and one without a description")
	got, err = c.CollectMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"c"}})
	require.NoError(t, err)
	require.Len(t, got, 1)
	_, err = c.CollectMetrics(t.Context(), tsdb.MetricsQuery{Aggregation: "sum"})
	require.Error(t, err)
}

// TestLimits holds that a scrape beyond a limit is refused as a whole, and ends what was there.
func TestLimits(t *testing.T) {
	const good = "a 1\nb 1\n"
	for name, c := range map[string]struct {
		limits     ScrapeLimits
		body, says string
	}{
		"samples":     {ScrapeLimits{Samples: 2}, "a 1\nb 1\nc 1\n", "there are more than 2"},
		"bytes":       {ScrapeLimits{Bytes: 20}, "a 1\n# " + strings.Repeat("x", 30) + "\n", "more than 20 bytes"},
		"labels":      {ScrapeLimits{Labels: 3}, `a{x="1",y="2"} 1` + "\n", "metric a has 4 labels"},
		"label names": {ScrapeLimits{LabelNameBytes: 8}, `a{instances="1"} 1` + "\n", "has 9 bytes, allowed are 8"},
		"values":      {ScrapeLimits{LabelValueBytes: 5}, `a{x="123456"} 1` + "\n", "has 6 bytes, allowed are 5"},
		"the shard's": {ScrapeLimits{}, fmt.Sprintf("a{x=%q} 1\n", strings.Repeat("v", 4097)), "has 4097 bytes, allowed are 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			body := good
			scraped := scraper(t, Config{Limits: c.limits, URL: target(t, func(w http.ResponseWriter, r *http.Request) { text(textType, body)(w, r) })})
			got, err := collectOnce(t, scraped)
			require.NoError(t, err)
			require.Len(t, got, 2)
			body = c.body
			got, err = collectOnce(t, scraped)
			require.ErrorContains(t, err, c.says)
			require.Len(t, got, 2)
			require.True(t, collect.IsStale(got[0].Value))
			require.LessOrEqual(t, len(scraped.known), 2, "nothing of it is remembered")
			body = good
			got, err = collectOnce(t, scraped)
			require.NoError(t, err)
			require.Len(t, got, 2)
		})
	}
}

// TestScrapeEndsQuietly holds that an agent that ends does not say that its targets did.
func TestScrapeEndsQuietly(t *testing.T) {
	stop := make(chan struct{})
	hang := false
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		if hang {
			close(stop)
			<-r.Context().Done()
			return
		}
		text(textType, "a 1\n")(w, r)
	})
	c := scraper(t, Config{URL: url})
	_, err := collectOnce(t, c)
	require.NoError(t, err)
	hang = true
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-stop
		cancel()
	}()
	got, err := c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, got)
}

// TestTenThousand scrapes a large target; the second scrape makes no labels again.
func TestTenThousand(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "shop_queue{till=\"%d\",floor=\"2\"} %d\n", i, i)
	}
	c := scraper(t, Config{URL: target(t, text(textType, b.String())), Undeclared: true})
	first, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, first, 10_000)
	second, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Len(t, second, 10_000)
	second[9_999].Labels["proof"] = "shared"
	require.Equal(t, "shared", first[9_999].Labels["proof"])
	require.Equal(t, 2*DefaultMaxSamples, c.cfg.CollectLimits().MaxSamples)
}

func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "shop_queue{till=\"%d\",floor=\"2\",country=\"de\"} %d\n", i, i)
	}
	c, err := New(Config{Job: "shop", URL: "http://h/metrics"})
	require.NoError(b, err)
	body := answer{[]byte(text.String()), textType}
	b.ReportAllocs()
	for b.Loop() {
		c.round++
		got, err := c.take(body, start)
		require.NoError(b, err)
		require.Len(b, got, 10_000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/sample")
}
