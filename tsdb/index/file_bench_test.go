package index

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// writeFleet writes a fleet by way of its index in memory, which sorts it.
func writeFleet(b *testing.B, m *Mem) []byte {
	all := roaring.New()
	all.AddRange(0, uint64(m.Len()))
	start := cpuTime(b)
	sorted := m.Sort(all)
	b.Logf("sort: %v", cpuTime(b)-start)
	before := heapInUse()
	start = cpuTime(b)
	w := NewWriter(b.TempDir())
	namer := m.Namer()
	for _, id := range sorted {
		lset, _ := namer.Labels(id)
		if err := w.Add(lset, []byte("12 bytes of.")); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("add: %v, %d MiB of memory", cpuTime(b)-start, (heapInUse()-before)>>20)
	start = cpuTime(b)
	path := filepath.Join(b.TempDir(), "index")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	n, err := w.WriteTo(f)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("write: %v, %.1f bytes per series with entries of 12, %d MiB of memory", cpuTime(b)-start, float64(n)/float64(len(sorted)), (heapInUse()-before)>>20)
	runtime.KeepAlive(m)
	file, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return file
}

func BenchmarkFileMillion(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := Open(writeFleet(b, fleet(b, fleetSize)))
	if err != nil {
		b.Fatal(err)
	}
	start := cpuTime(b)
	if err := r.Verify(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Logf("verify: %v; sections: %v", cpuTime(b)-start, r.footer.extents)
	benchmarkSelections(b, r.Select)
	b.Run("labels and entry", func(b *testing.B) {
		builder := labels.NewScratchBuilder(10)
		var entry []byte
		cpuLoop(b, func(i int) {
			if _, entry, err = r.Series(&builder, uint32(i*97%fleetSize), entry[:0]); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("open", func(b *testing.B) {
		cpuLoop(b, func(int) {
			if _, err := Open(r.file); err != nil {
				b.Fatal(err)
			}
		})
	})
}
