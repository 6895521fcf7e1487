package custom

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

// start is the time of the first sample.
var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// target serves what a test says.
func target(t *testing.T, serve http.HandlerFunc) string {
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return server.URL + "/metrics"
}

// text serves one exposition.
func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body))
	}
}

func scraper(t *testing.T, cfg Config) *Collector {
	if cfg.Job == "" {
		cfg.Job = "shop"
	}
	if cfg.Instance == "" {
		cfg.Instance = "i1"
	}
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func collectOnce(t *testing.T, c *Collector) ([]collect.Metric, error) {
	return c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
}

// named are the metrics with a name.
func named(all []collect.Metric, name string) (found []collect.Metric) {
	for _, m := range all {
		if m.Name == name {
			found = append(found, m)
		}
	}
	return found
}

// sink keeps what it is given, and refuses or fails as told.
type sink struct {
	mu      sync.Mutex
	stored  []collect.Metric
	err     error
	refuses map[string]string // reason by name of a metric
	entered chan struct{}
	release chan struct{}
}

func (s *sink) StoreMetrics(ctx context.Context, metrics []collect.Metric) error {
	if s.entered != nil {
		s.entered <- struct{}{}
		select {
		case <-s.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	refused := &tsdb.RefusedError{ByReason: map[string]int{}}
	for i, m := range metrics {
		reason, refuses := s.refuses[m.Name]
		if !refuses {
			s.stored = append(s.stored, m)
			refused.Stored++
			continue
		}
		refused.Refused++
		refused.ByReason[reason]++
		if len(refused.First) < 10 {
			refused.First = append(refused.First, tsdb.RefusedMetric{Index: i, Reason: reason, Detail: m.Name + " is refused by the shard"})
		}
	}
	if refused.Refused > 0 {
		return refused
	}
	return nil
}

var errSink = errors.New("the disk is on fire")

// shop declares some metrics of a shop.
func shop(t *testing.T) *collect.Registry {
	registry := collect.NewRegistry()
	require.NoError(t, registry.Declare([]collect.MetricDefinition{
		{Name: "shop_orders_total", Type: collect.TypeCounter, Help: "Orders.", Labels: []string{"country"}, Owner: "shop"},
		{Name: "shop_queue", Type: collect.TypeGauge, Help: "Waiting.", Labels: []string{"till"}, Owner: "shop"},
		{Name: "shop_wait_seconds", Type: collect.TypeHistogram, Unit: "seconds", Help: "Waiting.", Labels: []string{"till"}, Owner: "shop"},
	}))
	return registry
}

// memory opens a shard in memory.
func memory(t *testing.T, now time.Time) *shard.Shard {
	s, err := shard.Open(shard.Options{Logger: slog.New(slog.DiscardHandler), Maintain: -1, Clock: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// mustURL is an address that is not asked.
var mustURL = &url.URL{Scheme: "http", Host: "h", Path: "/metrics"}
