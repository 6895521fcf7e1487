package custom

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

func read(contentType, body string) (exposition, error) {
	return reading{contentType: contentType, at: start, native: true, maxSamples: 1000, series: plainSeries}.read([]byte(body))
}

func TestReadText(t *testing.T) {
	got, err := read("text/plain; version=0.0.4; charset=utf-8", `# HELP shop_orders_total Orders.
# TYPE shop_orders_total counter
shop_orders_total{country="de",note="a \"b\" \\ \n"} 1027 1767322800123
# TYPE shop_queue gauge
shop_queue -3.5e2
# TYPE shop_wait_seconds histogram
shop_wait_seconds_bucket{le="0.5"} 24
shop_wait_seconds_bucket{le="+Inf"} 30
shop_wait_seconds_sum 12.5
shop_wait_seconds_count 30
# TYPE rpc summary
rpc{quantile="0.5"} NaN
rpc_sum 3
no_type 7
`)
	require.NoError(t, err)
	require.Len(t, got.metrics, 9)
	require.Equal(t, collect.Metric{
		Name: "shop_orders_total", Type: collect.TypeCounter, Labels: map[string]string{"country": "de", "note": "a \"b\" \\ \n"},
		Value: 1027, Timestamp: time.UnixMilli(1767322800123),
	}, got.metrics[0])
	require.Len(t, got.untimed, 8)
	require.Equal(t, collect.Metric{Name: "shop_queue", Type: collect.TypeGauge, Labels: map[string]string{}, Value: -350, Timestamp: start}, got.metrics[1])
	for _, part := range got.metrics[2:6] {
		require.Empty(t, part.Type, part.Name)
	}
	require.Equal(t, "0.5", got.metrics[2].Labels["le"])
	require.Empty(t, got.metrics[6].Type, "a quantile is none of the types that can be declared")
	require.Empty(t, got.metrics[8].Type)
	require.Equal(t, collect.MetricDefinition{Name: "shop_orders_total", Type: collect.TypeCounter, Help: "Orders."}, got.families[0])
	require.Equal(t, []string{"shop_orders_total", "shop_queue", "shop_wait_seconds", "rpc"}, names(got.families))
}

func names(all []collect.MetricDefinition) (found []string) {
	for _, def := range all {
		found = append(found, def.Name)
	}
	return found
}

func TestReadOpenMetrics(t *testing.T) {
	got, err := read("application/openmetrics-text; version=1.0.0; charset=utf-8", `# TYPE shop_orders counter
# UNIT shop_orders orders
# HELP shop_orders Orders.
shop_orders_total{country="de"} 17 1767322805.5 # {trace_id="abc"} 3 1767322804.0
shop_orders_created{country="de"} 1767322700.0
# TYPE build info
build_info{version="1"} 1
# TYPE door stateset
door{door="open"} 1
# EOF
`)
	require.NoError(t, err)
	require.Len(t, got.metrics, 3, "when a counter was made is no series")
	orders := got.metrics[0]
	require.Equal(t, "shop_orders_total", orders.Name)
	require.Equal(t, collect.TypeCounter, orders.Type)
	require.Equal(t, "orders", orders.Unit)
	require.Equal(t, time.UnixMilli(1767322805500), orders.Timestamp)
	require.Equal(t, time.UnixMilli(1767322700000), orders.Start)
	require.Len(t, orders.Exemplars, 1)
	require.Equal(t, `{trace_id="abc"}`, orders.Exemplars[0].Labels.String())
	require.Equal(t, 3.0, orders.Exemplars[0].Value)
	require.Equal(t, int64(1767322804000), orders.Exemplars[0].Ts)
	require.Equal(t, tsdb.TypeInfo, got.metrics[1].Type)
	require.Equal(t, tsdb.TypeStateSet, got.metrics[2].Type)
	require.Equal(t, collect.MetricDefinition{Name: "shop_orders_total", Type: collect.TypeCounter, Unit: "orders", Help: "Orders."}, got.families[0])
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body, says string }{
		"no content type":   {"", "a 1\n", "content type \"\" is none of"},
		"a web page":        {"text/html", "<html>", "is this the address of metrics?"},
		"garbage":           {"text/plain", "a 1\n\xff{{{", "after 1 samples"},
		"a byte 0":          {"text/plain", "a 1\n\x00b 2\n", "has a byte 0 at 4"},
		"no value":          {"text/plain", "a\n", "after 0 samples"},
		"cut short":         {"application/openmetrics-text; version=1.0.0", "a 1\n", "does not end with # EOF"},
		"more behind":       {"application/openmetrics-text; version=1.0.0", "# EOF\na 1\n", "unexpected data after # EOF"},
		"no protobuf":       {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "\x05abc", "after 0 samples"},
		"too many":          {"text/plain", strings.Repeat("a 1\n", 1001), "there are more than 1000"},
		"an empty name":     {"text/plain", `{a="b"} 1` + "\n", "after 0 samples"},
		"a value of a word": {"text/plain", "a one\n", "after 0 samples"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.contentType, c.body)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, got.metrics, "nothing of it counts")
		})
	}
}

// delimited frames messages of protobuf as an exposition does.
func delimited(messages ...[]byte) string {
	var all []byte
	for _, m := range messages {
		all = append(appendVarint(all, uint64(len(m))), m...)
	}
	return string(all)
}

const protobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

func TestReadProtobuf(t *testing.T) {
	gauge := message(
		bytesField(1, []byte("shop_queue")), bytesField(2, []byte("Waiting.")), varintField(3, 1),
		bytesField(4, message(
			bytesField(1, message(bytesField(1, []byte("till")), bytesField(2, []byte("7")))),
			bytesField(2, message(doubleField(1, 4.5))),
		)),
	)
	native := message(
		bytesField(1, []byte("shop_wait_seconds")), varintField(3, 4), bytesField(5, []byte("seconds")),
		bytesField(4, message(bytesField(7, message(
			varintField(1, 3), doubleField(2, 12), zigzagField(5, 1), doubleField(6, 0.001), varintField(7, 0),
			bytesField(12, message(zigzagField(1, 0), varintField(2, 2))), zigzagField(13, 1), zigzagField(13, 1),
		)))),
	)
	got, err := read(protobufType, delimited(gauge, native))
	require.NoError(t, err)
	require.Len(t, got.metrics, 2)
	require.Equal(t, collect.Metric{Name: "shop_queue", Type: collect.TypeGauge, Labels: map[string]string{"till": "7"}, Value: 4.5, Timestamp: start}, got.metrics[0])
	h := got.metrics[1]
	require.Equal(t, collect.TypeHistogram, h.Type)
	require.Equal(t, "seconds", h.Unit)
	require.NotNil(t, h.Histogram)
	require.Equal(t, 3.0, h.Histogram.Count)
	require.Equal(t, []float64{1, 2}, h.Histogram.PositiveBuckets)
}

func TestJoin(t *testing.T) {
	target := map[string]string{"job": "shop", "instance": "i1", "empty": ""}
	own := map[string]string{"job": "mine", "exported_job": "older", "a": "b", "none": "", "instance": ""}
	require.Equal(t, map[string]string{"job": "shop", "instance": "i1", "exported_exported_job": "mine", "exported_job": "older", "a": "b"}, join(own, target, false))
	require.Equal(t, map[string]string{"job": "mine", "exported_job": "older", "a": "b"}, join(own, target, true), "an empty label of its own says: without")
	require.Equal(t, map[string]string{"job": "shop", "instance": "i1"}, join(nil, target, true))
}
