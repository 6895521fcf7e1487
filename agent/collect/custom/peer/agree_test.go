package peer

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
)

// sample is a value of a request, of no matter which series.
type sample struct {
	at   int64
	bits uint64
}

// ours is our side.
type ours struct {
	sink
	handler http.Handler
}

func newOurs() *ours {
	o := &ours{}
	o.handler = (&custom.Receiver{Registry: collect.NewRegistry(), Sink: &o.sink, Limits: custom.Limits{Undeclared: true}}).WriteHandler()
	return o
}

// agree holds that our reader and Prometheus's see the same samples in the same bytes. Ours may refuse what theirs reads:
// theirs takes broken lists and groups.
func (o *ours) agree(t *testing.T, contentType string, body []byte, samples map[sample]int, total int, theirs error) {
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(snappy.Encode(nil, body)))
	request.Header.Set("Content-Type", contentType)
	answer := httptest.NewRecorder()
	o.handler.ServeHTTP(answer, request)
	stored := o.take()
	text := answer.Body.String()
	broken := strings.HasPrefix(text, "prometheus.WriteRequest: ") || strings.HasPrefix(text, "io.prometheus.write.v2.Request: ")
	if broken {
		return
	}
	if theirs != nil {
		t.Fatalf("Prometheus says %v, we say %d %s", theirs, answer.Code, text)
	}
	told := len(stored)
	if refused := 0; answer.Code == http.StatusBadRequest {
		if _, err := fmt.Sscanf(text, "%d of %d metrics were refused", &refused, &told); err != nil {
			t.Fatalf("answer %q: %v", text, err)
		}
	}
	if told < total {
		t.Fatalf("%d samples, %d are told of: %s", total, told, text)
	}
	for _, m := range stored {
		key := sample{m.Timestamp.UnixMilli(), math.Float64bits(m.Value)}
		if m.Histogram != nil {
			key.bits = math.Float64bits(m.Histogram.Sum)
		}
		if samples[key]--; samples[key] < 0 {
			t.Fatalf("stored what is not there: %+v", m)
		}
	}
}

// spoiled is a body with some of its bytes changed, cut out or put in twice.
func spoiled(r *rand.Rand, body []byte) []byte {
	body = bytes.Clone(body)
	for range r.IntN(4) {
		at, n := r.IntN(len(body)), 1+r.IntN(8)
		end := min(at+n, len(body))
		switch r.IntN(5) {
		case 0:
			body[at] = byte(r.IntN(256))
		case 1:
			body[at] ^= 1 << r.IntN(8)
		case 2:
			body = append(body[:at], body[end:]...)
		case 3:
			body = append(body[:end], bytes.Clone(body[at:])...)
		case 4:
			body = body[:max(1, at)]
		}
		if len(body) == 0 {
			return []byte{0}
		}
	}
	return body
}

// bodies are requests of some series, most of them spoiled.
func bodies(t *testing.T, request func(require.TestingT, []truth) []byte, check func(body []byte)) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		whole, err := snappy.Decode(nil, request(t, series(r, 3)))
		require.NoError(t, err)
		for range 100 {
			check(spoiled(r, whole))
		}
	}
}

func TestReadersAgreeOn1(t *testing.T) {
	o := newOurs()
	bodies(t, request1, func(body []byte) {
		var request prompb.WriteRequest
		err := request.Unmarshal(body)
		samples, total := map[sample]int{}, 0
		for _, s := range request.Timeseries {
			for _, one := range s.Samples {
				samples[sample{one.Timestamp, math.Float64bits(one.Value)}]++
			}
			for _, one := range s.Histograms {
				samples[sample{one.Timestamp, math.Float64bits(one.Sum)}]++
			}
			total += len(s.Samples) + len(s.Histograms)
		}
		o.agree(t, "application/x-protobuf", body, samples, total, err)
	})
}

func TestReadersAgreeOn2(t *testing.T) {
	o := newOurs()
	bodies(t, request2, func(body []byte) {
		var request writev2.Request
		err := request.Unmarshal(body)
		samples, total := map[sample]int{}, 0
		for _, s := range request.Timeseries {
			for _, one := range s.Samples {
				samples[sample{one.Timestamp, math.Float64bits(one.Value)}]++
			}
			for _, one := range s.Histograms {
				samples[sample{one.Timestamp, math.Float64bits(one.Sum)}]++
			}
			total += len(s.Samples) + len(s.Histograms)
		}
		o.agree(t, "application/x-protobuf;proto=io.prometheus.write.v2.Request", body, samples, total, err)
	})
}
