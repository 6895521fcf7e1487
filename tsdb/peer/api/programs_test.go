package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
)

// program finds a program of Debian's package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts processes")
	}
	path, err := lab.Program(t.Context(), "prometheus", "usr/bin/"+name)
	require.NoError(t, err)
	return path
}

// serve puts our API on a port.
func serve(t *testing.T, p place) string {
	t.Helper()
	server := httptest.NewServer(ours(p))
	t.Cleanup(server.Close)
	return server.URL
}

// prometheusServer starts Debian's Prometheus over a folder of blocks and returns its address.
func prometheusServer(t *testing.T, dir, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+dir,
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+address)
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // it was killed
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Server is ready") {
			go func() { _, _ = io.Copy(io.Discard, log) }() // until it ends
			return "http://" + address
		}
	}
	t.Fatal("Prometheus ended before it was ready")
	return ""
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// blocks writes the series of the fixture as blocks of Prometheus.
func blocks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := &strings.Builder{}
	for _, s := range series() {
		for i := range samples {
			fmt.Fprintf(text, "%s %s %d\n", openMetricsName(s), strconv.FormatFloat(s.value(i), 'g', -1, 64), at(i)/1000)
		}
	}
	text.WriteString("# EOF\n")
	file := filepath.Join(dir, "samples.txt")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	data := filepath.Join(dir, "data")
	run(t, program(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file, data)
	return data
}

// openMetricsName is name{labels}.
func openMetricsName(s one) string {
	var pairs []string
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	s.labels.Range(func(l labels.Label) {
		if l.Name != "__name__" {
			pairs = append(pairs, l.Name+`="`+escape.Replace(l.Value)+`"`)
		}
	})
	return s.labels.Get("__name__") + "{" + strings.Join(pairs, ",") + "}"
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
	return string(out)
}

// fetch asks a server.
func fetch(t *testing.T, url string) said {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer, err := (&http.Client{Timeout: time.Minute}).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return said{answer.StatusCode, string(body)}
}

// exprs are asked of both servers. Debian's Prometheus is of 2023, when ranges had the sample at their beginning too, and
// rates were rounded otherwise: no range begins at a sample, and values are exact.
var exprs = []string{
	"vm_cpu_seconds_total", "sum by (host) (irate(vm_cpu_seconds_total[5m]))", "vm_memory_bytes", "vm_memory_bytes[125s]", "1/0", "nothing", "quantile by (host) (0.5, vm_cpu_seconds_total)",
	"histogram_quantile(0.9, wait_seconds_bucket)", "max_over_time(vm_memory_bytes[605s])", "topk(2, vm_cpu_seconds_total)", "sum(", `"text"`,
}

// TestProgram holds our answers to those of Debian's Prometheus over the same samples.
func TestProgram(t *testing.T) {
	them := prometheusServer(t, blocks(t), "global: {}\n")
	us := serve(t, newPlace(t))
	end, start := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()-1200, 10)
	var paths []string
	for _, expr := range exprs {
		paths = append(paths, "/api/v1/query?"+q("query", expr, "time", end), "/api/v1/query_range?"+q("query", expr, "start", start, "end", end, "step", "30"), "/api/v1/format_query?"+q("query", expr))
	}
	paths = append(paths, "/api/v1/labels", "/api/v1/label/host/values", "/api/v1/labels?"+q("match[]", "wait_seconds_bucket"), "/api/v1/series?"+q("match[]", `{host="h0"}`),
		"/api/v1/series?"+q("match[]", "vm_memory_bytes", "start", start, "end", end), "/api/v1/series", "/api/v1/metadata", "/api/v1/rules", "/api/v1/alerts", "/api/v1/query?query=1&time=x",
		"/api/v1/query_range?query=1&start=1&end=12000&step=1", "/api/v1/query_exemplars?"+q("query", "nothing", "start", start, "end", end), "/api/v1/alertmanagers")
	found := 0
	for _, path := range paths {
		theirs := fetch(t, them+path)
		same(t, fetch(t, us+path), theirs, path)
		found += strings.Count(theirs.body, `"metric"`)
	}
	assert.Greater(t, found, 30, "it has the series")
	t.Logf("%d answers are the same", len(paths))
}

// TestPromtool holds that promtool prints the same of us as of Prometheus.
func TestPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	them, us := prometheusServer(t, blocks(t), "global: {}\n"), serve(t, newPlace(t))
	end, start := now.Format(time.RFC3339), strconv.FormatInt(now.Unix()-1200, 10)
	for _, expr := range exprs {
		if expr == "sum(" || expr == `"text"` {
			continue // promtool ends with an error, of any server
		}
		for _, args := range [][]string{
			{"query", "instant", "--time=" + end, "URL", expr},
			{"query", "instant", "-o", "json", "--time=" + end, "URL", expr},
		} {
			assert.Equal(t, tool(t, promtool, them, args), tool(t, promtool, us, args), "%v", args)
		}
		if strings.HasSuffix(expr, "]") {
			continue // of one time only
		}
		args := []string{"query", "range", "--start=" + start, "--end=" + strconv.FormatInt(now.Unix(), 10), "--step=1m", "URL", expr}
		assert.Equal(t, tool(t, promtool, them, args), tool(t, promtool, us, args), "%v", args)
	}
	for _, args := range [][]string{
		{"query", "series", "--match=vm_memory_bytes", "--start=" + start, "--end=" + strconv.FormatInt(now.Unix(), 10), "URL"},
		{"query", "labels", "--start=" + start, "--end=" + strconv.FormatInt(now.Unix(), 10), "URL", "vm_name"},
	} {
		want, got := tool(t, promtool, them, args), tool(t, promtool, us, args)
		assert.NotEmpty(t, want)
		assert.Equal(t, want, got, "%v", args)
	}
}

// tool runs promtool on a server.
func tool(t *testing.T, promtool, url string, args []string) string {
	t.Helper()
	args = append([]string{}, args...)
	for i := range args {
		args[i] = strings.Replace(args[i], "URL", url, 1)
	}
	return run(t, promtool, args...)
}

// TestRemoteReadProgram holds that a Prometheus which has no samples of its own reads them from us.
func TestRemoteReadProgram(t *testing.T) {
	us := serve(t, newPlace(t))
	them := prometheusServer(t, t.TempDir(), "remote_read:\n- url: "+us+"/api/v1/read\n  read_recent: true\n")
	end, start := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()-1200, 10)
	found := 0
	for _, expr := range exprs {
		for _, path := range []string{"/api/v1/query?" + q("query", expr, "time", end), "/api/v1/query_range?" + q("query", expr, "start", start, "end", end, "step", "30")} {
			theirs := fetch(t, them+path)
			same(t, fetch(t, us+path), theirs, path)
			found += strings.Count(theirs.body, `"metric"`)
		}
	}
	assert.Greater(t, found, 30, "series came through")
}
