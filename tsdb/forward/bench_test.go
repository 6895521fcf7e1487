package forward

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkStored queues a batch of a thousand series, as an agent does it before it answers; nobody takes it.
func BenchmarkStored(b *testing.B) {
	q := testQueue(b, b.TempDir(), 1<<40)
	defer q.close()
	batch := floats(1000, 0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := int64(0); b.Loop(); n++ {
		for i := range batch.Points {
			batch.Points[i].T, batch.Points[i].V = n*15000, float64(n*int64(i))/7
		}
		q.append(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/sample")
	b.ReportMetric(float64(q.state().bytes)/float64(b.N*1000), "B/sample")
}

// nobody takes all requests and looks at none.
type nobody struct{}

func (nobody) RoundTrip(request *http.Request) (*http.Response, error) { return accepted(), nil }

// BenchmarkSent reads a queue and makes its requests.
func BenchmarkSent(b *testing.B) {
	set, err := Open(Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler), Limits: Limits{Flush: time.Hour}})
	require.NoError(b, err)
	set.Configure([]Target{{Name: "t", ID: 1, URL: "http://remote.invalid", Transport: nobody{}, QueueBytes: 1 << 40}})
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		set.Stored(floats(1000, int64(n)))
	}
	require.NoError(b, set.Close(context.Background()))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/sample")
	require.Equal(b, int64(b.N*1000), set.Statuses()[0].Sent)
}
