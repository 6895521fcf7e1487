package peer

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

// truth is what a series is made of, before anybody writes it.
type truth struct {
	lset       labels.Labels
	samples    []collect.Metric // without names and labels
	whole      []*histogram.Histogram
	exemplars  []exemplar.Exemplar
	kind       writev2.Metadata_MetricType
	help, unit string
}

// series makes some by chance.
func series(r *rand.Rand, n int) (all []truth) {
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for i := range n {
		s := truth{lset: labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i), "job", "j", "name", "Wärme °C \n\"", "zone", fmt.Sprint(r.IntN(5))), help: "Help.", unit: "seconds"}
		native := r.IntN(3) == 0
		for k := range 1 + r.IntN(4) {
			m := collect.Metric{Timestamp: at.Add(time.Duration(k) * time.Second)}
			switch {
			case native && r.IntN(2) == 0:
				h := tsdbutil.GenerateTestHistogram(r.Int64N(100))
				s.whole, m.Histogram = append(s.whole, h), h.ToFloat(nil)
			case native:
				s.whole, m.Histogram = append(s.whole, nil), tsdbutil.GenerateTestFloatHistogram(r.Int64N(100))
			default:
				m.Value = []float64{r.NormFloat64(), math.Inf(1), 0, collect.Stale(), 1e308}[r.IntN(5)]
			}
			if r.IntN(2) == 0 {
				m.Start = at.Add(-time.Minute)
			}
			s.samples = append(s.samples, m)
		}
		s.kind = writev2.Metadata_METRIC_TYPE_GAUGE
		if native {
			s.kind = writev2.Metadata_METRIC_TYPE_HISTOGRAM
		}
		if r.IntN(2) == 0 {
			s.exemplars = []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", "abc"), Value: 3, Ts: at.UnixMilli(), HasTs: true}}
		}
		all = append(all, s)
	}
	return all
}

func request1(t require.TestingT, all []truth) []byte {
	request := &prompb.WriteRequest{}
	for _, s := range all {
		one := prompb.TimeSeries{Labels: prompb.FromLabels(s.lset, nil)}
		for i, m := range s.samples {
			switch {
			case m.Histogram == nil:
				one.Samples = append(one.Samples, prompb.Sample{Value: m.Value, Timestamp: m.Timestamp.UnixMilli()})
			case s.whole[i] != nil:
				one.Histograms = append(one.Histograms, prompb.FromIntHistogram(m.Timestamp.UnixMilli(), s.whole[i]))
			default:
				one.Histograms = append(one.Histograms, prompb.FromFloatHistogram(m.Timestamp.UnixMilli(), m.Histogram))
			}
		}
		request.Timeseries = append(request.Timeseries, one)
		for _, e := range s.exemplars { // a series of its own, as Prometheus sends it
			request.Timeseries = append(request.Timeseries, prompb.TimeSeries{
				Labels: prompb.FromLabels(s.lset, nil), Exemplars: []prompb.Exemplar{{Labels: prompb.FromLabels(e.Labels, nil), Value: e.Value, Timestamp: e.Ts}},
			})
		}
	}
	body, err := request.Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, body)
}

func start(m collect.Metric) int64 {
	if m.Start.IsZero() {
		return 0
	}
	return m.Start.UnixMilli()
}

func request2(t require.TestingT, all []truth) []byte {
	symbols := writev2.NewSymbolTable()
	request := &writev2.Request{}
	for _, s := range all {
		one := writev2.TimeSeries{LabelsRefs: symbols.SymbolizeLabels(s.lset, nil), Metadata: writev2.Metadata{
			Type: s.kind, HelpRef: symbols.Symbolize(s.help), UnitRef: symbols.Symbolize(s.unit),
		}}
		for i, m := range s.samples {
			switch {
			case m.Histogram == nil:
				one.Samples = append(one.Samples, writev2.Sample{Value: m.Value, Timestamp: m.Timestamp.UnixMilli(), StartTimestamp: start(m)})
			case s.whole[i] != nil:
				one.Histograms = append(one.Histograms, writev2.FromIntHistogram(start(m), m.Timestamp.UnixMilli(), s.whole[i]))
			default:
				one.Histograms = append(one.Histograms, writev2.FromFloatHistogram(start(m), m.Timestamp.UnixMilli(), m.Histogram))
			}
		}
		for _, e := range s.exemplars {
			one.Exemplars = append(one.Exemplars, writev2.Exemplar{LabelsRefs: symbols.SymbolizeLabels(e.Labels, nil), Value: e.Value, Timestamp: e.Ts})
		}
		request.Timeseries = append(request.Timeseries, one)
	}
	request.Symbols = symbols.Symbols()
	body, err := request.Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, body)
}

