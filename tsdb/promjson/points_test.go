package promjson

import (
	"encoding/binary"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// upstream writes a number as Prometheus does.
func upstream(v float64) string {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// TestNumbersAreWrittenAsPrometheusDoes at the bounds of the quick way.
func TestNumbersAreWrittenAsPrometheusDoes(t *testing.T) {
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1, 10, 100, 1e6, 123456789012345, 999999999999999, 1e15, 1e15 - 0.5, 1e16, 1 << 53, 1e20, 1e21, 0.1, 0.3, 0.1 + 0.2, 1e-6, 1.5e-6,
		9.99e-7, 1e-7, 0.000001000000001, 1.0 / 3, 2.0 / 3, 100.5, 12345.678901234, 0.999999999999999, 0.9999999999999999, 99999999999999.9, 99999999999999.95,
		math.Pi, math.MaxFloat64, math.SmallestNonzeroFloat64, 5e-324, math.NaN(), math.Inf(1), math.Inf(-1), 4096 * 123456, 1700000000.123,
	} {
		for _, v := range []float64{v, -v} {
			assert.Equal(t, upstream(v), string(AppendNumber(nil, v)))
		}
	}
}

// TestDecimalsAreWrittenAsPrometheusDoes, and numbers next to them.
func TestDecimalsAreWrittenAsPrometheusDoes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := float64(rapid.Int64Range(-1e16, 1e16).Draw(r, "digits")) / math.Pow10(rapid.IntRange(0, 20).Draw(r, "decimals"))
		for _, v := range []float64{v, math.Nextafter(v, 0), math.Nextafter(v, math.Inf(1))} {
			assert.Equal(r, upstream(v), string(AppendNumber(nil, v)))
		}
	})
}

// FuzzNumbers are written as Prometheus writes them, and as what is read is the same.
func FuzzNumbers(f *testing.F) {
	f.Add(uint64(0x3ff0000000000000), uint64(0), uint8(0))
	f.Add(uint64(0), uint64(123456789), uint8(9))
	f.Fuzz(func(t *testing.T, bits, digits uint64, decimals uint8) {
		for _, v := range []float64{math.Float64frombits(bits), float64(digits) / math.Pow10(int(decimals%24)), float64(digits%1e15) / math.Pow10(int(decimals%16))} {
			if got := string(AppendNumber(nil, v)); got != upstream(v) {
				t.Fatalf("%x: %s, want %s", binary.BigEndian.AppendUint64(nil, math.Float64bits(v)), got, upstream(v))
			}
		}
	})
}

// TestTimesAreRememberedByPlace whatever the series have.
func TestTimesAreRememberedByPlace(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var p Points
		for range 4 {
			for place := range rapid.IntRange(0, 5).Draw(r, "points") {
				at := rapid.OneOf(rapid.SampledFrom([]int64{0, 999, 1000, -1, -1500, math.MaxInt64, math.MinInt64}), rapid.Int64()).Draw(r, "t")
				assert.Equal(r, string(AppendFloatPoint(nil, at, 0.5)), string(p.AppendFloat(nil, place, at, 0.5)))
			}
		}
	})
}

func BenchmarkAppendFloat(b *testing.B) {
	for name, value := range map[string]func(i int) float64{
		"counter": func(i int) float64 { return float64(1_700_000_000+i*1237) / 1e9 },
		"whole":   func(i int) float64 { return float64(i * 4096) },
		"rate":    func(i int) float64 { return float64(i) / 285.7 },
	} {
		b.Run(name, func(b *testing.B) {
			var p Points
			var buf []byte
			for i := 0; b.Loop(); i++ {
				buf = p.AppendFloat(buf[:0], i%240, 1_700_000_000_000+int64(i%240)*15_000, value(i))
			}
		})
		b.Run(name+"/strconv", func(b *testing.B) {
			var buf []byte
			for i := 0; b.Loop(); i++ {
				buf = AppendTime(append(buf[:0], '['), 1_700_000_000_000+int64(i%240)*15_000)
				buf = append(strconv.AppendFloat(append(buf, `,"`...), value(i), 'f', -1, 64), `"]`...)
			}
		})
	}
}
