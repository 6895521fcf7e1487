package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

// now is the clock of the tests.
var now = time.UnixMilli(1_700_000_000_000)

// fixture makes an API over a store with two metrics of some machines: a sample each 15 s of the last 10 min.
func fixture(t testing.TB, change func(*Options)) http.Handler {
	t.Helper()
	store := memory.Open(memory.Options{})
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	for vm := range 3 {
		fill(t, store, labels.FromStrings("__name__", "vm_cpu_seconds_total", "vm_name", "web-"+strconv.Itoa(vm), "host", "h1"), float64(vm+1))
	}
	fill(t, store, labels.FromStrings("__name__", "vm_available", "vm_name", "web-0", "note", "a \"b\"\\\n\x01ü"), 0)
	source := query.NewQueryable(store)
	queries, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queries.Close()) })
	o := Options{Engine: queries, Source: source, Now: func() time.Time { return now }}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func fill(t testing.TB, store engine.Engine, lset labels.Labels, slope float64) {
	t.Helper()
	ref, err := store.Ref(lset)
	require.NoError(t, err)
	batch := engine.Batch{}
	for i := range 41 {
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: now.UnixMilli() - 600_000 + int64(i)*15_000, V: 1 + slope*float64(i)})
	}
	batch.Exemplars = []engine.ExemplarSample{{Ref: ref, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "t1"), Value: 4, Ts: now.UnixMilli() - 1500, HasTs: true}}}
	done, err := store.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

// said is an answer.
type said struct {
	code   int
	header http.Header
	body   string
}

// ask sends a GET, or a form where there is one.
func ask(t testing.TB, api http.Handler, path, form string) said {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if form != "" {
		r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return send(t, api, r)
}

func send(t testing.TB, api http.Handler, r *http.Request) said {
	t.Helper()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return said{w.Code, w.Header(), string(body)}
}

// failed reads an error.
func (s said) failed(t testing.TB) (kind, text string) {
	t.Helper()
	var body struct{ Status, ErrorType, Error string }
	require.NoError(t, json.Unmarshal([]byte(s.body), &body), "%s", s.body)
	require.Equal(t, "error", body.Status)
	return body.ErrorType, body.Error
}

func params(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// brokenSource is a source whose every read ends in an error after some series.
type brokenSource struct {
	Source
	after int
	err   error
}

func (s brokenSource) Querier(minT, maxT int64) (storage.Querier, error) {
	q, err := s.Source.Querier(minT, maxT)
	return brokenQuerier{q, s}, err
}

type brokenQuerier struct {
	storage.Querier
	source brokenSource
}

func (q brokenQuerier) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return &brokenSet{SeriesSet: storage.EmptySeriesSet(), source: q.source}
}

type brokenSet struct {
	storage.SeriesSet
	source brokenSource
	n      int
}

func (s *brokenSet) Next() bool {
	s.n++
	return s.n <= s.source.after
}

func (s *brokenSet) At() storage.Series {
	return storage.MockSeries(nil, []int64{now.UnixMilli()}, []float64{1}, []string{"__name__", "m", "n", strconv.Itoa(s.n), "pad", strings.Repeat("x", 100)})
}

func (s *brokenSet) Err() error { return s.source.err }

var errDisk = errors.New("the disk is broken")
