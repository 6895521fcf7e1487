package index

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
)

// FuzzReader reads damaged files whose footer is right, so that the damage is met beyond Open. Nothing may panic, hang
// or take memory beyond what the file's size explains.
func FuzzReader(f *testing.F) {
	file := fileOf(f, f.TempDir(), exampleSets())
	f.Add(file, uint16(0), byte(0))
	f.Add(file, uint16(700), byte(255))
	f.Fuzz(func(t *testing.T, file []byte, at uint16, value byte) {
		if len(file) < headerSize+footerSize || len(file) > 1<<16 {
			return
		}
		file = append([]byte(nil), file...)
		file[int(at)%len(file)] = value
		end := file[len(file)-footerSize:]
		binary.LittleEndian.PutUint32(end[footerSize-8:], crc32.Checksum(end[:footerSize-8], castagnoli))
		r, err := Open(file)
		if err != nil {
			return
		}
		useAll(t, r)
		_ = r.Verify(t.Context())
	})
}

// FuzzBitmap holds that what viewBitmap lets through is what the library holds for sound, and counts right.
func FuzzBitmap(f *testing.F) {
	const limit = 1 << 20
	for step := range uint64(3) {
		b := roaring.New()
		b.AddRange(10, 500)
		for id := uint64(0); id < 1<<18; id += 1 + 7*step {
			b.Add(uint32(id))
		}
		b.RunOptimize()
		bytes, err := b.ToBytes()
		require.NoError(f, err)
		_, err = viewBitmap(bytes, b.GetCardinality(), limit)
		require.NoError(f, err)
		_, err = viewBitmap(bytes, b.GetCardinality(), uint64(b.Maximum()))
		require.ErrorIs(f, err, ErrCorrupt)
		f.Add(bytes, uint16(0), bytes[0])
		f.Add(bytes, uint16(6), byte(9))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, at uint16, value byte) {
		if len(bytes) == 0 || len(bytes) > 1<<17 {
			return
		}
		bytes = append([]byte(nil), bytes...)
		bytes[int(at)%len(bytes)] = value
		c := bitmapChecker{rest: bytes, key: -1}
		c.all()
		bitmap, err := viewBitmap(bytes, c.n, limit)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.NoError(t, bitmap.Validate())
		require.Equal(t, c.n, bitmap.GetCardinality())
		require.Equal(t, c.last, uint64(bitmap.Maximum()))
	})
}
