package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Calls measures the calls of an HTTP server by procedure: how long each took until its answer was whole, and with which
// status it ended. Streams last as long as they are open. name gives the procedure of a path, from a bounded set.
func (r *Registry) Calls(next http.Handler, name func(path string) string) http.Handler {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "novacron_rpc_duration_seconds", Help: "How long calls took, by procedure.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	}, []string{"procedure"})
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "novacron_rpc_calls_total", Help: "Calls that ended, by procedure and status of HTTP.",
	}, []string{"procedure", "code"})
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "novacron_rpc_open_calls", Help: "Calls under way, by procedure."}, []string{"procedure"})
	r.metrics.MustRegister(took, ended, open)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		procedure, started := name(request.URL.Path), time.Now()
		answer := &watched{ResponseWriter: w, code: http.StatusOK}
		under := open.WithLabelValues(procedure)
		under.Inc()
		defer func() { // also where a handler gives up by a panic
			under.Dec()
			took.WithLabelValues(procedure).Observe(time.Since(started).Seconds())
			ended.WithLabelValues(procedure, strconv.Itoa(answer.code)).Inc()
		}()
		next.ServeHTTP(answer, request)
	})
}

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	code int
}

func (w *watched) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets an http.ResponseController reach what is beneath.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for those who ask for an http.Flusher.
func (w *watched) Flush() {
	if f, can := w.ResponseWriter.(http.Flusher); can {
		f.Flush()
	}
}
