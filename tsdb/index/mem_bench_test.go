package index

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// fleetSeries makes the labels of series i of a fleet: ten labels, a hundred metrics per machine, and one label whose
// value no other series has.
func fleetSeries(b *labels.ScratchBuilder, i int) labels.Labels {
	host := i / 100
	b.Reset()
	b.Add("__name__", fmt.Sprintf("node_metric_%d_total", i%100))
	b.Add("a", [...]string{"v", "w", "x", "y", "z"}[i%5])
	b.Add("b", fmt.Sprintf("foo%d", i%50))
	b.Add("cluster", fmt.Sprintf("cluster-%d", host/1000))
	b.Add("device", fmt.Sprintf("vd%c", 'a'+rune(i%8)))
	b.Add("env", "production")
	b.Add("instance", "host-"+strconv.Itoa(i)+".example:9100")
	b.Add("job", "node")
	b.Add("machine", "host-"+strconv.Itoa(host))
	b.Add("rack", fmt.Sprintf("rack-%d", host/40))
	return b.Labels()
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

const fleetSize = 1_000_000

func fleet(tb testing.TB, n int) *Mem {
	m := New(Limits{}, time.Now)
	builder := labels.NewScratchBuilder(10)
	for i := range n {
		if _, created, err := m.GetOrCreate(fleetSeries(&builder, i)); err != nil || !created {
			tb.Fatalf("series %d: created %v, %v", i, created, err)
		}
	}
	return m
}

func BenchmarkMemMillion(b *testing.B) {
	before := heapInUse()
	start := time.Now()
	m := fleet(b, fleetSize)
	create := time.Since(start)
	b.Logf("create: %.0f ns (making the labels included), %.1f bytes per series", float64(create.Nanoseconds())/fleetSize, float64(heapInUse()-before)/fleetSize)
	builder := labels.NewScratchBuilder(10)
	sets := make([]labels.Labels, 200_000)
	for _, spread := range []int{1, 5} {
		for i := range sets {
			sets[i] = fleetSeries(&builder, i*spread)
		}
		b.Run(fmt.Sprintf("known/every%d", spread), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, created, _ := m.GetOrCreate(sets[i%len(sets)]); created {
					b.Fatal("made again")
				}
			}
		})
	}
	b.Run("labels", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok := m.AppendLabels(&builder, uint32(i*97%fleetSize)); !ok {
				b.Fatal("no labels")
			}
		}
	})
	benchmarkSelections(b, m.Select)
}

type selectFunc func(context.Context, ...*labels.Matcher) (*roaring.Bitmap, error)

func benchmarkSelections(b *testing.B, selectBy selectFunc) {
	for _, q := range []struct {
		name     string
		matchers []*labels.Matcher
	}{
		{"prefix", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-1.*")}},
		{"set", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "a", "x|y|z")}},
		{"any,not prefix", []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"), labels.MustNewMatcher(labels.MatchNotRegexp, "b", "foo1.*")}},
		{"middle of a million values", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "instance", ".*-1[0-9]+5\\.ex.*")}},
		{"metric and regex", []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "node_metric_7_total"), labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-.*7\\.example.*")}},
		{"one machine", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "machine", "host-77"), labels.MustNewMatcher(labels.MatchEqual, "env", "production")}},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				ids, err := selectBy(context.Background(), q.matchers...)
				if err != nil {
					b.Fatal(err)
				}
				n = ids.GetCardinality()
			}
			b.ReportMetric(float64(n), "series")
		})
	}
}
