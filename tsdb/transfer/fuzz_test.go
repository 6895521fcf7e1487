package transfer_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/merge"
	"github.com/novacron/novacron/tsdb/transfer"
)

// sink takes what is imported and counts it.
type sink struct{ samples int64 }

func (s *sink) ImportRange(t int64) merge.Interval {
	return merge.Interval{Min: t - t%86_400_000, Max: t - t%86_400_000 + 86_399_999}
}

func (s *sink) ImportBlock(_ context.Context, fill func(func(labels.Labels, []merge.Chunk) error) error) (block.Meta, error) {
	var meta block.Meta
	var last labels.Labels
	err := fill(func(lset labels.Labels, made []merge.Chunk) error {
		if meta.Series > 0 && labels.Compare(last, lset) >= 0 {
			panic("series out of order: " + lset.String())
		}
		last = lset
		meta.Series++
		for _, c := range made {
			meta.Samples += uint64(c.Count)
		}
		return nil
	})
	if err == nil && meta.Series == 0 {
		err = block.ErrEmpty
	}
	s.samples += int64(meta.Samples)
	return meta, err
}

// FuzzText imports texts of any bytes in both formats: no panic, no memory that the text does not explain, and the
// report counts what was stored.
func FuzzText(f *testing.F) {
	f.Add([]byte("# TYPE a counter\n# HELP a b\na_total{x=\"y\"} 1 2.5 # {t=\"1\"} 3 4\n# EOF\n"), true)
	f.Add([]byte("a{b=\"c\"} 1 1700000000000\na{b=\"c\"} 2 1700000000001\nb NaN 1\n"), false)
	f.Add([]byte("{\"a.b\",\"c d\"=\"\\n\"} +Inf 1.234\n# EOF"), true)
	f.Fuzz(func(t *testing.T, text []byte, om bool) {
		if len(text) > 1<<14 {
			return
		}
		format := transfer.Prometheus
		if om {
			format = transfer.OpenMetrics
		}
		into := &sink{}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		report, err := transfer.Text(t.Context(), bytes.NewReader(text), format, into, transfer.Options{Scratch: t.TempDir(), Now: now, Time: now, Buffer: 100})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Fatalf("%d bytes of memory for a text of %d", took, len(text))
		}
		if err == nil && report.Samples != into.samples {
			t.Fatalf("%d samples are reported, %d were stored", report.Samples, into.samples)
		}
	})
}
