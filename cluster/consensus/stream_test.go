package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func writeStream(t require.TestingT, index uint64, chunks ...[]byte) []byte {
	var buf bytes.Buffer
	w, err := newStreamWriter(&buf, index)
	require.NoError(t, err)
	for _, c := range chunks {
		n, err := w.Write(c)
		require.NoError(t, err)
		require.Equal(t, len(c), n)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.Uint64().Draw(t, "index")
		chunks := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 200)).Draw(t, "chunks")
		if rapid.Bool().Draw(t, "long") {
			chunks = append(chunks, make([]byte, 3*streamFrame+5))
		}
		b := writeStream(t, index, chunks...)
		r, err := newStreamReader(iotest.HalfReader(bytes.NewReader(b)))
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, index, r.Index)
		require.True(t, bytes.Equal(bytes.Join(chunks, nil), got))
	})
}

func TestStreamNoticesEveryEditAndCut(t *testing.T) {
	b := writeStream(t, 7, []byte("some state that matters"))
	for i := range b {
		for _, x := range []byte{1, 0x80} {
			c := bytes.Clone(b)
			c[i] ^= x
			_, err := verifyStream(bytes.NewReader(c))
			require.Error(t, err, "byte %d", i)
		}
		_, err := verifyStream(bytes.NewReader(b[:i]))
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", i)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(writeStream(f, 7, []byte("state")))
	f.Add(writeStream(f, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newStreamReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		state, err := io.ReadAll(r)
		if err != nil {
			return
		}
		// A state has one stream only when its frames are full; the state itself survives a round trip.
		again, err := newStreamReader(bytes.NewReader(writeStream(t, r.Index, state)))
		require.NoError(t, err)
		got, err := io.ReadAll(again)
		require.NoError(t, err)
		require.True(t, bytes.Equal(state, got))
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(encodeEntry(kindCommand, []byte("x")))
	f.Add(encodeEntry(9, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, payload, err := decodeEntry(b)
		if err == nil {
			require.Equal(t, b, encodeEntry(kind, payload))
		}
	})
}

// TestStreamOfVersion1 reads what the first release wrote; it never changes.
func TestStreamOfVersion1(t *testing.T) {
	const golden = "4e4f5641534e41500001000000000000000000000000002a0000000568656c6c6f00000000"
	head, err := hex.DecodeString(golden)
	require.NoError(t, err)
	sum := sha256.Sum256(head)
	b := append(head, sum[:]...)
	require.Equal(t, writeStream(t, 42, []byte("hello")), b)
	index, err := verifyStream(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, uint64(42), index)
}

// TestEntryOfVersion1 likewise for a log entry.
func TestEntryOfVersion1(t *testing.T) {
	require.Equal(t, "016719daea68656c6c6f", hex.EncodeToString(encodeEntry(kindCommand, []byte("hello"))))
}

func TestEntryErrors(t *testing.T) {
	_, _, err := decodeEntry(encodeEntry(9, []byte("x")))
	require.ErrorIs(t, err, ErrUpgrade)
	b := encodeEntry(kindCommand, []byte("x"))
	b[5] ^= 1
	_, _, err = decodeEntry(b)
	require.ErrorIs(t, err, ErrCorrupt)
	_, _, err = decodeEntry(b[:3])
	require.ErrorIs(t, err, ErrCorrupt)
}
