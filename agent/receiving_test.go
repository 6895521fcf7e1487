package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/tsdb"
)

// metricsAPI is the API of an agent that keeps metrics, and the authority that it trusts.
func metricsAPI(t *testing.T, cfg node.AgentConfig) (d *daemon, sign func(role pki.Role, name string) pki.Material) {
	ca, err := pki.NewCA("c1", time.Now())
	require.NoError(t, err)
	sign = func(role pki.Role, name string) pki.Material {
		key, csr, err := pki.NewKeyAndCSR()
		require.NoError(t, err)
		id := pki.Identity{ClusterID: "c1", NodeID: name, Name: name, Role: role}
		certificate, err := ca.Sign(csr, id, nil, 0, time.Now())
		require.NoError(t, err)
		return pki.Material{Identity: id, CertPEM: certificate, KeyPEM: key, CAPEM: ca.CertPEM(), GossipKey: make([]byte, pki.GossipKeyLen)}
	}
	creds, err := pki.NewCredentials(sign(pki.RoleAgent, "host-1"), pki.Options{})
	require.NoError(t, err)
	d = &daemon{creds: creds, logger: slog.New(slog.DiscardHandler), cfg: Config{Node: node.Config{Name: "host-1", API: "127.0.0.1:0", Agent: cfg}}}
	require.NoError(t, d.openMetrics(t.Context()))
	require.NoError(t, d.openAPI(t.Context()))
	go func() { _ = d.server.Serve(d.api) }()
	t.Cleanup(func() { require.NoError(t, d.closers.Close()) })
	return d, sign
}

// TestWhoMaySendMetrics holds the roles at the agent's port, also for what was there before.
func TestWhoMaySendMetrics(t *testing.T) {
	d, sign := metricsAPI(t, node.AgentConfig{UndeclaredMetrics: true})
	for _, c := range []struct {
		role  pki.Role
		path  string
		wants int
	}{
		{pki.RoleOperator, pushPath, http.StatusOK},
		{pki.RoleAdmin, pushPath, http.StatusOK},
		{pki.RoleAgent, pushPath, http.StatusForbidden},
		{pki.RoleController, pushPath, http.StatusForbidden},
		{pki.RoleViewer, pushPath, 0},
		{pki.RoleMetricsReader, pushPath, 0},
		{pki.RoleMetricsWriter, pushPath, http.StatusOK},
		{pki.RoleMetricsWriter, writePath, http.StatusUnsupportedMediaType},
		{pki.RoleMetricsWriter, "/api/v1/query?query=1", http.StatusForbidden},
		{pki.RoleMetricsWriter, "/agent.v1.BlobService/StatBlob", http.StatusForbidden},
		{pki.RoleMetricsWriter, "/agent.v1.ShardService/Select", http.StatusForbidden},
		{pki.RoleAgent, "/agent.v1.ShardService/Evaluate", http.StatusForbidden},
		{pki.RoleAgent, "/agent.v1.ShardService/Relay", http.StatusForbidden},
		{pki.RoleAgent, "/agent.v1.ShardService/Summarize", http.StatusForbidden},
		{pki.RoleAgent, "/agent.v1.ShardService/EvaluateSealed", http.StatusUnsupportedMediaType},
		{pki.RoleOperator, "/agent.v1.ShardService/EvaluateSealed", http.StatusForbidden},
		{pki.RoleMetricsWriter, "/agent.v1.HostAgentService/Console", http.StatusForbidden},
		{pki.RoleMetricsWriter, "/agent.v1.MetricAgentService/StoreMetrics", http.StatusForbidden},
		{pki.RoleOperator, writePath, http.StatusUnsupportedMediaType},
		{pki.RoleAgent, writePath, http.StatusForbidden},
		{pki.RoleOperator, "/agent.v1.BlobService/StatBlob", http.StatusForbidden},
		{pki.RoleAdmin, "/agent.v1.StorageAgentService/DeletePool", http.StatusForbidden},
		{pki.RoleOperator, "/agent.v1.HostAgentService/Console", http.StatusForbidden},
		{pki.RoleAgent, "/agent.v1.BlobService/StatBlob", http.StatusUnsupportedMediaType},
	} {
		creds, err := pki.NewCredentials(sign(c.role, "caller"), pki.Options{})
		require.NoError(t, err)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: creds.ClientTLS(pki.RoleAgent), ForceAttemptHTTP2: true}, Timeout: patience}
		answer, err := client.Post("https://"+d.api.Addr().String()+c.path, "text/plain", bytes.NewReader([]byte("shop_queue 3\n")))
		if c.wants == 0 {
			require.Error(t, err, "%s at %s", c.role, c.path)
			continue
		}
		require.NoError(t, err, "%s at %s", c.role, c.path)
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		require.Equal(t, c.wants, answer.StatusCode, "%s at %s", c.role, c.path)
		client.CloseIdleConnections()
	}
	got, err := d.metrics.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"shop_queue"}, TimeRange: tsdb.TimeRange{End: time.Now()}})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, 3.0, got[0].Value)
}

