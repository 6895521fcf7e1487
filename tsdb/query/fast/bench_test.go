package fast_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/query"
)

// hour is a store with an hour of counters, at 15 s.
func hour(b *testing.B, series int) query.Queryable {
	store, err := durable.Open(b.TempDir(), durable.Options{AnyAge: true, Ahead: -1, Sync: time.Hour, Maintain: -1, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	rng := rand.New(rand.NewPCG(1, 2))
	refs, values := make([]engine.Ref, series), make([]float64, series)
	for i := range refs {
		refs[i], err = store.Ref(labels.FromStrings("__name__", "novacron_vm_events_total", "host", fmt.Sprintf("host-%03d", i/100), "vm", fmt.Sprintf("vm-%05d", i), "zone", fmt.Sprint("z", i%3)))
		require.NoError(b, err)
	}
	for k := range int64(240) {
		var batch engine.Batch
		for i, ref := range refs {
			values[i] += float64(rng.IntN(20))
			batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: k*15_000 + int64(i%100), V: values[i]})
		}
		_, err := store.Append(b.Context(), batch)
		require.NoError(b, err)
	}
	return query.NewQueryable(store)
}

// BenchmarkShapes evaluates the usual shapes over 5,000 series and 60 steps, by package fast and by upstream.
func BenchmarkShapes(b *testing.B) {
	store := hour(b, 5000)
	for _, expr := range []string{
		`sum by (zone) (rate(novacron_vm_events_total[5m]))`,
		`topk(5, rate(novacron_vm_events_total[5m]))`,
		`quantile by (host) (0.9, increase(novacron_vm_events_total[5m]))`,
		`max by (zone) (avg_over_time(novacron_vm_events_total[5m]))`,
		`sum(novacron_vm_events_total) * 2`,
		`novacron_vm_events_total`,
		`rate(novacron_vm_events_total[5m])`,
	} {
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/%s", expr, map[bool]string{false: "fast", true: "upstream"}[plain]), func(b *testing.B) {
				e, err := query.New(query.Options{NoFast: plain})
				require.NoError(b, err)
				defer e.Close()
				times := query.Range{Start: time.UnixMilli(300_000), End: time.UnixMilli(3600_000), Step: time.Minute}
				b.ReportAllocs()
				for b.Loop() {
					q, err := e.NewRangeQuery(b.Context(), store, nil, expr, times.Start, times.End, times.Step)
					require.NoError(b, err)
					require.NoError(b, q.Exec(b.Context()).Err)
					q.Close()
				}
			})
		}
	}
}
