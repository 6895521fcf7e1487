package host

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/tsdb"
)

// peerProgram is Debian's node_exporter.
func peerProgram(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs another program; not in a short run")
	}
	program, err := lab.Program(t.Context(), "prometheus-node-exporter", "usr/bin/prometheus-node-exporter")
	if err != nil {
		lab.Lacks(t, "node_exporter", err)
	}
	return program
}

// startPeer runs it until the test ends and returns where it answers.
func startPeer(t *testing.T) string {
	t.Helper()
	program := peerProgram(t)
	listener, err := net.Listen("tcp", "127.73.0.1:0") // of its own: nobody takes the port meanwhile
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--web.listen-address="+address, "--collector.meminfo_numa", "--log.level=error")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	url := "http://" + address + "/metrics"
	require.Eventually(t, func() bool {
		answer, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	return url
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads the exposition of the peer by series.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	answer, err := (&http.Client{Timeout: 20 * time.Second}).Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, 64<<20))
	for lines.Scan() {
		m := sampleLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			labels[pair[1]] = pair[2]
		}
		v, err := strconv.ParseFloat(m[3], 64)
		require.NoError(t, err, lines.Text())
		all[collect.SeriesKey(m[1], labels, "")] = v
	}
	require.NoError(t, lines.Err())
	return all
}

// peerKey is what the peer calls a series of ours; false for what it has not.
func peerKey(m collect.Metric, def collect.MetricDefinition) (string, bool) {
	if def.NodeExporter == "" || def.Name == "host_temperature_celsius" {
		return "", false // the chips' names are formed otherwise
	}
	labels := map[string]string{}
	for name, value := range m.Labels {
		switch name {
		case "host", "source":
		case "interface":
			labels["device"] = value
		default:
			labels[name] = value
		}
	}
	return collect.SeriesKey(def.NodeExporter, labels, ""), true
}

// rounds of comparing: a gauge may change between two reads, so it has to agree in one of them.
const rounds = 5

// TestAgreesWithNodeExporter asks the peer, this collector and the peer again. A counter of ours has to lie between the
// peer's two each time, within the hundredth of a second that the kernel counts in; a gauge within 2 % of them once.
func TestAgreesWithNodeExporter(t *testing.T) {
	url := startPeer(t)
	c, registry := New(Config{Name: "here"}), collect.NewRegistry()
	names, disagreeing, agreed := map[string]bool{}, map[string]string{}, map[string]bool{}
	for round := range rounds {
		before := scrape(t, url)
		ours, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
		require.NoError(t, err)
		after := scrape(t, url)
		for _, m := range ours {
			def, _ := registry.Lookup(m.Name)
			key, has := peerKey(m, def)
			low, known := before[key]
			high, still := after[key]
			if !has || !known || !still {
				continue
			}
			names[m.Name] = true
			said := fmt.Sprintf("round %d: %s is %v, the peer's %v to %v", round, show(m), m.Value, low, high)
			switch agrees := near(m.Value, low, high, def.Type); {
			case agrees:
				agreed[key] = true
			case def.Type == collect.TypeGauge:
				disagreeing[key] = said
			default:
				t.Error(said)
			}
		}
	}
	for key, said := range disagreeing {
		if !agreed[key] {
			t.Error(said)
		}
	}
	t.Logf("%d series of %d metrics agree", len(agreed), len(names))
	for _, def := range registry.Definitions(collect.Host) {
		if def.NodeExporter != "" && !names[def.Name] {
			t.Logf("not compared: %s", def.Name)
		}
	}
	require.Greater(t, len(names), 35, fmt.Sprint(names))
}

func near(v, before, after float64, kind collect.MetricType) bool {
	low, high := math.Min(before, after), math.Max(before, after)
	if kind == collect.TypeGauge {
		low, high = low*0.98, high*1.02
	}
	const tick = 0.011
	return v >= low-tick && v <= high+tick
}