// prometheus runs Debian's until the test ends; it scrapes itself, writes to the agent, and answers at the address.
func prometheus(t *testing.T, agent net.Addr, client pki.Material) (address string) {
	if testing.Short() {
		t.Skip("runs another program; not in a short run")
	}
	program, err := lab.Program(t.Context(), "prometheus", "usr/bin/prometheus")
	if err != nil {
		lab.Lacks(t, "Prometheus", err)
	}
	listener, err := net.Listen("tcp", "127.71.0.1:0") // of its own: nobody takes the port meanwhile
	require.NoError(t, err)
	address = listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ca.pem": client.CAPEM, "cert.pem": client.CertPEM, "key.pem": client.KeyPEM} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), fmt.Appendf(nil, `
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["%s"]}]
remote_write:
  - url: https://%s/api/v1/write
    queue_config: {batch_send_deadline: 200ms}
    metadata_config: {send_interval: 1s}
    tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem, server_name: %s}
`, address, agent, pki.ServerName("host-1")), 0o600))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return address
}

// matrix is what Prometheus answers of a range of samples.
type matrix struct {
	Data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any
		}
	}
}

func askPrometheus(t *testing.T, address, expr string) matrix {
	answer, err := (&http.Client{Timeout: patience}).Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
	require.NoError(t, err)
	defer answer.Body.Close()
	var m matrix
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&m))
	return m
}

// TestPrometheusWrites has a real Prometheus write what it scrapes of itself: each sample that it has, the agent has.
func TestPrometheusWrites(t *testing.T) {
	d, sign := metricsAPI(t, node.AgentConfig{UndeclaredMetrics: true})
	address := prometheus(t, d.api.Addr(), sign(pki.RoleMetricsWriter, "prometheus"))
	const expr = `{__name__=~"prometheus_.+|up|go_memstats_.+"}[10m]`
	require.Eventually(t, func() bool {
		answer, err := d.metrics.Instant(t.Context(), `count_over_time(up{job="prometheus"}[10m]) > 4 and on() prometheus_remote_storage_metadata_total > 100`, time.Now())
		return err == nil && len(answer.Rows()) == 1
	}, 2*patience, 200*time.Millisecond)
	theirs := askPrometheus(t, address, expr)
	require.Greater(t, len(theirs.Data.Result), 100)
	samples := 0
	require.Eventually(t, func() bool { // what they have by now is on its way
		samples = 0
		answer, err := d.metrics.Instant(t.Context(), expr, time.Now())
		require.NoError(t, err)
		ours := map[string]bool{}
		for _, row := range answer.Rows() {
			for _, p := range row.Points {
				ours[fmt.Sprintf("%s %d %v", key(row.Labels.Map()), p.T, p.V)] = true
			}
		}
		for _, series := range theirs.Data.Result {
			for _, v := range series.Values {
				var value float64
				_, err := fmt.Sscan(v[1].(string), &value)
				require.NoError(t, err)
				if !ours[fmt.Sprintf("%s %d %v", key(series.Metric), int64(v[0].(float64)*1000+0.5), value)] {
					return false
				}
				samples++
			}
		}
		return true
	}, patience, 300*time.Millisecond)
	require.Greater(t, samples, 500)
	described := d.metrics.Description("prometheus_remote_storage_samples_total")
	require.Equal(t, tsdb.TypeCounter, described.Type)
	require.NotEmpty(t, described.Help)
	t.Logf("%d samples of %d series are the same", samples, len(theirs.Data.Result))
}

// key is a label set as a text.
func key(labels map[string]string) string {
	text, _ := json.Marshal(labels)
	return string(text)
}
