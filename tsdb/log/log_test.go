package log_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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

func FuzzReplay(f *testing.F) {
	f.Add([]byte{0xA7, 0xC3, 0x5E, 0x19, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "0000000000000001"), content, 0o600))
		_, damages := readAll(t, dir)
		for _, d := range damages {
			require.Positive(t, d.Length)
		}
	})
}
