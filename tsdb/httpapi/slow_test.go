package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
)

// TestClientThatDoesNotRead holds that an endless answer to a client that takes none of it ends in time.
func TestClientThatDoesNotRead(t *testing.T) {
	api := fixture(t, func(o *Options) {
		o.Source = brokenSource{o.Source, 1 << 40, nil}
		o.Limits.Timeout = 200 * time.Millisecond
	})
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	var dialer net.Dialer
	c, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /api/v1/series?match[]=m HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-ended // the test has a time limit of its own
}

// discard is a client that is fast.
type discard struct{ http.ResponseWriter }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkMatrix sends 1,000 series of 240 values.
func BenchmarkMatrix(b *testing.B) {
	matrix := make(promql.Matrix, 1000)
	for i := range matrix {
		matrix[i].Metric = labels.FromStrings("__name__", "vm_cpu_seconds_total", "host", fmt.Sprint("h", i), "vm_name", "web-1")
		for step := range 240 {
			matrix[i].Floats = append(matrix[i].Floats, promql.FPoint{T: int64(step) * 15_000, F: float64(i*step) / 7})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		out := &answer{w: discard{httptest.NewRecorder()}}
		require.NoError(b, out.value(matrix))
		require.NoError(b, out.close())
	}
}
