package custom

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/itest/lab"
)

// exporter runs Debian's node_exporter until the test ends, and returns where it answers.
func exporter(t *testing.T) string {
	if testing.Short() {
		t.Skip("runs another program; not in a short run")
	}
	program, err := lab.Program(t.Context(), "prometheus-node-exporter", "usr/bin/prometheus-node-exporter")
	if err != nil {
		lab.Lacks(t, "node_exporter", err)
	}
	listener, err := net.Listen("tcp", "127.72.0.1:0") // of its own: nobody takes the port meanwhile
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--web.listen-address="+address, "--log.level=error")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	return "http://" + address + "/metrics"
}

// witness passes requests on, with another Accept where one is given, and keeps the last answer.
type witness struct {
	url, accept string

	mu   sync.Mutex
	body string
}

func (w *witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	request, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, w.url, http.NoBody)
	request.Header.Set("Accept", r.Header.Get("Accept"))
	if w.accept != "" {
		request.Header.Set("Accept", w.accept)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	w.mu.Lock()
	w.body = string(body)
	w.mu.Unlock()
	out.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	_, _ = out.Write(body)
}

var sampleLine = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)

// TestNodeExporter scrapes a real exporter in each of its forms: every line of what it said is there, with its value.
func TestNodeExporter(t *testing.T) {
	url := exporter(t)
	kinds := map[string]map[string]int{}
	for form, accept := range map[string]string{"text": "text/plain;version=0.0.4", "negotiated": ""} {
		w := &witness{url: url, accept: accept}
		c := scraper(t, Config{URL: target(t, w.ServeHTTP), NativeHistograms: form == "protobuf"})
		got, err := collectOnce(t, c)
		require.NoError(t, err)
		values := map[string]float64{}
		for _, m := range got {
			own := map[string]string{}
			for name, value := range m.Labels {
				if name != "job" && name != "instance" {
					own[name] = value
				}
			}
			values[collect.SeriesKey(m.Name, own, "")] = m.Value
		}
		lines := sampleLine.FindAllStringSubmatch(w.body, -1)
		require.Greater(t, len(lines), 300)
		require.Len(t, got, len(lines), form)
		for _, line := range lines {
			want, err := strconv.ParseFloat(line[3], 64)
			require.NoError(t, err)
			value, has := values[collect.SeriesKey(line[1], labelsOf(t, line[2]), "")]
			require.True(t, has, line[0])
			if want == want {
				require.Equal(t, want, value, line[0])
			}
		}
		kinds[form] = count(got)
	}
	protobuf, err := collectOnce(t, scraper(t, Config{URL: url, NativeHistograms: true, ClassicHistograms: true}))
	require.NoError(t, err)
	kinds["protobuf"] = count(protobuf)
	for _, name := range []string{"node_cpu_seconds_total", "node_memory_MemTotal_bytes", "go_gc_duration_seconds_count", "node_uname_info", "node_load1"} {
		require.Positive(t, kinds["text"][name], name)
		require.Equal(t, kinds["text"][name], kinds["negotiated"][name], name)
		require.Equal(t, kinds["text"][name], kinds["protobuf"][name], name)
	}
	require.Equal(t, collect.TypeCounter, named(protobuf, "node_cpu_seconds_total")[0].Type)
}

// count counts series by name.
func count(all []collect.Metric) map[string]int {
	n := map[string]int{}
	for _, m := range all {
		n[m.Name]++
	}
	return n
}

var labelPair = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")`)

func labelsOf(t *testing.T, text string) map[string]string {
	labels := map[string]string{}
	for _, pair := range labelPair.FindAllStringSubmatch(text, -1) {
		value, err := strconv.Unquote(strings.ReplaceAll(pair[2], "\t", `\t`))
		require.NoError(t, err)
		if number, err := strconv.ParseInt(value, 10, 64); err == nil && (pair[1] == "quantile" || pair[1] == "le") {
			value = strconv.FormatInt(number, 10) + ".0" // as OpenMetrics writes it, and Prometheus since 3.0
		}
		if value != "" {
			labels[pair[1]] = value
		}
	}
	return labels
}
