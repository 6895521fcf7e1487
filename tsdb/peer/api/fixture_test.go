package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// now is the clock of both sides: a round time, so that samples fall on steps.
var now = time.Unix(1_699_999_200, 0)

// samples is how many each series has, 15 s apart, the last at now.
const samples = 121

// place is the data, and our API over it.
type place struct {
	store   engine.Engine
	source  query.Queryable
	queries *query.Engine
	options httpapi.Options
}

func newPlace(t testing.TB) place {
	t.Helper()
	store := memory.Open(memory.Options{})
	queries, err := query.New(query.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, queries.Close())
		require.NoError(t, store.Close())
	})
	p := place{store: store, source: query.NewQueryable(store), queries: queries}
	p.options = httpapi.Options{Engine: queries, Source: p.source, Now: func() time.Time { return now }, Build: httpapi.Build{Version: "3.5.0"}}
	for _, s := range series() {
		p.append(t, s, false)
	}
	return p
}

// one is a series with floats.
type one struct {
	labels labels.Labels
	value  func(i int) float64
}

// series are counters of machines, a gauge, and bounds of a classic histogram.
func series() (all []one) {
	for host := range 2 {
		for vm := range 3 {
			all = append(all, one{
				labels.FromStrings("__name__", "vm_cpu_seconds_total", "host", fmt.Sprintf("h%d", host), "vm_name", fmt.Sprintf("web-%d", vm)),
				func(i int) float64 { return 15. / 16 * float64(i*(vm+1)+host) },
			})
		}
		all = append(all, one{labels.FromStrings("__name__", "vm_memory_bytes", "host", fmt.Sprintf("h%d", host), "note", `a "quoted"\ ünï <&>`),
			func(i int) float64 { return 1e9 * float64(i%7) / 3 }})
	}
	for i, le := range []string{"0.1", "1", "+Inf"} {
		all = append(all, one{labels.FromStrings("__name__", "wait_seconds_bucket", "le", le), func(n int) float64 { return float64(n * (i + 1)) }})
	}
	return all
}

func at(i int) int64 { return now.UnixMilli() - int64(samples-1-i)*15_000 }

func (p place) append(t testing.TB, s one, withHistogram bool) {
	t.Helper()
	ref, err := p.store.Ref(s.labels)
	require.NoError(t, err)
	batch := engine.Batch{}
	for i := range samples {
		if withHistogram {
			batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at(i), Int: tsdbutil.GenerateTestHistogram(int64(i))})
			continue
		}
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at(i), V: s.value(i)})
	}
	for i := range 3 {
		batch.Exemplars = append(batch.Exemplars, engine.ExemplarSample{Ref: ref, Exemplar: exemplar.Exemplar{
			Labels: labels.FromStrings("trace_id", fmt.Sprint("t", i)), Value: float64(i) / 4, Ts: now.UnixMilli() - 90_001 + int64(i)*1000, HasTs: true}})
	}
	done, err := p.store.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

// addHistograms adds native histograms, exponential ones and one with bounds of its own.
func (p place) addHistograms(t testing.TB) {
	t.Helper()
	p.append(t, one{labels: labels.FromStrings("__name__", "disk_seconds", "host", "h0")}, true)
	ref, err := p.store.Ref(labels.FromStrings("__name__", "own_seconds"))
	require.NoError(t, err)
	h := &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, Count: 5, Sum: -0.5, CustomValues: []float64{0.5, 2, 10},
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{1, 0, 4}}
	done, err := p.store.Append(t.Context(), engine.Batch{Histograms: []engine.HistogramSample{{Ref: ref, T: now.UnixMilli(), Float: h}}})
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

// said is an answer.
type said struct {
	code int
	body string
}

// get asks a handler; a path with a form after a space is a POST.
func get(t testing.TB, h http.Handler, path string) said {
	t.Helper()
	path, form, post := strings.Cut(path, " ")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if post {
		r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return said{w.Code, string(body)}
}
