package index

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
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
