package forward

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/novacron/novacron/tsdb/engine"
)

// got is a value that a remote was sent.
type got struct {
	series string
	t, st  int64
	bits   uint64
	// histogram is the message of one, without the start.
	histogram, exemplar string
}

// remote is a receiver in memory that says what it is told to.
type remote struct {
	mu       sync.Mutex
	received []got
	about    map[string]string // the metadata by metric
	requests int
	versions []int
	headers  http.Header
	largest  int
	// answer decides on a request, by its number from 1 on and its version; what it accepts is received. Nil accepts all.
	answer       func(n, version int, ctx context.Context) *http.Response
	flying, most int
}

func respond(code int, text string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Header: h, Body: io.NopCloser(strings.NewReader(text))}
}

// accepted is what a receiver of 2.0 answers.
func accepted() *http.Response {
	return respond(http.StatusNoContent, "", "X-Prometheus-Remote-Write-Samples-Written", "1")
}

func (r *remote) RoundTrip(request *http.Request) (*http.Response, error) {
	packed, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	version := 1
	if strings.Contains(request.Header.Get("Content-Type"), "v2.Request") {
		version = 2
	}
	r.mu.Lock()
	r.requests++
	n, answer := r.requests, r.answer
	r.versions, r.headers = append(r.versions, version), request.Header.Clone()
	r.flying++
	r.most = max(r.most, r.flying)
	r.mu.Unlock()
	response := accepted()
	if answer != nil {
		response = answer(n, version, request.Context())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying--
	if request.Context().Err() != nil {
		return nil, request.Context().Err()
	}
	if response.StatusCode/100 == 2 && (version == 1 || response.Header.Get("X-Prometheus-Remote-Write-Samples-Written") != "") {
		body, err := s2.Decode(nil, packed)
		if err != nil {
			return nil, err
		}
		r.largest = max(r.largest, len(body))
		r.decode(body, version)
	}
	return response, nil
}

// all is what was received so far.
func (r *remote) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]got(nil), r.received...)
}

// fields calls visit for each field of a message; the value is that of numbers.
func fields(message []byte, visit func(n protowire.Number, body []byte, value uint64)) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			panic(protowire.ParseError(size))
		}
		message = message[size:]
		var body []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			body, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			value, size = protowire.ConsumeVarint(message)
		default:
			value, size = protowire.ConsumeFixed64(message)
		}
		if size < 0 {
			panic(protowire.ParseError(size))
		}
		visit(n, body, value)
		message = message[size:]
	}
}

func (r *remote) decode(body []byte, version int) {
	var texts []string
	fields(body, func(n protowire.Number, part []byte, _ uint64) {
		if version == 2 && n == 4 {
			texts = append(texts, string(part))
		}
	})
	fields(body, func(n protowire.Number, part []byte, _ uint64) {
		if version == 1 && n == 1 || version == 2 && n == 5 {
			r.decodeSeries(part, version, texts)
		}
	})
}

// pairsOf reads labels: messages in 1.0, numbers of texts in 2.0.
func pairsOf(message []byte, version int, texts []string) string {
	var all []string
	fields(message, func(n protowire.Number, part []byte, _ uint64) {
		if n != 1 {
			return
		}
		if version == 1 {
			fields(part, func(_ protowire.Number, text []byte, _ uint64) { all = append(all, string(text)) })
			return
		}
		for len(part) > 0 {
			v, size := protowire.ConsumeVarint(part)
			all, part = append(all, texts[v]), part[size:]
		}
	})
	return labels.FromStrings(all...).String()
}

func (r *remote) decodeSeries(message []byte, version int, texts []string) {
	name := pairsOf(message, version, texts)
	fields(message, func(n protowire.Number, part []byte, _ uint64) {
		one := got{series: name}
		if version == 2 { // in the order of 1.0
			n = []protowire.Number{0, 1, 2, 4, 3, 5}[n]
		}
		switch n {
		case 2:
			fields(part, func(n protowire.Number, _ []byte, v uint64) {
				switch n {
				case 1:
					one.bits = v
				case 2:
					one.t = int64(v)
				case 3:
					one.st = int64(v)
				}
			})
		case 3:
			one.exemplar = pairsOf(part, version, texts)
			fields(part, func(n protowire.Number, _ []byte, v uint64) {
				switch n {
				case 2:
					one.bits = v
				case 3:
					one.t = int64(v)
				}
			})
		case 4:
			fields(part, func(n protowire.Number, _ []byte, v uint64) {
				switch n {
				case 15:
					one.t = int64(v)
				case 17:
					one.st = int64(v)
					part = part[:len(part)-protowire.SizeTag(17)-protowire.SizeVarint(v)]
				}
			})
			one.histogram = string(part)
		case 5:
			fields(part, func(n protowire.Number, _ []byte, v uint64) {
				if n > 1 {
					r.about[name] += " " + texts[v]
				} else {
					r.about[name] += fmt.Sprint(v)
				}
			})
			return
		default:
			return
		}
		r.received = append(r.received, one)
	})
}

// world is a set of one target in a bubble.
type world struct {
	t      *testing.T
	set    *Set
	remote *remote
	dir    string
	target Target
	limits Limits
}

func newWorld(t *testing.T, change ...func(*world)) *world {
	w := &world{t: t, remote: &remote{about: map[string]string{}}, dir: t.TempDir()}
	w.target = Target{Name: "mimir", ID: 7, URL: "http://remote.invalid/push", Generation: 1, Transport: w.remote}
	for _, f := range change {
		f(w)
	}
	w.open()
	return w
}

func (w *world) open() {
	set, err := Open(Options{
		Dir: w.dir, Limits: w.limits, Logger: slog.New(slog.DiscardHandler),
		Describe: func(name string) Description {
			if name == "wait_seconds" {
				return Description{Type: "histogram", Unit: "seconds", Help: "How long."}
			}
			return Description{}
		},
	})
	require.NoError(w.t, err)
	w.set = set
	set.Configure([]Target{w.target})
}

func (w *world) close() { require.NoError(w.t, w.set.Close(context.Background())) }

// status is that of the one target.
func (w *world) status() Status {
	all := w.set.Statuses()
	require.Len(w.t, all, 1)
	return all[0]
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// named is the series of a number.
func named(i int) labels.Labels {
	return labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
}

// floats are one value of each of some series, at a time in milliseconds.
func floats(series int, t int64) Stored {
	var s Stored
	for i := range series {
		s.Points = append(s.Points, Point{Ref: engine.Ref(i + 1), Labels: named(i), T: t, V: float64(t) + float64(i)/1000})
	}
	return s
}

// sent is what a remote has to be sent of points, with the message of histograms.
func sent(points []Point) (all []got) {
	for _, p := range points {
		one := got{series: p.Labels.String(), t: p.T, st: p.ST, bits: math.Float64bits(p.V)}
		if p.Histogram != nil {
			one.bits, one.histogram = 0, string(appendHistogram(nil, p.Histogram, p.T))
		}
		all = append(all, one)
	}
	return all
}

func someHistogram(n float64) *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		Schema: 1, Count: 3 + n, Sum: 4, ZeroThreshold: 0.001, ZeroCount: n, CounterResetHint: histogram.GaugeType,
		PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}}, PositiveBuckets: []float64{1, 2},
		NegativeSpans: []histogram.Span{{Offset: 3, Length: 1}}, NegativeBuckets: []float64{0},
	}
}
