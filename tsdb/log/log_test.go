package log_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/log"
)

func readAll(t require.TestingT, dir string) (records [][]byte, damages []log.Damage) {
	segments, err := log.Segments(dir)
	require.NoError(t, err)
	for _, segment := range segments {
		damaged, err := log.Replay(dir, segment, func(record []byte) error {
			records = append(records, bytes.Clone(record))
			return nil
		})
		require.NoError(t, err)
		damages = append(damages, damaged...)
	}
	return records, damages
}

func randomRecord(rng *rand.Rand) []byte {
	record := make([]byte, 1+rng.IntN(2000))
	for i := range record {
		record[i] = byte(rng.IntN(1 + rng.IntN(256)))
	}
	return record
}

func TestEveryRecordIsBack(t *testing.T) {
	for _, policy := range []time.Duration{0, time.Millisecond} {
		dir := t.TempDir()
		var mu sync.Mutex
		written := map[string]int{}
		for range 3 {
			l, err := log.Open(dir, log.Options{Sync: policy})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(worker), 1))
					for i := range 50 {
						record := randomRecord(rng)
						if i%20 == 19 {
							_, err := l.Rotate()
							require.NoError(t, err)
						} else if i%7 == 6 {
							_, err := l.Turn()
							require.NoError(t, err)
						}
						_, err := l.Append(record)
						require.NoError(t, err)
						mu.Lock()
						written[string(record)]++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			require.NoError(t, l.Close())
			_, err = l.Append([]byte("x"))
			require.ErrorIs(t, err, log.ErrClosed)
		}
		records, damages := readAll(t, dir)
		require.Empty(t, damages)
		for _, record := range records {
			written[string(record)]--
		}
		for record, missing := range written {
			require.Zero(t, missing, "record of %d bytes", len(record))
		}
	}
}

// Damage costs the records it touches: all others are read, and it is told where it is.
func TestDamageIsContained(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		require.NoError(rt, err)
		l, err := log.Open(dir, log.Options{Sync: time.Hour})
		require.NoError(rt, err)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		var ends []int64
		var records [][]byte
		for range 20 {
			records = append(records, randomRecord(rng))
			_, err := l.Append(records[len(records)-1])
			require.NoError(rt, err)
			_, size := l.Segment()
			ends = append(ends, size)
		}
		number, _ := l.Segment()
		require.NoError(rt, l.Close())

		path := filepath.Join(dir, fmt.Sprintf("%016d", number))
		content, err := os.ReadFile(path)
		require.NoError(rt, err)
		from := rapid.Int64Range(0, ends[19]-1).Draw(rt, "from")
		length := rapid.Int64Range(1, min(600, ends[19]-from)).Draw(rt, "length")
		cut := rapid.Bool().Draw(rt, "cut")
		if cut {
			content, length = content[:from], ends[19]-from
		} else {
			for i := range length {
				content[from+i] ^= 0xFF
			}
		}
		require.NoError(rt, os.WriteFile(path, content, 0o600))

		var want [][]byte
		begin := int64(0)
		for i, end := range ends {
			if end <= from || begin >= from+length {
				want = append(want, records[i])
			}
			begin = end
		}
		got, damages := readAll(rt, dir)
		require.Equal(rt, want, got)
		whole := false
		for _, end := range ends {
			whole = whole || cut && end == from
		}
		require.Equal(rt, whole || cut && from == 0, len(damages) == 0)
		for _, d := range damages {
			_, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%016d-%d.damaged", number, d.Offset)))
			require.Equal(rt, d.Tail, os.IsNotExist(err), d.String())
		}
	})
}

func TestOnlyOldSegmentsCanBeRemoved(t *testing.T) {
	dir := t.TempDir()
	l, err := log.Open(dir, log.Options{})
	require.NoError(t, err)
	_, err = l.Append([]byte("old"))
	require.NoError(t, err)
	require.ErrorContains(t, l.Remove(1), "still written to")
	next, err := l.Rotate()
	require.NoError(t, err)
	segment, err := l.Append([]byte("new"))
	require.NoError(t, err)
	require.Equal(t, next, segment)
	require.NoError(t, l.Remove(next-1))
	require.NoError(t, l.Close())
	records, _ := readAll(t, dir)
	require.Equal(t, [][]byte{[]byte("new")}, records)
}

