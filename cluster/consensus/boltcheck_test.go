package consensus

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// writeBolt makes a store with n entries, half of them truncated again, and returns its bytes.
func writeBolt(t testing.TB, n uint64) []byte {
	path := filepath.Join(t.TempDir(), "raft.db")
	s, err := openBolt(path)
	require.NoError(t, err)
	for i := uint64(1); i <= n; i += 50 {
		var logs []*raft.Log
		for j := i; j < i+50; j++ {
			logs = append(logs, &raft.Log{Index: j, Term: 1, Data: encodeEntry(kindCommand, make([]byte, 300))})
		}
		require.NoError(t, s.StoreLogs(logs))
	}
	require.NoError(t, s.DeleteRange(1, n/2))
	require.NoError(t, s.SetUint64([]byte("CurrentTerm"), 7))
	require.NoError(t, s.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// openDamaged opens b as a store and reads it through; any outcome but a panic is fine.
func openDamaged(t testing.TB, b []byte) error {
	path := filepath.Join(t.TempDir(), "raft.db")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	s, err := openBolt(path)
	if err != nil {
		return err
	}
	defer s.Close()
	l := &logStore{LogStore: s, watch: newWatchdog(1e9), onFatal: func(error) {}}
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	for i := max(first, 1); i <= min(last, first+100); i++ {
		if err := l.GetLog(i, new(raft.Log)); err != nil {
			return err
		}
	}
	return nil
}

func TestBoltIntact(t *testing.T) {
	b := writeBolt(t, 2000)
	require.NoError(t, openDamaged(t, b))
	require.NoError(t, openDamaged(t, nil))
}

func TestBoltTruncatedIsACleanError(t *testing.T) {
	b := writeBolt(t, 2000)
	for _, size := range []int{1, 100, 4095, 4096, 8192, 12288, 40960, len(b) / 2} {
		require.ErrorIs(t, openDamaged(t, b[:size]), ErrCorrupt, "size %d", size)
	}
}

func TestBoltDamagedNeverPanics(t *testing.T) {
	b := writeBolt(t, 1000)
	rng := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 300 {
		c := append([]byte(nil), b...)
		at := rng.IntN(len(c))
		for i := at; i < min(at+1+rng.IntN(64), len(c)); i++ {
			c[i] = byte(rng.Uint32())
		}
		if openDamaged(t, c) != nil {
			found++
		}
	}
	require.NotZero(t, found)
}

func TestBoltZeroedPagesAreFound(t *testing.T) {
	b := writeBolt(t, 1000)
	clear(b[2*4096:])
	require.ErrorIs(t, openDamaged(t, b), ErrCorrupt)
}

func FuzzBoltCheck(f *testing.F) {
	b := writeBolt(f, 100)
	f.Add(b[:16<<10], uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, raw []byte, at uint16, x byte) {
		c := append([]byte(nil), b...)
		copy(c[8192:], raw)
		c[int(at)%len(c)] ^= x
		// Only what passes may reach bbolt, and must not make it panic.
		if checkBoltPages(bytes.NewReader(c), int64(len(c))) == nil {
			_ = openDamaged(t, c)
		}
	})
}