// compare holds that what arrived is the truth; 1.0 tells neither types nor starts.
func compare(t *testing.T, all []truth, got []collect.Metric, version int) {
	type key struct {
		series string
		at     int64
	}
	byKey := map[key]collect.Metric{}
	for _, m := range got {
		byKey[key{collect.SeriesKey(m.Name, m.Labels, ""), m.Timestamp.UnixMilli()}] = m
	}
	samples := 0
	for _, s := range all {
		own := s.lset.Map()
		name := own["__name__"]
		delete(own, "__name__")
		exemplars := 0
		for _, want := range s.samples {
			samples++
			m, has := byKey[key{collect.SeriesKey(name, own, ""), want.Timestamp.UnixMilli()}]
			require.True(t, has)
			require.Equal(t, math.Float64bits(want.Value), math.Float64bits(m.Value))
			require.True(t, want.Histogram == nil && m.Histogram == nil || m.Histogram != nil && want.Histogram.Equals(m.Histogram), "%v\n%v", want.Histogram, m.Histogram)
			exemplars += len(m.Exemplars)
			if version == 2 {
				require.Equal(t, start(want), start(m))
				require.Equal(t, "seconds", m.Unit)
			}
		}
		require.Len(t, s.exemplars, exemplars)
	}
	require.Len(t, got, samples)
}

// TestWhatPrometheusWritesArrives writes by Prometheus's own messages and client, in both versions.
func TestWhatPrometheusWritesArrives(t *testing.T) {
	s, address := receiver(t)
	for version, c := range map[int]remote.WriteClient{
		1: client(t, address, remoteapi.WriteV1MessageType), 2: client(t, address, remoteapi.WriteV2MessageType),
	} {
		for seed := range uint64(50) {
			all := series(rand.New(rand.NewPCG(seed, 1)), 20)
			body := request1(t, all)
			if version == 2 {
				body = request2(t, all)
			}
			stats, err := c.Store(t.Context(), body, 0)
			require.NoError(t, err, "version %d, seed %d", version, seed)
			samples, histograms, exemplars := 0, 0, 0
			for _, one := range all {
				exemplars += len(one.exemplars)
				for _, m := range one.samples {
					if m.Histogram != nil {
						histograms++
					} else {
						samples++
					}
				}
			}
			require.Equal(t, version == 2, stats.Confirmed, "only 2.0 confirms what was written")
			if version == 2 {
				require.Equal(t, remote.WriteResponseStats{Samples: samples, Histograms: histograms, Exemplars: exemplars, Confirmed: true}, stats)
			}
			compare(t, all, s.take(), version)
		}
	}
}

// TestWhatPrometheusMakesOfAnswers holds which answers it tries again, and what it learns of partial writes.
func TestWhatPrometheusMakesOfAnswers(t *testing.T) {
	s, address := receiver(t)
	c := client(t, address, remoteapi.WriteV2MessageType)
	all := series(rand.New(rand.NewPCG(7, 7)), 5)
	body := request2(t, all)

	s.refuses = "metric_0"
	stats, err := c.Store(t.Context(), body, 0)
	require.ErrorContains(t, err, "too_old")
	var again remote.RecoverableError
	require.NotErrorAs(t, err, &again, "what can never be stored is not sent again")
	require.True(t, stats.Confirmed)
	stored := len(s.take())
	require.Equal(t, stored, stats.Samples+stats.Histograms)
	require.Positive(t, stored)

	s.refuses, s.err = "", errors.New("no room")
	_, err = c.Store(t.Context(), body, 0)
	require.ErrorAs(t, err, &again, "this is")

	s.err = nil
	_, err = c.Store(t.Context(), snappy.Encode(nil, []byte("garbage")), 0)
	require.Error(t, err)
	require.NotErrorAs(t, err, &again, "this never makes sense")
	require.Empty(t, s.take())
}
