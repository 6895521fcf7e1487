package custom

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

func TestDecodeJSON(t *testing.T) {
	one := `{"name":"shop_orders_total","labels":{"country":"de"},"value":3,"time":"2026-01-02T03:00:05.25Z","type":"counter"}`
	two := `{"name":"shop_queue","value":"+Inf"} {"name":"shop_queue","value":"NaN","unit":"people"}`
	for _, body := range []string{one + "\n" + two, " [" + strings.Join([]string{one, strings.Replace(two, "} {", "},{", 1)}, ",") + "]\n"} {
		got, err := Decode([]byte(body), "application/json; charset=utf-8", start, 3)
		require.NoError(t, err)
		require.Len(t, got, 3)
		require.Equal(t, collect.Metric{
			Name: "shop_orders_total", Type: collect.TypeCounter, Labels: map[string]string{"country": "de"}, Value: 3, Timestamp: start.Add(5250 * time.Millisecond),
		}, got[0])
		require.Equal(t, start, got[1].Timestamp)
		require.Equal(t, math.Inf(1), got[1].Value)
		require.True(t, math.IsNaN(got[2].Value))
		require.False(t, collect.IsStale(got[2].Value))
		require.Equal(t, "people", got[2].Unit)
	}
	got, err := Decode([]byte(" \n"), "application/x-ndjson", start, 3)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestDecodeRefuses(t *testing.T) {
	const sample = `{"name":"a","value":1}`
	for says, c := range map[string]struct{ contentType, body string }{
		"sample 1, at byte":                    {"application/json", sample + `{"name":`},
		`unknown field "valeu"`:                {"application/json", `{"name":"a","valeu":1}`},
		`metric "a": it has no value`:          {"application/json", `{"name":"a"}`},
		`value "one": write a number`:          {"application/json", `{"name":"a","value":"one"}`},
		"there are more than 2":                {"application/json", strings.Repeat(sample, 3)},
		"behind sample 1":                      {"application/json", "[" + sample},
		"more behind the list of 1 samples":    {"application/json", "[" + sample + "]1"},
		"cannot unmarshal":                     {"application/json", `{"name":3,"value":1}`},
		"parsing time":                         {"application/json", `{"name":"a","value":1,"time":"noon"}`},
		"is not taken: send text/plain":        {"application/x-www-form-urlencoded", "a 1"},
		`the content type "" is not taken`:     {"", "a 1"},
		"does not end with # EOF":              {"application/openmetrics-text", "a 1\n"},
		"there are more than 2; select fewer ": {"text/plain", "a 1\nb 1\nc 1\n"},
	} {
		_, err := Decode([]byte(c.body), c.contentType, start, 2)
		require.ErrorContains(t, err, says)
	}
}

func push(t *testing.T, r *Receiver, contentType, body string, headers ...string) (int, pushed, *httptest.ResponseRecorder) {
	answer := request(r.PushHandler(), contentType, []byte(body), headers...)
	var out pushed
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &out), answer.Body.String())
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	return answer.Code, out, answer
}

func TestPush(t *testing.T) {
	s := &sink{}
	r := &Receiver{Registry: shop(t), Sink: s}
	code, out, _ := push(t, r, "application/json", `{"name":"shop_queue","labels":{"till":"1"},"value":3}`)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, pushed{Stored: 1}, out)
	code, out, _ = push(t, r, "text/plain", "shop_orders_total{country=\"de\"} 3\nshop_wait_seconds_bucket{till=\"1\",le=\"+Inf\"} 3\n")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, pushed{Stored: 2}, out)
	code, out, _ = push(t, r, "text/plain", string(zipped(t, []byte("shop_queue 3\n"))), "Content-Encoding", "gzip")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, pushed{Stored: 1}, out)
	require.Len(t, s.stored, 4)
	require.Equal(t, collect.TypeGauge, s.stored[0].Type)
	require.WithinDuration(t, time.Now(), s.stored[0].Timestamp, time.Minute)
}

