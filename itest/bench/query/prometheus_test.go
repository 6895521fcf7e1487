package query

import (
	"bytes"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/itest/sim"
	"github.com/novacron/novacron/tsdb"
)

// startPrometheus runs Debian's Prometheus with the samples of the workload, taken by remote write as they would have
// come: all of them are in its head.
func startPrometheus(t *testing.T, dir string, w sim.Workload) (url string, pid int) {
	t.Helper()
	program, err := lab.Program(t.Context(), "prometheus", "usr/bin/prometheus")
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte("global: {}\n"), 0o600))
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed
		require.NoError(t, log.Close())
	})
	url = "http://" + address
	require.Eventually(t, func() bool {
		answer, err := http.Get(url + "/-/ready")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond)
	for from := 0; from < w.Scrapes; from += writeScrapes {
		for host := 0; host < w.Hosts; host += max(1, 500/w.Machines) {
			write(t, url, w, host, min(w.Hosts, host+max(1, 500/w.Machines)), from, min(w.Scrapes, from+writeScrapes))
		}
	}
	return url, cmd.Process.Pid
}

// writeScrapes is how many scrapes one request has.
const writeScrapes = 20

// write sends the scrapes of some hosts.
func write(t *testing.T, url string, w sim.Workload, host, hosts, from, to int) {
	t.Helper()
	var request []byte
	for ; host < hosts; host++ {
		var of []map[string]string
		for machine := range w.Machines {
			of = append(of, w.Labels(host, machine))
		}
		var series [][]tsdb.Metric
		for scrape := from; scrape < to; scrape++ {
			series = append(series, w.Scrape(host, scrape, of))
		}
		for place := range series[0] {
			one := label(nil, "__name__", series[0][place].Name)
			names := slices.Sorted(maps.Keys(series[0][place].Labels))
			for _, name := range names {
				one = label(one, name, series[0][place].Labels[name])
			}
			for _, scrape := range series {
				one = sample(one, scrape[place])
			}
			request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), one)
		}
	}
	answer, err := http.Post(url+"/api/v1/write", "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, request)))
	require.NoError(t, err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, "%s", said)
}

// label and sample append the fields of a series of remote write 1.0.
func label(series []byte, name, value string) []byte {
	one := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
	one = protowire.AppendString(protowire.AppendTag(one, 2, protowire.BytesType), value)
	return protowire.AppendBytes(protowire.AppendTag(series, 1, protowire.BytesType), one)
}

func sample(series []byte, m tsdb.Metric) []byte {
	one := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(m.Value))
	one = protowire.AppendVarint(protowire.AppendTag(one, 2, protowire.VarintType), uint64(m.Timestamp.UnixMilli()))
	return protowire.AppendBytes(protowire.AppendTag(series, 2, protowire.BytesType), one)
}
