package peer

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/tsdb"
)

// shop is an application with one metric of each kind.
func shop(t *testing.T) http.Handler {
	registry := prometheus.NewRegistry()
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shop_orders_total", Help: "Orders."}, []string{"country"})
	queue := prometheus.NewGauge(prometheus.GaugeOpts{Name: "shop_queue", Help: "Waiting."})
	wait := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shop_wait_seconds", Help: "Waiting.", Buckets: []float64{0.5, 2}, NativeHistogramBucketFactor: 1.1})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shop_size_bytes", Help: "Size.", NativeHistogramBucketFactor: 1.1, NativeHistogramMaxExemplars: 5})
	sums := prometheus.NewSummary(prometheus.SummaryOpts{Name: "shop_sum", Help: "Sum.", Objectives: map[float64]float64{0.5: 0.05}})
	registry.MustRegister(orders, queue, wait, native, sums)
	orders.WithLabelValues("de").(prometheus.ExemplarAdder).AddWithExemplar(17, prometheus.Labels{"trace_id": "abc"})
	queue.Set(-3.5)
	for _, v := range []float64{0.1, 0.1, 1, 3} {
		wait.Observe(v)
		native.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": "xyz"})
		sums.Observe(v)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
}

func scrape(t *testing.T, cfg custom.Config) map[string]collect.Metric {
	cfg.Job = "shop"
	c, err := custom.New(cfg)
	require.NoError(t, err)
	defer c.Close()
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	byName := map[string]collect.Metric{}
	for _, m := range got {
		byName[m.Name+m.Labels["le"]+m.Labels["quantile"]] = m
	}
	return byName
}

// TestScrapeInAllForms scrapes an application that uses Prometheus's client library.
func TestScrapeInAllForms(t *testing.T) {
	url := serve(t, shop(t))
	for name, cfg := range map[string]custom.Config{"OpenMetrics": {URL: url}, "protobuf": {URL: url, NativeHistograms: true}, "protobuf with classic": {URL: url, NativeHistograms: true, ClassicHistograms: true}} {
		t.Run(name, func(t *testing.T) {
			got := scrape(t, cfg)
			orders := got["shop_orders_total"]
			require.Equal(t, 17.0, orders.Value)
			require.Equal(t, collect.TypeCounter, orders.Type)
			require.Equal(t, "de", orders.Labels["country"])
			require.Len(t, orders.Exemplars, 1)
			require.Equal(t, `{trace_id="abc"}`, orders.Exemplars[0].Labels.String())
			require.WithinDuration(t, time.Now(), orders.Start, time.Minute, "since when it counts")
			require.Equal(t, -3.5, got["shop_queue"].Value)
			require.Equal(t, collect.TypeGauge, got["shop_queue"].Type)
			require.Equal(t, 4.0, got["shop_sum_count"].Value)
			require.InDelta(t, 4.2, got["shop_sum_sum"].Value, 1e-9)
			require.Contains(t, got, "shop_sum0.5")
			if !cfg.NativeHistograms || cfg.ClassicHistograms {
				require.Equal(t, 2.0, got["shop_wait_seconds_bucket0.5"].Value)
				require.Equal(t, 3.0, got["shop_wait_seconds_bucket2.0"].Value)
				require.Equal(t, 4.0, got["shop_wait_seconds_bucket+Inf"].Value)
				require.Equal(t, 4.0, got["shop_wait_seconds_count"].Value)
			} else {
				require.NotContains(t, got, "shop_wait_seconds_count")
			}
			if cfg.NativeHistograms {
				for _, name := range []string{"shop_wait_seconds", "shop_size_bytes"} {
					h := got[name]
					require.NotNil(t, h.Histogram, name)
					require.Equal(t, collect.TypeHistogram, h.Type)
					require.NoError(t, h.Histogram.Validate())
					require.Equal(t, 4.0, h.Histogram.Count)
					require.InDelta(t, 4.2, h.Histogram.Sum, 1e-9)
					require.Equal(t, int32(3), h.Histogram.Schema)
					require.Len(t, h.Histogram.PositiveBuckets, 3)
				}
				require.NotEmpty(t, got["shop_size_bytes"].Exemplars)
			}
		})
	}
}
