package peer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/tsdb"
)

// sink keeps what it is given, but for metrics that it refuses.
type sink struct {
	mu      sync.Mutex
	stored  []collect.Metric
	err     error
	refuses string
}

func (s *sink) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	refused := &tsdb.RefusedError{ByReason: map[string]int{}}
	for i, m := range metrics {
		if m.Name != s.refuses {
			s.stored = append(s.stored, m)
			refused.Stored++
			continue
		}
		refused.Refused++
		refused.ByReason["too_old"]++
		refused.First = append(refused.First, tsdb.RefusedMetric{Index: i, Reason: "too_old", Detail: "it is too old"})
	}
	if refused.Refused > 0 {
		return refused
	}
	return nil
}

func (s *sink) take() []collect.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.stored
	s.stored = nil
	return all
}

// receiver serves remote write into a sink.
func receiver(t *testing.T) (*sink, string) {
	s := &sink{}
	r := &custom.Receiver{Registry: collect.NewRegistry(), Sink: s, Limits: custom.Limits{Undeclared: true}}
	server := httptest.NewServer(r.WriteHandler())
	t.Cleanup(server.Close)
	return s, server.URL
}

// client is Prometheus's own.
func client(t *testing.T, address string, message remoteapi.WriteMessageType) remote.WriteClient {
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	c, err := remote.NewWriteClient("test", &remote.ClientConfig{
		URL: &config_util.URL{URL: parsed}, Timeout: model.Duration(10 * time.Second), WriteProtoMsg: message,
	})
	require.NoError(t, err)
	return c
}

func serve(t *testing.T, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL + "/metrics"
}
