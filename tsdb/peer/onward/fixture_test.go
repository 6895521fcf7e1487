package onward

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/forward"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
)

// place is a shard that forwards to one target.
type place struct {
	shard *shard.Shard
	set   *forward.Set
	// began is the time of the first sample, and end that of the last.
	began, end time.Time
}

// newPlace forwards with an external label.
func newPlace(t *testing.T, address string, protocol int) *place {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s, err := shard.Open(shard.Options{Dir: t.TempDir(), Sync: time.Hour, Maintain: -1, Logger: quiet})
	require.NoError(t, err)
	set, err := forward.Open(forward.Options{Dir: t.TempDir(), Logger: quiet, Limits: forward.Limits{Age: 10 * time.Millisecond, Flush: time.Minute, Samples: 300},
		Describe: func(name string) forward.Description {
			about := s.Description(name)
			return forward.Description{Type: string(about.Type), Unit: about.Unit, Help: about.Help}
		}})
	require.NoError(t, err)
	s.SendOn(set)
	set.Configure([]forward.Target{{Name: "t", ID: 1, URL: address, Protocol: protocol, External: map[string]string{"cluster": "c1"}}})
	t.Cleanup(func() {
		require.NoError(t, set.Close(t.Context()))
		require.NoError(t, s.Close())
	})
	began := time.Now().Truncate(time.Second).Add(-15 * time.Minute)
	return &place{shard: s, set: set, began: began, end: began}
}

// rounds and series of what is stored.
const rounds, series = 40, 60

// store stores series of all kinds; floatsOnly leaves out what VictoriaMetrics does not keep.
func (p *place) store(t *testing.T, floatsOnly bool) {
	t.Helper()
	random := rand.New(rand.NewPCG(5, 6))
	for round := range rounds {
		p.end = p.began.Add(time.Duration(round) * 15 * time.Second)
		var batch []tsdb.Metric
		for i := range series {
			m := tsdb.Metric{Name: fmt.Sprintf("metric_%d_total", i%7), Type: tsdb.TypeCounter, Unit: "bytes", Labels: map[string]string{"i": fmt.Sprint(i), "name": "Wärme °C \n\""}, Source: "test", Timestamp: p.end}
			switch {
			case i%10 == 9 && !floatsOnly:
				m.Name, m.Type, m.Unit = "wait_seconds", tsdb.TypeHistogram, "seconds"
				m.Histogram = tsdbutil.GenerateTestFloatHistogram(int64(round))
				m.Histogram.CounterResetHint = histogram.UnknownCounterReset
				m.Start = p.began.Add(-time.Minute)
			case i%10 == 8 && !floatsOnly:
				m.Value = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Float64frombits(value.StaleNaN), 0, 1e-308}[random.IntN(6)]
			default:
				m.Value = random.NormFloat64() * 1e6
				m.Start = p.began
			}
			if floatsOnly {
				m.Value = float64(random.IntN(2e9) - 1e9) // VictoriaMetrics keeps decimals, and rounds what has many
			}
			if i == 1 && !floatsOnly {
				m.Exemplars = []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", fmt.Sprint(round)), Value: m.Value, Ts: p.end.UnixMilli(), HasTs: true}}
			}
			batch = append(batch, m)
		}
		require.NoError(t, p.shard.StoreMetrics(t.Context(), batch))
	}
}

// settle waits until all is delivered, and holds that nothing was dropped.
func (p *place) settle(t *testing.T) forward.Status {
	t.Helper()
	var s forward.Status
	require.Eventually(t, func() bool {
		s = p.set.Statuses()[0]
		return s.Pending == 0
	}, 60*time.Second, 20*time.Millisecond)
	require.Empty(t, s.Dropped, s.Error)
	require.Equal(t, int64(rounds*series), s.Sent)
	return s
}

// want is what the shard has, as a remote has it.
func (p *place) want(t *testing.T) map[string][]string {
	return p.contents(t, query.NewQueryable(p.shard.Engine()), map[string]string{"cluster": "c1"})
}

// contents are all samples by series, to the bit.
func (p *place) contents(t *testing.T, q storage.Queryable, external map[string]string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	querier, err := q.Querier(p.began.UnixMilli(), p.end.UnixMilli())
	require.NoError(t, err)
	defer querier.Close()
	set := querier.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "source", "test"))
	for set.Next() {
		b := labels.NewBuilder(set.At().Labels())
		for name, v := range external {
			b.Set(name, v)
		}
		name := b.Labels().String()
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			all[name] = append(all[name], sampleText(kind, it))
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return all
}

func sampleText(kind chunkenc.ValueType, it chunkenc.Iterator) string {
	if kind == chunkenc.ValFloat {
		at, v := it.At()
		return fmt.Sprintf("%d %x", at, math.Float64bits(v))
	}
	at, h := it.AtFloatHistogram(nil)
	h.CounterResetHint = histogram.UnknownCounterReset // which depends on how it is read
	return fmt.Sprintf("%d %s", at, h.TestExpression())
}

// readClient is Prometheus's own.
func readClient(t *testing.T, address string) storage.SampleAndChunkQueryable {
	t.Helper()
	u, err := url.Parse(address + "/api/v1/read")
	require.NoError(t, err)
	client, err := remote.NewReadClient("test", &remote.ClientConfig{URL: &config.URL{URL: u}, Timeout: model.Duration(10 * time.Second), ChunkedReadLimit: 1 << 20})
	require.NoError(t, err)
	return remote.NewSampleAndChunkQueryableClient(client, labels.EmptyLabels(), nil, true, func() (int64, error) { return 0, nil })
}

// start runs a program of Debian's until the test ends, and waits until it answers at a path of its address.
func start(t *testing.T, pkg, ready string, args func(address string) []string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts processes")
	}
	program, err := lab.Program(t.Context(), pkg, "usr/bin/"+pkg)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	command := exec.CommandContext(t.Context(), program, args(address)...)
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Wait() }) // killed with the test's context
	require.Eventually(t, func() bool {
		answer, err := client.Get("http://" + address + ready)
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, 60*time.Second, 100*time.Millisecond)
	return "http://" + address
}

// client gives up on a server that does not answer.
var client = &http.Client{Timeout: 30 * time.Second}