// TestPushIsAllOrNothing holds that one bad sample keeps all others out, and that all bad ones are told.
func TestPushIsAllOrNothing(t *testing.T) {
	s := &sink{}
	r := &Receiver{Registry: shop(t), Sink: s}
	code, out, _ := push(t, r, "application/json", `[
		{"name":"shop_queue","value":1},
		{"name":"shop_queue","labels":{"town":"x"},"value":1},
		{"name":"shop_orders_total","value":-1},
		{"name":"vm_load1","labels":{"vm_id":"forged"},"value":1},
		{"name":"unheard_of","value":1},
		{"name":"shop_queue","value":1,"type":"counter"},
		{"name":"shop_wait_seconds","value":1,"unit":"minutes"}
	]`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Empty(t, s.stored)
	require.Equal(t, 0, out.Stored)
	require.Equal(t, 6, out.Refused)
	indices, reasons := []int{}, map[int]string{}
	for _, one := range out.First {
		indices = append(indices, one.Index)
		reasons[one.Index] = one.Name + " " + one.Reason
	}
	require.ElementsMatch(t, []int{1, 2, 3, 4, 5, 6}, indices)
	require.Equal(t, map[int]string{
		1: "shop_queue bad_label", 2: "shop_orders_total bad_value", 3: "vm_load1 unknown_metric", 4: "unheard_of unknown_metric",
		5: "shop_queue wrong_type", 6: "shop_wait_seconds wrong_unit",
	}, reasons)
	details := ""
	for _, one := range out.First {
		details += one.Detail + "\n"
	}
	require.Contains(t, details, "does not have the label town; allowed are host, instance, job, source, till")
	require.Contains(t, details, "declare it with «novacron metric define»")
}

// TestPushToldByTheShard holds what happens when only the shard can refuse.
func TestPushToldByTheShard(t *testing.T) {
	s := &sink{refuses: map[string]string{"shop_queue": "series_limit"}}
	r := &Receiver{Registry: shop(t), Sink: s}
	code, out, _ := push(t, r, "application/json", `{"name":"shop_orders_total","value":1}{"name":"shop_queue","value":1}`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, 1, out.Stored)
	require.Equal(t, []refusalOut{{1, "shop_queue", "series_limit", "shop_queue is refused by the shard"}}, out.First)

	s.refuses = map[string]string{"shop_queue": "disk_full"}
	code, _, answer := push(t, r, "application/json", `{"name":"shop_queue","value":1}`)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "5", answer.Header().Get("Retry-After"))
	s.err = errSink
	code, out, answer = push(t, r, "application/json", `{"name":"shop_queue","value":1}`)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "5", answer.Header().Get("Retry-After"))
	require.Contains(t, out.Error, "the disk is on fire")
}

func TestPushIsBounded(t *testing.T) {
	r := &Receiver{Registry: shop(t), Sink: &sink{}, Limits: Limits{MaxBytes: 1000, MaxSamples: 3}}
	big := strings.Repeat("# comment\n", 200)
	for _, c := range []struct {
		code                    int
		contentType, body, says string
		headers                 []string
	}{
		{http.StatusRequestEntityTooLarge, "text/plain", big, "the body has more than 1000 bytes", nil},
		{http.StatusRequestEntityTooLarge, "text/plain", string(zipped(t, []byte(big))), "more than 1000 bytes unpacked", []string{"Content-Encoding", "gzip"}},
		{http.StatusBadRequest, "text/plain", "a 1\n", "not packed with gzip", []string{"Content-Encoding", "gzip"}},
		{http.StatusUnsupportedMediaType, "text/plain", "a 1\n", `encoding "br" is not taken`, []string{"Content-Encoding", "br"}},
		{http.StatusUnsupportedMediaType, "image/png", "a 1\n", "is not taken", nil},
		{http.StatusRequestEntityTooLarge, "text/plain", "a 1\na 2\na 3\na 4\n", "more than 3", nil},
	} {
		code, out, _ := push(t, r, c.contentType, c.body, c.headers...)
		require.Equal(t, c.code, code, out.Error)
		require.Contains(t, out.Error, c.says)
	}
	w := httptest.NewRecorder()
	r.PushHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
}

func TestCheckAndList(t *testing.T) {
	r := &Receiver{Registry: shop(t), Sink: &sink{}}
	refused := r.Check([]collect.Metric{{Name: "shop_queue", Timestamp: start}, {Name: "x", Timestamp: start}})
	require.Len(t, refused, 1)
	require.Equal(t, 1, refused[0].Index)
	listed, err := r.ListAvailableMetrics(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"shop_orders_total", "shop_queue", "shop_wait_seconds"}, names(listed))
	r.Limits.Undeclared = true
	require.Empty(t, r.Check([]collect.Metric{{Name: "x", Timestamp: start}, {Name: "aws_x", Timestamp: start}}))
	require.Len(t, r.Check([]collect.Metric{{Name: "vm_load1", Timestamp: start}, {Name: "collector_up", Timestamp: start}, {Name: "novacron_x", Timestamp: start}}), 3)
}