func TestRecordsHaveALimit(t *testing.T) {
	l, err := log.Open(t.TempDir(), log.Options{})
	require.NoError(t, err)
	_, err = l.Append(nil)
	require.ErrorContains(t, err, "record of 0 bytes")
	_, err = l.Append(make([]byte, log.MaxRecord+1))
	require.ErrorContains(t, err, "16777217 bytes")
	_, err = l.Append(make([]byte, log.MaxRecord))
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestBatchesAreWholeOrNotThere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		require.NoError(rt, err)
		l, err := log.Open(dir, log.Options{Sync: time.Hour})
		require.NoError(rt, err)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		var ends []int64 // of batches
		var batches [][][]byte
		for range 1 + rng.IntN(4) {
			var batch log.Batch
			var records [][]byte
			for range 1 + rng.IntN(5) {
				records = append(records, randomRecord(rng))
				require.NoError(rt, batch.Add(records[len(records)-1]))
			}
			if len(records) == 1 {
				_, err = l.Append(records[0])
			} else {
				_, err = l.AppendBatch(&batch)
			}
			require.NoError(rt, err)
			_, size := l.Segment()
			ends, batches = append(ends, size), append(batches, records)
		}
		require.NoError(rt, l.Close())
		path := filepath.Join(dir, "0000000000000001")
		content, err := os.ReadFile(path)
		require.NoError(rt, err)

		// The disk had brought some sectors of the last batch into safety, and not others.
		last := 0
		if len(ends) > 1 {
			last = int(ends[len(ends)-2])
		}
		torn := content
		switch rapid.IntRange(0, 2).Draw(rt, "kind") {
		case 0: // cut
			torn = content[:rapid.IntRange(last, len(content)).Draw(rt, "end")]
		case 1: // a sector of zeros in the middle
			from := rapid.IntRange(last, len(content)-1).Draw(rt, "from")
			clear(torn[from:min(from+512, len(torn))])
		case 2: // a sector that lies behind the end
			torn = append(content[:rapid.IntRange(last, len(content)-1).Draw(rt, "end")], make([]byte, 700)...)
		}
		require.NoError(rt, os.WriteFile(path, torn, 0o600))
		var want [][]byte
		for _, batch := range batches[:len(batches)-1] {
			want = append(want, batch...)
		}
		got, damages := readAll(rt, dir)
		if len(got) > len(want) {
			want = append(want, batches[len(batches)-1]...)
		}
		require.Equal(rt, want, got)
		whole := len(torn) == len(content) && len(got) == len(want) && len(damages) == 0
		require.True(rt, whole || len(torn) == last || len(damages) > 0)
	})
}

// TestDamagedBatch: of a batch that was damaged at rest, with records behind it, what is whole is read.
func TestDamagedBatch(t *testing.T) {
	for damaged := range 3 {
		dir := t.TempDir()
		l, err := log.Open(dir, log.Options{})
		require.NoError(t, err)
		var batch log.Batch
		records := [][]byte{[]byte("first"), []byte("second"), []byte("third"), []byte("another")}
		for _, record := range records[:3] {
			require.NoError(t, batch.Add(record))
		}
		_, err = l.AppendBatch(&batch)
		require.NoError(t, err)
		_, err = l.Append(records[3])
		require.NoError(t, err)
		require.NoError(t, l.Close())
		path := filepath.Join(dir, "0000000000000001")
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		content[bytes.Index(content, records[damaged])] ^= 1
		require.NoError(t, os.WriteFile(path, content, 0o600))
		got, damages := readAll(t, dir)
		require.Equal(t, slices.Delete(slices.Clone(records), damaged, damaged+1), got)
		require.Len(t, damages, 1)
		require.False(t, damages[0].Tail)
	}
}

// TestBatchesHaveALimit: what is too large is refused before anything is written.
func TestBatchesHaveALimit(t *testing.T) {
	var batch log.Batch
	noise := make([]byte, log.MaxRecord)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(noise); i += 8 {
		binary.BigEndian.PutUint64(noise[i:], rng.Uint64())
	}
	var err error
	added := 0
	for ; err == nil; added++ {
		err = batch.Add(noise)
	}
	require.ErrorContains(t, err, "cut it into smaller ones")
	require.Equal(t, log.MaxBatch/log.MaxRecord, added)
	l, err := log.Open(t.TempDir(), log.Options{})
	require.NoError(t, err)
	_, err = l.AppendBatch(&log.Batch{})
	require.ErrorContains(t, err, "without a record")
	require.NoError(t, l.Close())
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte{0xA7, 0xC3, 0x5E, 0x19, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{0xA7, 0xC3, 0x5E, 0xE6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "0000000000000001"), content, 0o600))
		_, damages := readAll(t, dir)
		for _, d := range damages {
			require.Positive(t, d.Length)
		}
	})
}
