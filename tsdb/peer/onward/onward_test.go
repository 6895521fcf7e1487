package onward

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	promtsdb "github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"
)

// TestPrometheusHasWhatWasStored forwards to Debian's Prometheus, which knows 1.0 alone and takes 2.0 for an empty message.
func TestPrometheusHasWhatWasStored(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte("{}\n"), 0o600))
	address := start(t, "prometheus", "/-/ready", func(address string) []string {
		return []string{"--config.file=" + file, "--storage.tsdb.path=" + t.TempDir(), "--web.listen-address=" + address, "--log.level=error",
			"--web.enable-remote-write-receiver", "--enable-feature=native-histograms,exemplar-storage"}
	})
	p := newPlace(t, address+"/api/v1/write", 2)
	p.store(t, false)
	s := p.settle(t)
	require.Equal(t, 1, s.Protocol, "it fell back")
	want := p.want(t)
	require.Equal(t, want, p.contents(t, readClient(t, address), nil))
	require.Len(t, want, series)

	answer, err := client.Get(address + "/api/v1/query_exemplars?" + url.Values{"query": {"metric_1_total"}, "start": {"0"}, "end": {fmt.Sprint(time.Now().Unix())}}.Encode())
	require.NoError(t, err)
	defer answer.Body.Close()
	var told struct{ Data []struct{ Exemplars []any } }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&told))
	require.Len(t, told.Data, 1)
	require.Len(t, told.Data[0].Exemplars, rounds)
	t.Logf("%d samples of %d series are the same in Prometheus, in %d requests of %d bytes", s.Sent, len(want), s.Requests, s.Bytes)
}

// TestTheLaterPrometheusHasWhatWasStored forwards in both versions to the receiver of the Prometheus that we build with.
func TestTheLaterPrometheusHasWhatWasStored(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			quiet := slog.New(slog.DiscardHandler)
			options := promtsdb.DefaultOptions()
			options.EnableExemplarStorage, options.MaxExemplars = true, 1000
			db, err := promtsdb.Open(t.TempDir(), quiet, nil, options, nil)
			require.NoError(t, err)
			defer db.Close()
			handler := remote.NewWriteHandler(quiet, prometheus.NewRegistry(), db, remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, true)
			server := httptest.NewServer(handler)
			defer server.Close()
			p := newPlace(t, server.URL, version)
			p.store(t, false)
			s := p.settle(t)
			require.Equal(t, version, s.Protocol)
			require.Equal(t, int64(rounds), s.Exemplars)
			want := p.want(t)
			require.Equal(t, want, p.contents(t, db, nil))

			querier, err := db.ExemplarQuerier(t.Context())
			require.NoError(t, err)
			examples, err := querier.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "source", "test")})
			require.NoError(t, err)
			require.Len(t, examples, 1)
			require.Len(t, examples[0].Exemplars, rounds)
			t.Logf("%d samples of %d series are the same by remote write %d.0, in %d requests of %d bytes", s.Sent, len(want), version, s.Requests, s.Bytes)
		})
	}
}

// TestVictoriaMetricsHasWhatWasStored forwards to Debian's VictoriaMetrics, which knows 1.0 and floats alone.
func TestVictoriaMetricsHasWhatWasStored(t *testing.T) {
	address := start(t, "victoria-metrics", "/health", func(address string) []string {
		return []string{"-storageDataPath=" + t.TempDir(), "-httpListenAddr=" + address, "-loggerLevel=ERROR"}
	})
	p := newPlace(t, address+"/api/v1/write", 2)
	p.store(t, true)
	s := p.settle(t)
	require.Equal(t, 1, s.Protocol, "it fell back")
	want := p.want(t)
	var got map[string][]string
	require.Eventually(t, func() bool { // it shows what it has taken after a moment
		got = exported(t, address)
		return len(got) == len(want) && total(got) == total(want)
	}, 30*time.Second, 200*time.Millisecond)
	require.Equal(t, want, got)
	t.Logf("%d samples of %d series are the same in VictoriaMetrics, in %d requests of %d bytes", s.Sent, len(want), s.Requests, s.Bytes)
}

func total(all map[string][]string) (n int) {
	for _, samples := range all {
		n += len(samples)
	}
	return n
}

// exported is all that a VictoriaMetrics has.
func exported(t *testing.T, address string) map[string][]string {
	t.Helper()
	answer, err := client.Get(address + "/api/v1/export?" + url.Values{"match[]": {`{source="test"}`}, "reduce_mem_usage": {"1"}}.Encode())
	require.NoError(t, err)
	defer answer.Body.Close()
	all := map[string][]string{}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one struct {
			Metric     map[string]string
			Values     []float64
			Timestamps []int64
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
		name := labels.FromMap(one.Metric).String()
		for i, at := range one.Timestamps {
			all[name] = append(all[name], fmt.Sprintf("%d %x", at, math.Float64bits(one.Values[i])))
		}
	}
	require.NoError(t, lines.Err())
	return all
}
