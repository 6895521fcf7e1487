package wire

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// far is a shard behind a real HTTP server, and the store that it reads.
type far struct {
	store  engine.Engine
	client Client
	url    string
}

func newFar(t *testing.T, name string) far {
	t.Helper()
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	store := memory.Open(memory.Options{})
	mux := http.NewServeMux()
	local := federate.Local{Host: name, Store: store, Query: q}
	mux.Handle(NewHandler(Server{
		Shard: local,
		Survey: federate.NewLocalSurvey(local, func() []federate.Description {
			return []federate.Description{{Name: "g", Type: "gauge", Unit: "bytes", Help: "What it is."}}
		}),
		Summary: func(context.Context) (federate.Summary, error) {
			return federate.Summarize(map[string][]string{"__name__": nil, "host": {name}, "vm_id": nil}, 10), nil
		},
	}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return far{store, clientOf(t, server), server.URL}
}

// clientOf calls the shard behind a server.
func clientOf(t *testing.T, server *httptest.Server) Client {
	t.Helper()
	client, err := NewClient(server.Client(), server.URL)
	require.NoError(t, err)
	return client
}

// fill stores floats, a counter with start times, histograms and exemplars for some machines.
func fill(t *testing.T, store engine.Engine, host string, machines int) {
	t.Helper()
	for n := range machines {
		about := func(name string) engine.Ref {
			ref, err := store.Ref(labels.FromStrings("__name__", name, "host", host, "vm_id", fmt.Sprint(n)))
			require.NoError(t, err)
			return ref
		}
		gauge, counter, hist := about("g"), about("c_total"), about("h")
		var b engine.Batch
		for i := range int64(240) {
			at := i * 15000
			if i%50 == 49 {
				b.Samples = append(b.Samples, engine.Sample{Ref: gauge, T: at, V: absent})
				continue
			}
			b.Starts = append(b.Starts, engine.Start{Index: len(b.Samples), ST: 1})
			b.Samples = append(b.Samples, engine.Sample{Ref: counter, T: at, V: float64(i * int64(n+1))}, engine.Sample{Ref: gauge, T: at, V: math.Sin(float64(i))})
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: hist, T: at, Int: &histogram.Histogram{
				Schema: 1, Count: uint64(i), Sum: float64(i), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{i},
			}})
		}
		b.Exemplars = append(b.Exemplars, engine.ExemplarSample{Ref: counter, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace", "1"), Value: 3, Ts: 30000, HasTs: true}})
		done, err := store.Append(t.Context(), b)
		require.NoError(t, err)
		require.Empty(t, done.Refused)
	}
}

type members []federate.Member

func (m members) Members() []federate.Member { return m }

// TestShardsFarAwayAnswerAsThoseHere asks the same of shards in this process and behind HTTP.
func TestShardsFarAwayAnswerAsThoseHere(t *testing.T) {
	var near, distant members
	q, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	for i := range 3 {
		name := fmt.Sprintf("h%d", i)
		shard := newFar(t, name)
		fill(t, shard.store, name, 4)
		near = append(near, federate.Member{Name: name, Shard: federate.Local{Host: name, Store: shard.store, Query: q}})
		distant = append(distant, federate.Member{Name: name, Shard: shard.client})
	}
	ask := func(e promql.QueryEngine, m members, expr string) string {
		prepared, err := e.NewRangeQuery(t.Context(), federate.NewFleet(m, federate.Options{}), nil, expr, time.UnixMilli(600_000), time.UnixMilli(3_500_000), time.Minute)
		require.NoError(t, err)
		defer prepared.Close()
		result := prepared.Exec(t.Context())
		return fmt.Sprint(result.Value, result.Err, result.Warnings)
	}
	pushing := federate.NewEngine(q, 0)
	for _, expr := range []string{
		`sum by (host) (rate(c_total[5m]))`, `g`, `topk(2, g)`, `quantile(0.5, rate(c_total[5m]))`, `histogram_quantile(0.9, sum(rate(h[5m])))`, `h`,
		`absent(nothing)`, `c_total + on (vm_id, host) g`, `avg(g) + count(h)`, `vector(1) + on () group_left () g`, `g + on () g`, `max_over_time(sum(g)[10m:1m])`,
	} {
		for _, e := range []promql.QueryEngine{pushing, q} {
			assert.Equal(t, ask(e, near, expr), ask(e, distant, expr), expr)
		}
	}
	querier, err := federate.NewFleet(distant, federate.Options{}).Querier(0, 4_000_000)
	require.NoError(t, err)
	defer querier.Close()
	hosts, warnings, err := querier.LabelValues(t.Context(), "host", nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"h0", "h1", "h2"}, hosts)
	assert.Empty(t, warnings)
	names, _, err := querier.LabelNames(t.Context(), nil, labels.MustNewMatcher(labels.MatchRegexp, "host", "h1|h2"))
	require.NoError(t, err)
	assert.Equal(t, []string{"__name__", "host", "vm_id"}, names)
	exemplars, err := federate.NewFleet(distant, federate.Options{}).ExemplarQuerier(t.Context())
	require.NoError(t, err)
	found, err := exemplars.Select(0, 60_000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "c_total")})
	require.NoError(t, err)
	require.Len(t, found, 12)
	assert.Equal(t, 3.0, found[0].Exemplars[0].Value)
}

