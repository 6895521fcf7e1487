package chunk

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// allocated is how many bytes a function takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What claims to be large takes no room for it.
func TestBombs(t *testing.T) {
	frame := func(plain int) []byte {
		packed := deflate(nil, make([]byte, plain))
		return append(binary.AppendUvarint(nil, uint64(len(packed))), packed...)
	}
	const huge = 64 << 20
	many := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	column := func(parts ...[]byte) (src []byte) {
		for _, p := range parts {
			src = append(src, p...)
		}
		return src
	}
	layout := append([]byte{0}, make([]byte, 8)...) // schema and threshold
	for name, c := range map[string]struct {
		decode func(src []byte) error
		src    []byte
		want   string
	}{
		"values in zstd":    {decodesValues, column([]byte{lead(formZstd)}, frame(huge)), "a zstd frame of 67108864 bytes, at most 80"},
		"integers in zstd":  {decodesValues, column([]byte{lead(formDecimal), 0, flagZstd, 0}, frame(huge)), "a zstd frame of 67108864 bytes, at most 90"},
		"too short a frame": {decodesValues, column([]byte{lead(formZstd)}, frame(72)), "72 bytes of 10 values"},
		"values aside":      {decodesValues, column([]byte{lead(formDecimal), flagExceptions}, many(1<<40)), "1099511627776 values aside, at most 10"},
		"XOR":               {decodesValues, column([]byte{lead(formXOR)}, many(0), make([]byte, 8)), "10 values in 0 bytes"},
		"layouts":           {decodesHistograms, column([]byte{lead(0)}, many(11)), "11 layouts, at most 10"},
		"spans":             {decodesHistograms, column([]byte{lead(0), 1}, layout, many(1<<30)), "1073741824 spans, at most "},
		"buckets":           {decodesHistograms, column([]byte{lead(0), 1}, layout, []byte{0, 0}, many(1<<30)), "1073741824 positive buckets, at most "},
		"bounds":            {decodesHistograms, column([]byte{lead(0), 1}, layout, []byte{0, 0, 0, 0}, many(1<<30)), "1073741824 custom bounds, at most "},
		"version":           {decodesValues, []byte{0x30}, "values at byte 1 of 1: version 3, known are 1 to 2"},
		"form":              {decodesValues, []byte{0x1f}, "form 15, known are 0 to 5"},
		"nothing":           {decodesValues, nil, "values at byte 0 of 0: a byte is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			took := allocated(func() { err = c.decode(c.src) })
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorContains(t, err, c.want)
			require.Less(t, took, uint64(4<<20))
		})
	}
}

func decodesValues(src []byte) error {
	_, err := DecodeValues(nil, src, 10)
	return err
}

func decodesHistograms(src []byte) error {
	_, err := DecodeHistograms(nil, src, 10)
	return err
}
