package chunk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// workload is a series as the benches of the engine have it.
type workload struct {
	name string
	make func(r *rand.Rand, n int) []float64
}

func walk(r *rand.Rand, n int, start float64, next func(last float64) float64) []float64 {
	vs := make([]float64, n)
	for i := range vs {
		vs[i] = start
		start = next(start)
	}
	return vs
}

func round(v, power float64) float64 { return math.Round(v*power) / power }

func workloads() []workload {
	counter := func(most int) func(*rand.Rand, int) []float64 {
		return func(r *rand.Rand, n int) []float64 {
			return walk(r, n, float64(r.IntN(1e6)), func(v float64) float64 { return v + float64(r.IntN(most)) })
		}
	}
	gauge := func(start, spread, power float64) func(*rand.Rand, int) []float64 {
		return func(r *rand.Rand, n int) []float64 {
			v := start
			return walk(r, n, round(start, power), func(float64) float64 { v += r.NormFloat64() * spread; return round(v, power) })
		}
	}
	return []workload{
		{"counter+0..9", counter(10)},
		{"counter+0..99", counter(100)},
		{"counter+0..999", counter(1000)},
		{"seconds.00", func(r *rand.Rand, n int) []float64 {
			c := r.IntN(1e6)
			return walk(r, n, float64(c)/100, func(float64) float64 { c += r.IntN(300); return float64(c) / 100 })
		}},
		{"seconds.000", func(r *rand.Rand, n int) []float64 {
			c := r.IntN(1e7)
			return walk(r, n, float64(c)/1000, func(float64) float64 { c += r.IntN(1500); return float64(c) / 1000 })
		}},
		{"gauge.0", gauge(50, 0.7, 10)},
		{"gauge.00", gauge(50, 0.5, 100)},
		{"bytes×4096", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 4096*1e5, func(v float64) float64 { return v + 4096*math.Round(r.NormFloat64()*40) })
		}},
		{"idle", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 7, func(v float64) float64 {
				if r.IntN(40) == 0 {
					v += float64(r.IntN(20) - 9)
				}
				return v
			})
		}},
		{"constant", func(_ *rand.Rand, n int) []float64 {
			return walk(nil, n, 1, func(v float64) float64 { return v })
		}},
		{"summed.00", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 0, func(v float64) float64 { return v + float64(r.IntN(300))/100 })
		}},
		{"noise", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 50, func(v float64) float64 { return v + r.NormFloat64() })
		}},
	}
}

// beat is scrapes every 15 s that come some milliseconds late.
func beat(r *rand.Rand, n int, late int64) []int64 {
	ts := make([]int64, n)
	for i := range ts {
		ts[i] = 1_700_000_000_000 + int64(i)*15_000 + r.Int64N(late+1)
	}
	return ts
}

const benchSets = 64

// BenchmarkValues measures the bytes and the time that values take, beside Prometheus's XOR chunks of 120 samples
// with their times at a constant interval, which take them next to nothing.
func BenchmarkValues(b *testing.B) {
	for _, w := range workloads() {
		for _, n := range []int{120, 480} {
			sets := setsOf(w, n)
			packed := make([][]byte, benchSets)
			size := 0
			for i := range sets {
				packed[i] = AppendValues(nil, sets[i])
				size += len(packed[i])
			}
			name := fmt.Sprintf("%s/%d/", w.name, n)
			b.Run(name+"encode", func(b *testing.B) {
				var dst []byte
				perItem(b, n, "ns/value", func(i int) { dst = AppendValues(dst[:0], sets[i%benchSets]) })
				b.ReportMetric(float64(size)/float64(benchSets*n), "B/value")
			})
			b.Run(name+"decode", func(b *testing.B) {
				dst := make([]float64, 0, n)
				perItem(b, n, "ns/value", func(i int) {
					if _, err := DecodeValues(dst, packed[i%benchSets], n); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
		benchPrometheus(b, w)
	}
}

func setsOf(w workload, n int) [][]float64 {
	sets := make([][]float64, benchSets)
	for i := range sets {
		sets[i] = w.make(newRand(uint64(i)), n)
	}
	return sets
}

func benchPrometheus(b *testing.B, w workload) {
	const n = 120
	sets := setsOf(w, n)
	chunks := make([]*chunkenc.XORChunk, benchSets)
	size := 0
	for i := range chunks {
		chunks[i] = prometheusChunk(b, sets[i])
		size += len(chunks[i].Bytes())
	}
	b.Run(w.name+"/120/prometheus-encode", func(b *testing.B) {
		perItem(b, n, "ns/value", func(i int) { prometheusChunk(b, sets[i%benchSets]) })
		b.ReportMetric(float64(size)/float64(benchSets*n), "B/value")
	})
	b.Run(w.name+"/120/prometheus-decode", func(b *testing.B) {
		var it chunkenc.Iterator
		sum := 0.0
		perItem(b, n, "ns/value", func(i int) {
			it = chunks[i%benchSets].Iterator(it)
			for it.Next() != chunkenc.ValNone {
				_, v := it.At()
				sum += v
			}
		})
	})
}

func prometheusChunk(b *testing.B, vs []float64) *chunkenc.XORChunk {
	c := chunkenc.NewXORChunk()
	app, err := c.Appender()
	if err != nil {
		b.Fatal(err)
	}
	for i, v := range vs {
		app.Append(0, int64(i)*15_000, v)
	}
	return c
}

// BenchmarkTimes measures columns of times that come up to some milliseconds late.
func BenchmarkTimes(b *testing.B) {
	for _, late := range []int64{0, 3, 12} {
		const n = 480
		ts := beat(newRand(1), n, late)
		packed := AppendTimes(nil, ts)
		b.Run(fmt.Sprintf("late%d/encode", late), func(b *testing.B) {
			perItem(b, n, "ns/time", func(int) { packed = AppendTimes(packed[:0], ts) })
			b.ReportMetric(float64(len(packed))/n, "B/time")
		})
		b.Run(fmt.Sprintf("late%d/decode", late), func(b *testing.B) {
			dst := make([]int64, 0, n)
			perItem(b, n, "ns/time", func(int) {
				if _, err := DecodeTimes(dst, packed, n); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
