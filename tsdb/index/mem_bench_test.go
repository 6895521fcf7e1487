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
	"golang.org/x/sys/unix"
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

// cpuLoop runs a benchmark's loop and reports the processor time of each step, which other work on the machine does not
// touch much.
func cpuLoop(b *testing.B, step func(i int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	start, steps := cpuTime(b), 0
	for b.Loop() {
		step(steps)
		steps++
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(steps), "cpu-ns/op")
}

// cpuTime is what this thread has used so far.
func cpuTime(tb testing.TB) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(now.Nano())
}

func BenchmarkMemMillion(b *testing.B) {
	before := heapInUse()
	runtime.LockOSThread()
	builder := labels.NewScratchBuilder(10)
	start := cpuTime(b)
	for i := range fleetSize {
		fleetSeries(&builder, i)
	}
	labelTime := cpuTime(b) - start
	start = cpuTime(b)
	m := fleet(b, fleetSize)
	create := cpuTime(b) - start - labelTime
	runtime.UnlockOSThread()
	b.Logf("create: %d cpu-ns, %.1f bytes per series", create.Nanoseconds()/fleetSize, float64(heapInUse()-before)/fleetSize)
	sets := make([]labels.Labels, 200_000)
	for _, working := range []int{10_000, 200_000} {
		for i := range sets {
			sets[i] = fleetSeries(&builder, i%working*5)
		}
		b.Run(fmt.Sprintf("known/%d in turn", working), func(b *testing.B) {
			cpuLoop(b, func(i int) {
				if _, created, _ := m.GetOrCreate(sets[i%len(sets)]); created {
					b.Fatal("made again")
				}
			})
		})
	}
	b.Run("labels", func(b *testing.B) {
		namer := m.Namer()
		cpuLoop(b, func(i int) {
			if _, ok := namer.Labels(uint32(i * 97 % fleetSize)); !ok {
				b.Fatal("no labels")
			}
		})
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
			n := uint64(0)
			cpuLoop(b, func(int) {
				ids, err := selectBy(context.Background(), q.matchers...)
				if err != nil {
					b.Fatal(err)
				}
				n = ids.GetCardinality()
			})
			b.ReportMetric(float64(n), "series")
		})
	}
}