// TestRawSeriesArriveAsTheyAre compares each sample.
func TestRawSeriesArriveAsTheyAre(t *testing.T) {
	shard := newFar(t, "h")
	fill(t, shard.store, "h", 2)
	sel := engine.Selection{Min: 0, Max: 4_000_000, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}, Sorted: true}
	want, err := shard.store.Select(t.Context(), sel)
	require.NoError(t, err)
	defer want.Close()
	got, err := shard.client.Select(t.Context(), sel)
	require.NoError(t, err)
	assert.Equal(t, texts(want), texts(got))
}

func texts(set engine.SeriesSet) (all []string) {
	for set.Next() {
		it := set.At().Iterator(nil)
		text := set.At().Labels().String()
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloat {
				at, v := it.At()
				text += fmt.Sprintf(" %d:%x:%d", at, math.Float64bits(v), it.AtST())
				continue
			}
			at, h := it.AtFloatHistogram(nil)
			text += fmt.Sprintf(" %d:%s:%d", at, h, h.CounterResetHint)
		}
		all = append(all, text)
	}
	return all
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	shard := newFar(t, "h")
	fill(t, shard.store, "h", 20)
	var refused *federate.RefusedError
	var limit *query.LimitError
	_, err := shard.client.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}, End: 3_000_000, Step: 1000, MaxCells: 100})
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, "bytes", limit.Limit)
	require.ErrorAs(t, err, &refused)
	_, err = shard.client.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"sum("}})
	require.ErrorAs(t, err, &refused, "%v", err)
	for _, bad := range []federate.Evaluation{{Start: 5, End: 1}, {End: 1 << 50, Step: 1}, {Exprs: slices.Repeat([]string{"g"}, 300)}} {
		_, err = shard.client.Evaluate(t.Context(), bad)
		require.ErrorAs(t, err, &refused, "%+v", bad)
	}
	small := Client{RPC: shard.client.RPC, MaxBytes: 100}
	_, err = small.Select(t.Context(), engine.Selection{Max: 4_000_000, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "g")}})
	require.ErrorAs(t, err, &limit)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = shard.client.Evaluate(ctx, federate.Evaluation{Exprs: []string{"g"}})
	require.Error(t, err)
	assert.NotErrorAs(t, err, &refused, "who was not asked has not refused")
}

// TestGarbageIsNoRefusal: a host that answers what cannot be read is missing, and does not end the query of all.
func TestGarbageIsNoRefusal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = w.Write([]byte{0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff})
	}))
	t.Cleanup(server.Close)
	client := clientOf(t, server)
	var refused *federate.RefusedError
	_, err := client.Evaluate(t.Context(), federate.Evaluation{Exprs: []string{"g"}})
	require.ErrorContains(t, err, "unmarshal")
	require.NotErrorAs(t, err, &refused)
	_, err = client.Select(t.Context(), engine.Selection{})
	require.ErrorContains(t, err, "unmarshal")
	require.NotErrorAs(t, err, &refused)
}

func TestSummariesAreToldOnce(t *testing.T) {
	shard := newFar(t, "h7")
	first, err := shard.client.Summarize(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, first.Labels, 3)
	again, err := shard.client.Summarize(t.Context(), first.Version)
	require.NoError(t, err)
	assert.Equal(t, federate.Summary{Version: first.Version}, again)
}

