package log

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAReaderGivesUpWhatTheDiskCannotRead after some tries in a row, and goes on with what is written behind it.
func TestAReaderGivesUpWhatTheDiskCannotRead(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Hour})
	require.NoError(t, err)
	defer l.Close()
	_, err = l.Append([]byte("one"))
	require.NoError(t, err)
	_, size := l.Segment()
	r, err := OpenReader(dir, 1, 0)
	require.NoError(t, err)
	defer r.Close()
	whole := r.file
	r.file, err = os.Open(t.TempDir()) // of a folder nothing can be read
	require.NoError(t, err)
	bad := r.file
	defer bad.Close()

	fails := func(times int) {
		for range times {
			_, damage, err := r.Next(size)
			require.ErrorIs(t, err, unix.EISDIR)
			require.Nil(t, damage)
		}
	}
	fails(readTries - 1)
	r.file = whole // it was for a while only
	records, damages := readTo(t, r, size)
	require.Equal(t, []string{"one"}, records)
	require.Empty(t, damages)

	r.at, r.file = 0, bad
	fails(readTries - 1)
	_, damage, err := r.Next(size)
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, damage.Cause, unix.EISDIR)
	require.Equal(t, Damage{Segment: 1, Length: size, Cause: damage.Cause}, *damage)
	_, err = l.Append([]byte("two"))
	require.NoError(t, err)
	_, size = l.Segment()
	r.file = whole
	records, damages = readTo(t, r, size)
	require.Equal(t, []string{"two"}, records)
	require.Empty(t, damages)
}
