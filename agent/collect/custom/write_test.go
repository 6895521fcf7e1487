package custom

import (
	"bytes"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// at is the time of the first sample in milliseconds.
var at = start.UnixMilli()

func label1(name, value string) []byte {
	return bytesField(1, message(bytesField(1, []byte(name)), bytesField(2, []byte(value))))
}

func sampleField(v float64, t int64) []byte {
	return bytesField(2, message(doubleField(1, v), varintField(2, uint64(t))))
}

func series1(parts ...[]byte) []byte { return bytesField(1, message(parts...)) }

func symbols(all ...string) (fields []byte) {
	for _, s := range all {
		fields = append(fields, bytesField(4, []byte(s))...)
	}
	return fields
}

func series2(parts ...[]byte) []byte { return bytesField(5, message(parts...)) }

// nativeFields are those of a histogram of 1, 2 and 4 observations.
func nativeFields() []byte {
	return message(
		varintField(1, 8), doubleField(3, 21), zigzagField(4, 3), doubleField(5, 0.01), varintField(6, 1),
		bytesField(11, message(zigzagField(1, -2), varintField(2, 2))), bytesField(11, message(zigzagField(1, 3), varintField(2, 1))),
		packedZigzag(12, 1, 1, 2), varintField(14, 2), varintField(15, uint64(at)),
	)
}

func wantNative() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		Schema: 3, Count: 8, Sum: 21, ZeroThreshold: 0.01, ZeroCount: 1, CounterResetHint: histogram.NotCounterReset,
		PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []float64{1, 2, 4},
	}
}

func TestReadWrite1(t *testing.T) {
	got, err := readWrite1(message(
		series1(label1("__name__", "shop_orders_total"), label1("country", "de"), label1("empty", ""),
			sampleField(3, at), sampleField(4, at+15_000),
			bytesField(3, message(label1("trace_id", "abc"), doubleField(2, 1), varintField(3, uint64(at))))),
		series1(label1("__name__", "shop_wait_seconds"), bytesField(4, nativeFields())),
		series1(bytesField(3, message(doubleField(2, 9), varintField(3, uint64(at)))), label1("__name__", "shop_wait_seconds")),
		series1(bytesField(3, message(doubleField(2, 9))), label1("__name__", "elsewhere")),
		bytesField(3, message(varintField(1, 1), bytesField(2, []byte("shop_orders_total")), bytesField(4, []byte("Orders.")), bytesField(5, []byte("orders")))),
		bytesField(77, []byte("of a later version")),
	), 100)
	require.NoError(t, err)
	require.Len(t, got.metrics, 3)
	orders := got.metrics[1]
	require.Equal(t, "shop_orders_total", orders.Name)
	require.Equal(t, map[string]string{"country": "de"}, orders.Labels)
	require.Equal(t, 4.0, orders.Value)
	require.Equal(t, at+15_000, orders.Timestamp.UnixMilli())
	require.Equal(t, `{trace_id="abc"}`, orders.Exemplars[0].Labels.String())
	require.Empty(t, got.metrics[0].Exemplars)
	require.Equal(t, wantNative(), got.metrics[2].Histogram)
	require.Equal(t, at, got.metrics[2].Timestamp.UnixMilli())
	require.Len(t, got.metrics[2].Exemplars, 1, "one that came without a sample finds it")
	require.Equal(t, 1, got.lost)
	require.Equal(t, []family{{name: "shop_orders_total", unit: "orders", help: "Orders.", kind: collect.TypeCounter}}, got.families)
}