// TestRowsArriveAsTheyWere packs random rows.
func TestRowsArriveAsTheyWere(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(r, "steps")
		row := federate.Row{Labels: labels.FromMap(rapid.MapOf(rapid.StringN(1, 5, -1), rapid.StringN(1, 5, -1)).Draw(r, "labels")), Values: make([]float64, n)}
		for i := range row.Values {
			row.Values[i] = absent
			if rapid.Bool().Draw(r, "has") {
				row.Values[i] = rapid.Float64().Draw(r, "v")
			}
		}
		if rapid.Bool().Draw(r, "histograms") {
			row.Histograms = make([]*histogram.FloatHistogram, n)
			row.Histograms[n-1] = &histogram.FloatHistogram{Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{3}}
		}
		sent := rowTo(3, row, rapid.Bool().Draw(r, "plain"))
		packed, err := proto.Marshal(&agentv1.EvaluateResponse{Series: []*agentv1.EvaluatedSeries{sent, sent}})
		require.NoError(r, err)
		c := newCollector(federate.Evaluation{Exprs: make([]string, 4), End: int64(n) - 1, Step: 1})
		require.NoError(r, c.receive(packed, func(bytes int64) error {
			require.GreaterOrEqual(r, bytes, int64(8*n))
			return nil
		}))
		require.Len(r, c.partial.Rows[3], 2)
		one, err := proto.Marshal(sent)
		require.NoError(r, err)
		require.True(r, c.readRow(one, string(one)), "what shards write is read without a message")
		got := c.partial.Rows[3][1]
		require.True(r, labels.Equal(row.Labels, got.Labels))
		for i := range row.Values {
			require.Equal(r, math.Float64bits(row.Values[i]), math.Float64bits(got.Values[i]))
		}
		require.Equal(r, row.Histograms == nil, got.Histograms == nil)
		if row.Histograms != nil {
			require.True(r, row.Histograms[n-1].Equals(got.Histograms[n-1]))
		}
	})
}

// FuzzRows gives the collector messages of anyone.
func FuzzRows(f *testing.F) {
	seed, err := proto.Marshal(&agentv1.EvaluateResponse{
		Series: []*agentv1.EvaluatedSeries{rowTo(0, federate.Row{Labels: labels.FromStrings("a", "b"), Values: []float64{1, absent, 3}}, false), rowTo(1, federate.Row{Labels: labels.FromStrings("a", "b"), Values: []float64{1, absent, 3}}, true)}, Summary: &agentv1.EvaluateSummary{},
	})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		e := federate.Evaluation{Exprs: []string{"a", "b"}, End: 2000, Step: 1000}
		m, want, got, held := &agentv1.EvaluateResponse{}, newCollector(e), newCollector(e), int64(0)
		wrong := proto.Unmarshal(data, m)
		if wrong == nil {
			wrong = want.add(m, len(data))
		}
		err := got.receive(data, func(bytes int64) error { held += bytes; return nil })
		require.Equal(t, wrong == nil, err == nil, "%v: %v", wrong, err)
		if err != nil {
			return
		}
		for i, rows := range got.partial.Rows {
			require.Len(t, rows, len(want.partial.Rows[i]))
			for n, row := range rows {
				require.Len(t, row.Values, 3)
				require.Equal(t, want.partial.Rows[i][n].Labels, row.Labels)
				require.Equal(t, fmt.Sprint(want.partial.Rows[i][n].Values), fmt.Sprint(row.Values))
				require.GreaterOrEqual(t, held, int64(24))
			}
		}
		require.Equal(t, want.whole, got.whole)
		require.Equal(t, want.partial.Bytes, got.partial.Bytes)
	})
}

// FuzzRawSeries gives the iterator messages of anyone.
func FuzzRawSeries(f *testing.F) {
	pack := packer{times: []int64{1, 2}, values: []float64{3, 4}, starts: []int64{0, 1}, histTimes: []int64{3}, histograms: []*histogram.FloatHistogram{{Count: 1}}}
	seed, err := proto.Marshal(&agentv1.SelectResponse{Series: []*agentv1.RawSeries{pack.piece([]string{"a", "b"})}})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &agentv1.SelectResponse{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		got, builder := &received{}, labels.NewScratchBuilder(0)
		if got.add(&builder, m) != nil {
			return
		}
		_ = texts(got)
	})
}
