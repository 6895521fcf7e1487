package env_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// writeRequest is a request of remote write 1.0 with a value for each of some tills.
func writeRequest(tills int, at time.Time) (b []byte) {
	put := func(b []byte, number protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
	}
	for till := range tills {
		var series []byte
		for _, pair := range [][2]string{{"__name__", "shop_visits"}, {"till", fmt.Sprint(till)}} {
			series = put(series, 1, put(put(nil, 1, []byte(pair[0])), 2, []byte(pair[1])))
		}
		sample := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(float64(till)))
		sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(at.UnixMilli()))
		b = put(b, 1, put(series, 2, sample))
	}
	return b
}

func post(t *testing.T, client *env.Client, address string, message []byte) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(address)+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, message)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("Content-Encoding", "snappy")
	answer, err := client.HTTP.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

// TestRemoteWriteToAController is spread over the hosts and asked for as a whole; what nobody has defined is refused with
// the way out, and viewers write nothing.
func TestRemoteWriteToAController(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 3})
	client := admin(t, c, followers(t, c)[0].Name)
	code, text := post(t, client, client.Address, writeRequest(1, time.Now()))
	require.Equal(t, http.StatusBadRequest, code, "%s", text)
	require.Contains(t, text, "shop_visits")
	_, err := client.Metrics.DefineMetric(t.Context(), connect.NewRequest(&novacronv1.DefineMetricRequest{Definition: &novacronv1.MetricDefinition{
		Name: "shop_visits", Type: novacronv1.MetricType_METRIC_TYPE_GAUGE, Help: "Visits.", Labels: []string{"till"},
	}}))
	require.NoError(t, err)
	at := time.Now()
	waitFor(t, "the hosts to know the metric", func(context.Context) error {
		if code, text = post(t, client, client.Address, writeRequest(100, at)); code != http.StatusNoContent {
			return fmt.Errorf("%d: %s", code, text)
		}
		return nil
	})
	awaitValue(t, client, `count(shop_visits)`, 100)
	awaitValue(t, client, `sum(shop_visits)`, 99*100/2)
	for _, host := range []string{"host-1", "host-2", "host-3"} {
		own := overHTTP(t, client, c.Member(host).Config.API, "query?query=count(shop_visits)")
		assert.Regexp(t, `"[1-9][0-9]"\]\}`, own, "%s has some of the hundred, and not all", host)
	}
}

// TestMembersTellOfThemselves scrapes each.
func TestMembersTellOfThemselves(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	awaitValue(t, client, `count(host_cpus)`, 1)
	for address, wanted := range map[string][]string{
		client.Address:                {"\nnovacron_raft_leader 1\n", "\nnovacron_build_info{", `novacron_rpc_calls_total{code="200",procedure="/novacron.v1.MetricService/QueryMetrics"} `},
		c.Member("host-1").Config.API: {"\nnovacron_build_info{", "\nnovacron_shard_samples_total{host=\"host-1\"} ", "\ngo_goroutines "},
	} {
		_, text, err := client.Get(t.Context(), address, "/metrics")
		require.NoError(t, err)
		for _, line := range wanted {
			assert.Contains(t, string(text), line)
		}
	}
}
