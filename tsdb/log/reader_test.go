package log

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readTo reads all records before an offset, and the damages among them.
func readTo(t *testing.T, r *Reader, end int64) (records []string, damages []Damage) {
	for {
		record, damage, err := r.Next(end)
		if damage != nil {
			damages = append(damages, *damage)
		}
		if err == io.EOF {
			return records, damages
		}
		require.NoError(t, err)
		records = append(records, string(record))
	}
}

// TestAReaderFollowsTheWriter reads what is there, goes on when more is, and begins at any offset it told.
func TestAReaderFollowsTheWriter(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Hour})
	require.NoError(t, err)
	defer l.Close()
	r, err := OpenReader(dir, 1, 0)
	require.NoError(t, err)
	defer r.Close()
	var offsets []int64
	for _, text := range []string{"one", "two", "three"} {
		_, err := l.Append([]byte(text))
		require.NoError(t, err)
		offsets = append(offsets, r.Offset())
		_, size := l.Segment()
		records, damages := readTo(t, r, size)
		require.Equal(t, []string{text}, records)
		require.Empty(t, damages)
	}
	require.Equal(t, uint64(1), r.Segment())
	var batch Batch
	require.NoError(t, batch.Add([]byte("four")))
	require.NoError(t, batch.Add([]byte("five")))
	_, err = l.AppendBatch(&batch)
	require.NoError(t, err)
	from, err := OpenReader(dir, 1, offsets[1])
	require.NoError(t, err)
	defer from.Close()
	size, err := from.Size()
	require.NoError(t, err)
	records, _ := readTo(t, from, size)
	require.Equal(t, []string{"two", "three", "four", "five"}, records)
	_, err = OpenReader(dir, 2, 0)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestAReaderPassesDamageOver at every byte of a record in the middle, and cut at every byte of the last.
func TestAReaderPassesDamageOver(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Hour})
	require.NoError(t, err)
	ends := []int64{0}
	for _, text := range []string{"first record", "second record", "third record"} {
		_, err := l.Append([]byte(text))
		require.NoError(t, err)
		_, size := l.Segment()
		ends = append(ends, size)
	}
	require.NoError(t, l.Close())
	path := filepath.Join(dir, name(1))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	read := func(text []byte) ([]string, []Damage) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		r, err := OpenReader(dir, 1, 0)
		require.NoError(t, err)
		defer r.Close()
		return readTo(t, r, int64(len(text)))
	}
	for at := ends[1]; at < ends[2]; at++ {
		spoilt := bytes.Clone(whole)
		spoilt[at] ^= 0x55
		records, damages := read(spoilt)
		require.Equal(t, []string{"first record", "third record"}, records, "byte %d", at)
		require.Len(t, damages, 1)
		require.False(t, damages[0].Tail)
		require.Equal(t, ends[2]-ends[1], damages[0].Length)
	}
	for at := ends[2] + 1; at < ends[3]; at++ {
		records, damages := read(whole[:at])
		require.Equal(t, []string{"first record", "second record"}, records, "cut at %d", at)
		require.Len(t, damages, 1)
		require.True(t, damages[0].Tail)
	}
}
