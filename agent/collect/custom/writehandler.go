package custom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/snappy"

	"github.com/novacron/novacron/agent/collect"
)

// The messages of remote write, by their names in protobuf.
const (
	message1 = "prometheus.WriteRequest"
	message2 = "io.prometheus.write.v2.Request"
)

const (
	// retryAfter is what senders are asked to wait, in seconds.
	retryAfter = "5"
	// bodyTime bounds how long a request takes to come.
	bodyTime = 30 * time.Second
)

// WriteHandler serves remote write 1.0 and 2.0. Good samples are stored beside bad ones.
//
// It answers 204 where all is stored; 400 where some never can be, which no sender tries again; 413 and 415 where it
// cannot be read; 503 with Retry-After where it should be sent again: too much at once, or a shard that cannot store
// now. It never answers 429, at which Prometheus drops samples unless it is told not to.
func (r *Receiver) WriteHandler() http.Handler {
	queue := newSlots(r.Limits)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !queue.enter(request.Context()) {
			busy(w, tooBusy)
			return
		}
		defer queue.leave()
		r.write(w, request)
	})
}

// tooBusy is why a request is not taken.
const tooBusy = "as many requests as are taken at once are under way"

// slots bound how many requests are under way. A token is taken by each.
type slots chan struct{}

func newSlots(l Limits) slots { return make(slots, l.withDefaults().InFlight) }

// patience is how long a request waits for its turn, before anything of it is read.
const patience = 3 * time.Second

// enter tells whether it is the turn of a request; then leave ends it.
func (s slots) enter(ctx context.Context) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s slots) leave() { <-s }

func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, why+"; send it again", http.StatusServiceUnavailable)
}

// status is an error with the answer that it means.
type status struct {
	code int
	error
}

func (s status) Unwrap() error { return s.error }

func fail(code int, format string, args ...any) error {
	return status{code, fmt.Errorf(format, args...)}
}

// codeOf is the answer that an error means; 400 where none is said.
func codeOf(err error) int {
	if s, is := errors.AsType[status](err); is {
		return s.code
	}
	if errors.Is(err, errTooLarge) || errors.Is(err, errTooMany) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func (r *Receiver) write(w http.ResponseWriter, request *http.Request) {
	limits := r.Limits.withDefaults()
	version, err := negotiate(request)
	var body []byte
	if err == nil {
		body, err = unsnap(w, request, limits.MaxBytes)
	}
	var got written
	if err == nil && version == 2 {
		got, err = readWrite2(body, limits.MaxSamples)
	} else if err == nil {
		got, err = readWrite1(body, limits.MaxSamples)
	}
	if err != nil {
		if codeOf(err) == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		http.Error(w, err.Error(), codeOf(err))
		return
	}
	r.describe(got.families)
	out, err := r.Store(request.Context(), got.metrics)
	if version == 2 {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(out.Samples))
		w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(out.Histograms))
		w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", strconv.Itoa(out.Exemplars))
	}
	if got.brokenSamples > 0 {
		out.First = append(got.broken, out.First...)
		out.count(string(collect.ReasonBadLabel), got.brokenSamples)
		r.Meter.Refused(map[string]int{string(collect.ReasonBadLabel): got.brokenSamples})
	}
	switch {
	case err != nil:
		busy(w, err.Error())
	case out.Retry:
		busy(w, out.Error())
	case out.Refused > 0:
		http.Error(w, out.Error(), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// negotiate finds the version of a request.
func negotiate(request *http.Request) (version int, err error) {
	if request.Method != http.MethodPost {
		return 0, fail(http.StatusMethodNotAllowed, "remote write is sent by POST, not by %.20s", request.Method)
	}
	if packed := request.Header.Get("Content-Encoding"); packed != "" && packed != "snappy" {
		return 0, fail(http.StatusUnsupportedMediaType, "the encoding %.60q is not taken: send snappy", packed)
	}
	text := request.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(text)
	if err == nil && kind == "application/x-protobuf" {
		switch params["proto"] {
		case "", message1:
			return 1, nil
		case message2:
			return 2, nil
		}
	}
	return 0, fail(http.StatusUnsupportedMediaType, "the content type %.120q is not taken: send application/x-protobuf with proto=%s or proto=%s", text, message1, message2)
}

// readBody reads a body as it came.
func readBody(w http.ResponseWriter, request *http.Request, most int64) ([]byte, error) {
	// Where the connection cannot be bounded so, the server's own limits have to do.
	bounds := http.NewResponseController(w)
	_ = bounds.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = bounds.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, fail(http.StatusRequestEntityTooLarge, "the body has more than %d bytes: send fewer samples at once", most)
	}
	if err != nil {
		return nil, fmt.Errorf("the body did not come whole: %w", err)
	}
	return body, nil
}

// unsnap reads and unpacks a body. How large it is unpacked stands at its beginning: too much is never made room for.
func unsnap(w http.ResponseWriter, request *http.Request, most int64) ([]byte, error) {
	packed, err := readBody(w, request, most)
	if err != nil {
		return nil, err
	}
	size, err := snappy.DecodedLen(packed)
	if err != nil {
		return nil, fmt.Errorf("the body is not packed with snappy: %w", err)
	}
	if int64(size) > most {
		return nil, fail(http.StatusRequestEntityTooLarge, "the body has %d bytes unpacked, allowed are %d: send fewer samples at once", size, most)
	}
	body, err := snappy.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("the body is not packed with snappy: %w", err)
	}
	return body, nil
}

// describe tells what a sender says of metrics that nobody has declared.
func (r *Receiver) describe(families []family) {
	if r.Describe == nil || !r.Limits.Undeclared {
		return
	}
	for _, f := range families {
		if _, declared := r.Registry.Lookup(f.name); !declared && f.name != "" && !collect.OfEntity(f.name) {
			r.Describe(collect.MetricDefinition{Name: f.name, Type: f.kind, Unit: f.unit, Help: f.help})
		}
	}
}