func TestReadWrite2(t *testing.T) {
	got, err := readWrite2(message(
		series2(packed(1, 1, 2, 3, 4), bytesField(5, message(varintField(1, 1), varintField(3, 5), varintField(4, 6))),
			bytesField(2, message(doubleField(1, 3), varintField(2, uint64(at)), varintField(3, uint64(at-60_000)))),
			bytesField(4, message(packed(1, 7, 8), doubleField(2, 1), varintField(3, uint64(at))))),
		symbols("", "__name__", "shop_orders_total", "country", "de", "Orders.", "orders", "trace_id", "abc", "shop_wait_seconds"),
		series2(varintField(1, 1), varintField(1, 9), bytesField(5, varintField(1, 3)), bytesField(3, append(nativeFields(), varintField(17, uint64(at-30_000))...))),
		series2(packed(1, 1, 9), bytesField(5, varintField(1, 3)), sampleField(math.Float64frombits(0x7ff0000000000002), at)),
	), 100)
	require.NoError(t, err)
	require.Len(t, got.metrics, 3)
	orders := got.metrics[0]
	require.Equal(t, collect.TypeCounter, orders.Type)
	require.Equal(t, "orders", orders.Unit)
	require.Equal(t, map[string]string{"country": "de"}, orders.Labels)
	require.Equal(t, at-60_000, orders.Start.UnixMilli())
	require.Equal(t, `{trace_id="abc"}`, orders.Exemplars[0].Labels.String())
	require.Equal(t, []family{{name: "shop_orders_total", unit: "orders", help: "Orders.", kind: collect.TypeCounter}}, got.families)
	wait := got.metrics[1]
	require.Equal(t, wantNative(), wait.Histogram)
	require.Equal(t, collect.TypeHistogram, wait.Type)
	require.Equal(t, at-30_000, wait.Start.UnixMilli())
	require.True(t, collect.IsStale(got.metrics[2].Value))
	require.Empty(t, got.metrics[2].Type)
}

// TestReadHistograms reads what integers and floats, both sides of zero and own bounds come as.
func TestReadHistograms(t *testing.T) {
	w, err := readHistogram(message(
		doubleField(2, 7.5), doubleField(7, 0.5), doubleField(3, -1),
		bytesField(8, message(zigzagField(1, 1), varintField(2, 1))), packedDoubles(10, 2.5),
		bytesField(11, message(varintField(2, 2))), doubleField(13, 1.5), doubleField(13, 3), varintField(14, 3),
	))
	require.NoError(t, err)
	require.Equal(t, histogram.FloatHistogram{
		Count: 7.5, ZeroCount: 0.5, Sum: -1, CounterResetHint: histogram.GaugeType,
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []float64{2.5},
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{1.5, 3},
	}, w.h)
	w, err = readHistogram(message(
		varintField(1, 3), zigzagField(4, -53), packedDoubles(16, 0.1, 1), bytesField(11, varintField(2, 3)), packedZigzag(12, 1, 0, 0),
	))
	require.NoError(t, err)
	require.Equal(t, int32(-53), w.h.Schema)
	require.Equal(t, []float64{0.1, 1}, w.h.CustomValues)
	require.NoError(t, w.h.Validate())
	for says, bad := range map[string][]byte{
		"more than 20000 buckets":           bytesField(11, varintField(2, 1<<31)),
		"field 12: the histogram has more":  packed(12, make([]uint64, maxBuckets+1)...),
		"field 2: its kind is another":      varintField(2, 1),
		"field 1: its kind is another":      doubleField(1, 1),
		"the schema 9999999999 is none":     zigzagField(4, 9_999_999_999),
		"offset 9999999999 is beyond":       bytesField(8, zigzagField(1, 9_999_999_999)),
		"field 3: its kind is another than": bytesField(3, nil),
	} {
		_, err := readHistogram(bad)
		require.ErrorContains(t, err, says)
	}
}

