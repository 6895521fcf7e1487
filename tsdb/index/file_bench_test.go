package index

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// writeFleet writes a fleet by way of its index in memory, which sorts it.
func writeFleet(b *testing.B, m *Mem) []byte {
	all := roaring.New()
	all.AddRange(0, uint64(m.Len()))
	start := time.Now()
	sorted := m.Sort(all)
	b.Logf("sort: %v", time.Since(start))
	before := heapInUse()
	start = time.Now()
	w := NewWriter(b.TempDir())
	builder := labels.NewScratchBuilder(10)
	for _, id := range sorted {
		lset, _ := m.AppendLabels(&builder, id)
		if err := w.Add(lset, []byte("12 bytes of.")); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("add: %v, %d MiB of memory", time.Since(start), (heapInUse()-before)>>20)
	start = time.Now()
	path := filepath.Join(b.TempDir(), "index")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	n, err := w.WriteTo(f)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("write: %v, %.1f bytes per series with entries of 12, %d MiB of memory", time.Since(start), float64(n)/float64(len(sorted)), (heapInUse()-before)>>20)
	file, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return bytes.Clone(file)
}

func BenchmarkFileMillion(b *testing.B) {
	r, err := Open(writeFleet(b, fleet(b, fleetSize)))
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := r.Verify(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Logf("verify: %v; sections: %v", time.Since(start), r.footer.extents)
	benchmarkSelections(b, r.Select)
	b.Run("labels and entry", func(b *testing.B) {
		b.ReportAllocs()
		builder := labels.NewScratchBuilder(10)
		var entry []byte
		for i := 0; b.Loop(); i++ {
			if _, entry, err = r.Series(&builder, uint32(i*97%fleetSize), entry[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := Open(r.file); err != nil {
				b.Fatal(err)
			}
		}
	})
}