// TestBrokenSeries holds that a series that can be none leaves the others alone.
func TestBrokenSeries(t *testing.T) {
	good := series1(label1("__name__", "good"), sampleField(1, at))
	good2 := series2(packed(1, 1, 2), sampleField(1, at))
	texts := symbols("", "__name__", "good")
	many := []byte{}
	for i := range maxWireLabels + 1 {
		many = append(many, label1("l"+strings.Repeat("x", i), "v")...)
	}
	for says, c := range map[string]struct {
		version int
		bad     []byte
	}{
		"it has no name":                     {1, series1(label1("a", "b"), sampleField(1, at))},
		`it has the label "a" twice`:         {1, series1(label1("__name__", "x"), label1("a", "b"), label1("a", "c"), sampleField(1, at))},
		"it has more than 64 labels":         {1, series1(many, sampleField(1, at))},
		"a histogram of it is none":          {1, series1(label1("__name__", "x"), bytesField(4, message(varintField(1, 5), bytesField(11, varintField(2, 2)), packedZigzag(12, 1))))},
		"refers to symbol 9 of 3":            {2, series2(packed(1, 1, 9), sampleField(1, at))},
		"are odd in number":                  {2, series2(packed(1, 1, 2, 0), sampleField(1, at))},
		"its metadata: it refers to":         {2, series2(packed(1, 1, 2), bytesField(5, varintField(3, 9)), sampleField(1, at))},
		"an exemplar: it refers to symbol 8": {2, series2(packed(1, 1, 2), sampleField(1, at), bytesField(4, packed(1, 8, 8)))},
	} {
		got, err := readWrite1(message(c.bad, good), 100)
		if c.version == 2 {
			got, err = readWrite2(message(texts, c.bad, good2), 100)
		}
		require.NoError(t, err, says)
		require.Len(t, got.metrics, 1, says)
		require.Equal(t, 1, got.brokenSamples)
		require.ErrorContains(t, got.broken[0], says)
	}
}

func TestRequestsWithoutSense(t *testing.T) {
	samples := bytes.Repeat(sampleField(1, at), 11)
	exemplars := bytes.Repeat(bytesField(4, nil), 11)
	for says, c := range map[string]struct {
		version int
		body    []byte
	}{
		"has more than 10 samples":           {1, series1(label1("__name__", "x"), samples)},
		"it has more than 10 samples; send":  {2, series2(samples)},
		"has more than 10 exemplars":         {2, series2(exemplars)},
		"has more than 20 series":            {1, bytes.Repeat(series1(), 21)},
		"describes more than 10 metrics":     {1, bytes.Repeat(bytesField(3, nil), 11)},
		"field 1: field 2: its kind":         {1, series1(varintField(2, 1))},
		"field 5: its kind":                  {2, varintField(5, 1)},
		`the first symbol is "a"`:            {2, symbols("a")},
		"more than 500000 symbols":           {2, bytes.Repeat(bytesField(4, nil), maxSymbols+1)},
		"unexpected EOF":                     {1, []byte{0x0a, 0x7f, 0x01}},
		"field 4: field 1: its kind":         {1, series1(bytesField(4, bytesField(1, nil)))},
		"WriteRequest: field 9: unexpected ": {1, []byte{0x4a, 0x7f}},
	} {
		var err error
		if c.version == 1 {
			_, err = readWrite1(c.body, 10)
		} else {
			_, err = readWrite2(c.body, 10)
		}
		require.ErrorContains(t, err, says)
	}
}

// request sends a body to a handler.
func request(handler http.Handler, contentType string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func snap(body []byte) []byte { return snappy.Encode(nil, body) }

func TestWrite1(t *testing.T) {
	s := &sink{}
	meter := collect.NewMeter()
	handler := (&Receiver{Registry: shop(t), Sink: s, Meter: meter}).WriteHandler()
	answer := request(handler, type1, snap(message(
		series1(label1("__name__", "shop_orders_total"), label1("country", "de"), label1("job", "j"), label1("instance", "i"), sampleField(3, at)),
	)), "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "0.1.0")
	require.Equal(t, http.StatusNoContent, answer.Code, answer.Body.String())
	require.Empty(t, answer.Header().Get("X-Prometheus-Remote-Write-Samples-Written"), "which says that 2.0 was understood")
	require.Len(t, s.stored, 1)
	require.Equal(t, collect.TypeCounter, s.stored[0].Type)
}

// TestPartialWrite holds that good samples are stored beside bad ones, and that the sender learns of both.
func TestPartialWrite(t *testing.T) {
	s := &sink{refuses: map[string]string{"shop_queue": "too_old"}}
	handler := (&Receiver{Registry: shop(t), Sink: s}).WriteHandler()
	answer := request(handler, type2, snap(message(
		symbols("", "__name__", "shop_orders_total", "shop_wait_seconds", "host_load1", "novacron_agent_info", "unheard_of", "shop_queue", "trace_id", "aws_x"),
		series2(packed(1, 1, 2), sampleField(1, at), sampleField(2, at+1), bytesField(4, message(packed(1, 8, 8), varintField(3, uint64(at))))),
		series2(packed(1, 1, 3), bytesField(3, nativeFields())),
		series2(packed(1, 1, 4), sampleField(1, at)),
		series2(packed(1, 1, 5), sampleField(1, at)),
		series2(packed(1, 1, 6), sampleField(1, at)),
		series2(packed(1, 1, 7), sampleField(1, at)),
		series2(packed(1, 1, 9), sampleField(1, at)),
		series2(packed(1, 1, 99), sampleField(1, at), sampleField(2, at)),
	)))
	require.Equal(t, http.StatusBadRequest, answer.Code)
	require.Equal(t, []string{"2", "1", "1"}, []string{
		answer.Header().Get("X-Prometheus-Remote-Write-Samples-Written"), answer.Header().Get("X-Prometheus-Remote-Write-Histograms-Written"),
		answer.Header().Get("X-Prometheus-Remote-Write-Exemplars-Written"),
	})
	text := answer.Body.String()
	for _, says := range []string{
		"7 of 10 metrics were refused", "refers to symbol 99 of 10", "metric host_load1: names that begin so are kept", "metric novacron_agent_info: names",
		"metric aws_x: names", "metric unheard_of is not in the registry; declare it with", "too_old: shop_queue is refused by the shard",
	} {
		require.Contains(t, text, says)
	}
	require.Len(t, s.stored, 3)
}

// TestWriteAgain holds what senders should try again, and what never.
func TestWriteAgain(t *testing.T) {
	body := snap(series1(label1("__name__", "shop_queue"), sampleField(1, at)))
	s := &sink{err: errSink}
	handler := (&Receiver{Registry: shop(t), Sink: s}).WriteHandler()
	answer := request(handler, type1, body)
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "5", answer.Header().Get("Retry-After"))
	require.Contains(t, answer.Body.String(), "the disk is on fire")

	s.err, s.refuses = nil, map[string]string{"shop_queue": "disk_full"}
	answer = request(handler, type1, body)
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "5", answer.Header().Get("Retry-After"))

	s.refuses = map[string]string{"shop_queue": "series_limit"}
	require.Equal(t, http.StatusBadRequest, request(handler, type1, body).Code)
	s.refuses = nil
	require.Equal(t, http.StatusNoContent, request(handler, type1, body).Code)
	require.Equal(t, http.StatusNoContent, request(handler, type1, snap(nil)).Code, "a request may say nothing")
}

// TestTooManyAtOnce holds that a request waits for its turn, but not for ever.
func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{entered: make(chan struct{}), release: make(chan struct{})}
		r := &Receiver{Registry: shop(t), Sink: s, Limits: Limits{InFlight: 1}}
		for _, c := range []struct {
			handler           http.Handler
			contentType, body string
			good              int
		}{
			{r.WriteHandler(), type1, string(snap(series1(label1("__name__", "shop_queue"), sampleField(1, at)))), http.StatusNoContent},
			{r.PushHandler(), "text/plain", "shop_queue 1\n", http.StatusOK},
		} {
			codes := make(chan int, 3)
			send := func() { codes <- request(c.handler, c.contentType, []byte(c.body)).Code }
			go send()
			<-s.entered
			began := time.Now()
			answer := request(c.handler, c.contentType, []byte(c.body))
			require.Equal(t, http.StatusServiceUnavailable, answer.Code)
			require.Equal(t, "5", answer.Header().Get("Retry-After"))
			require.Equal(t, patience, time.Since(began))
			go send()
			synctest.Wait()
			s.release <- struct{}{}
			<-s.entered
			s.release <- struct{}{}
			require.Equal(t, []int{c.good, c.good}, []int{<-codes, <-codes}, "the next one had its turn")
		}
	})
}

func TestWriteIsBounded(t *testing.T) {
	handler := (&Receiver{Registry: shop(t), Sink: &sink{}, Limits: Limits{MaxSamples: 5, MaxBytes: 1000}}).WriteHandler()
	for says, c := range map[string]struct {
		code int
		body []byte
	}{
		"100000 bytes unpacked, allowed are 1000": {http.StatusRequestEntityTooLarge, snap(make([]byte, 100_000))[:5]},
		"the body has more than 1000 bytes":       {http.StatusRequestEntityTooLarge, make([]byte, 2000)},
		"more than 5 samples":                     {http.StatusRequestEntityTooLarge, snap(series1(bytes.Repeat(sampleField(1, at), 6)))},
		"not packed with snappy":                  {http.StatusBadRequest, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		"prometheus.WriteRequest: ":               {http.StatusBadRequest, snap([]byte("garbage"))},
	} {
		answer := request(handler, type1, c.body)
		require.Equal(t, c.code, answer.Code, answer.Body.String())
		require.Contains(t, answer.Body.String(), says)
	}
}

func TestWriteNegotiates(t *testing.T) {
	handler := (&Receiver{Registry: shop(t), Sink: &sink{}}).WriteHandler()
	for _, c := range []struct {
		contentType, encoding string
		code                  int
	}{
		{type1, "snappy", http.StatusNoContent},
		{type1, "", http.StatusNoContent},
		{type1 + "; proto=prometheus.WriteRequest", "snappy", http.StatusNoContent},
		{type2, "snappy", http.StatusNoContent},
		{type1 + ";proto=io.prometheus.write.v3.Request", "snappy", http.StatusUnsupportedMediaType},
		{"application/json", "snappy", http.StatusUnsupportedMediaType},
		{"", "snappy", http.StatusUnsupportedMediaType},
		{type1, "gzip", http.StatusUnsupportedMediaType},
	} {
		answer := request(handler, c.contentType, snap(nil), "Content-Encoding", c.encoding)
		require.Equal(t, c.code, answer.Code, c)
	}
	r := httptest.NewRequest(http.MethodGet, "/api/v1/write", http.NoBody)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
}

// TestWriteIntoShard writes into a real shard: what comes late or twice is taken, what is too old is not.
func TestWriteIntoShard(t *testing.T) {
	now := start.Add(20 * time.Minute)
	store := memory(t, now)
	var described []collect.MetricDefinition
	receiver := &Receiver{Registry: shop(t), Sink: store, Limits: Limits{Undeclared: true}, Describe: func(def collect.MetricDefinition) { described = append(described, def) }}
	handler := receiver.WriteHandler()
	write := func(parts ...[]byte) *httptest.ResponseRecorder {
		return request(handler, type2, snap(append(symbols("", "__name__", "node_load1", "shop_wait_seconds", "Load."), message(parts...)...)))
	}
	load := func(v float64, t time.Time) []byte {
		return series2(packed(1, 1, 2), bytesField(5, message(varintField(1, 2), varintField(3, 4))), sampleField(v, t.UnixMilli()))
	}
	require.Equal(t, http.StatusNoContent, write(load(1, now), series2(packed(1, 1, 3), bytesField(3, nativeFields()))).Code)
	require.Equal(t, http.StatusNoContent, write(load(2, now.Add(-10*time.Minute))).Code, "out of order")
	require.Equal(t, http.StatusNoContent, write(load(3, now)).Code, "again: the last counts")
	require.Equal(t, http.StatusBadRequest, write(load(4, now.Add(24*time.Hour))).Code, "far ahead")
	require.Equal(t, []collect.MetricDefinition{{Name: "node_load1", Type: collect.TypeGauge, Help: "Load."}}, described[:1])

	for expr, want := range map[string]float64{
		"node_load1": 3, "node_load1 offset 10m": 2, "count_over_time(node_load1[1h])": 2,
		"histogram_count(shop_wait_seconds offset 20m)": 8,
	} {
		answer, err := store.Instant(t.Context(), expr, now)
		require.NoError(t, err)
		rows := answer.Rows()
		require.Len(t, rows, 1, expr)
		require.Equal(t, want, rows[0].Points[0].V, expr)
	}
}
