package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func openStore(t testing.TB, limits Limits) *Store {
	s, err := Open(t.TempDir(), limits)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hexSum(sum[:])
}

// names returns what lies in the store's directory.
func names(t testing.TB, s *Store) []string {
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func read(t testing.TB, s *Store, hash string) []byte {
	f, err := s.Open(hash)
	require.NoError(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	return b
}

func TestPutOpenListDelete(t *testing.T) {
	s, ctx := openStore(t, Limits{}), context.Background()
	data := []byte("an image")
	info, err := s.Put(ctx, bytes.NewReader(data), "")
	require.NoError(t, err)
	require.Equal(t, Info{Hash: hashOf(data), Size: 8}, info)
	again, err := s.Put(ctx, iotest.ErrReader(errors.New("not read")), info.Hash)
	require.NoError(t, err)
	require.Equal(t, info, again)
	require.Equal(t, data, read(t, s, info.Hash))
	path, err := s.Path(info.Hash)
	require.NoError(t, err)
	require.FileExists(t, path)
	list, err := s.List()
	require.NoError(t, err)
	require.Equal(t, []Info{info}, list)
	require.Equal(t, int64(8), s.Used())
	require.NoError(t, s.Verify(ctx))

	require.NoError(t, s.Delete(info.Hash))
	_, err = s.Open(info.Hash)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.Delete(info.Hash), ErrNotFound)
	require.Zero(t, s.Used())
	require.Empty(t, names(t, s))
}

func TestWrongHashLeavesNothing(t *testing.T) {
	s := openStore(t, Limits{})
	want := hashOf([]byte("a"))
	_, err := s.Put(context.Background(), strings.NewReader("b"), want)
	var m *MismatchError
	require.ErrorAs(t, err, &m)
	require.ErrorIs(t, err, ErrHashMismatch)
	require.Equal(t, MismatchError{Want: want, Got: hashOf([]byte("b"))}, *m)
	require.Empty(t, names(t, s))
	require.Zero(t, s.Used())
}

func TestFailedPutLeavesNothing(t *testing.T) {
	s := openStore(t, Limits{})
	boom := errors.New("boom")
	_, err := s.Put(context.Background(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(boom)), "")
	require.ErrorIs(t, err, boom)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Put(ctx, strings.NewReader("x"), "")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, names(t, s))
	require.Zero(t, s.Used())
}

func TestLimits(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, Limits{MaxSize: 10, Quota: 15})
	_, err := s.Put(ctx, strings.NewReader(strings.Repeat("x", 11)), "")
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = s.Put(ctx, strings.NewReader(strings.Repeat("x", 10)), "")
	require.NoError(t, err)
	_, err = s.Put(ctx, strings.NewReader("123456"), "")
	require.ErrorIs(t, err, ErrQuota)
	require.ErrorContains(t, err, "15 bytes")
	_, err = s.Put(ctx, strings.NewReader("12345"), "")
	require.NoError(t, err)
	require.Equal(t, int64(15), s.Used())
	s.free = func() (int64, error) { return 100, nil }
	require.NoError(t, s.Delete(hashOf([]byte("12345"))))
	_, err = s.Put(ctx, strings.NewReader("1"), "")
	require.ErrorIs(t, err, ErrNoSpace)
	require.Len(t, names(t, s), 1)
}

func TestConcurrentPutsOfTheSameContent(t *testing.T) {
	s := openStore(t, Limits{})
	data := bytes.Repeat([]byte("same"), 100_000)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			info, err := s.Put(context.Background(), bytes.NewReader(data), "")
			require.NoError(t, err)
			require.Equal(t, hashOf(data), info.Hash)
		})
	}
	wg.Wait()
	require.Equal(t, []string{hashOf(data)}, names(t, s))
	require.Equal(t, int64(len(data)), s.Used())
}

func TestOpenSweepsWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("1234"), 0o600))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, then, then))
	}
	young, old, whole := partPrefix+hashOf([]byte("a")), partPrefix+hashOf([]byte("b")), hashOf([]byte("1234"))
	write(tempPrefix+"1", 0)
	write(young, time.Hour)
	write(old, 30*24*time.Hour)
	write(whole, 30*24*time.Hour)
	write("README", 0)
	s, err := Open(dir, Limits{})
	require.NoError(t, err)
	defer s.Close()
	require.ElementsMatch(t, []string{young, whole, "README"}, names(t, s))
	require.Equal(t, int64(8), s.Used())
}

func TestVerifyNamesDamagedFiles(t *testing.T) {
	s, ctx := openStore(t, Limits{}), context.Background()
	good, err := s.Put(ctx, strings.NewReader("good"), "")
	require.NoError(t, err)
	bad, err := s.Put(ctx, strings.NewReader("bad"), "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, bad.Hash), []byte("baD"), 0o600))
	err = s.Verify(ctx)
	require.ErrorIs(t, err, ErrHashMismatch)
	require.ErrorContains(t, err, bad.Hash)
	require.NotContains(t, err.Error(), good.Hash)
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	s := openStore(t, Limits{})
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	hash := hashOf([]byte("secret"))
	require.NoError(t, os.Symlink(secret, filepath.Join(s.dir, hash)))
	_, err := s.Open(hash)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.Delete(hash), ErrNotFound)
	_, err = s.Path(hash)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, os.Symlink(secret, filepath.Join(s.dir, partPrefix+hash)))
	require.Error(t, s.Fetch(context.Background(), hash, 6, nil))
}

func TestBadNames(t *testing.T) {
	s, ctx := openStore(t, Limits{}), context.Background()
	good := hashOf(nil)
	for _, bad := range []string{
		"", ".", "..", "../" + good[:61], "%2e%2e", "/etc/passwd", good[:63], good + "0", strings.ToUpper(good),
		good[:63] + "\x00", good[:63] + "/", good[:63] + "g", strings.Repeat("a", 300), tempPrefix + "1", partPrefix + good,
	} {
		_, err := s.Open(bad)
		require.ErrorIs(t, err, ErrBadHash, "%q", bad)
		_, err = s.Path(bad)
		require.ErrorIs(t, err, ErrBadHash)
		require.ErrorIs(t, s.Delete(bad), ErrBadHash)
		require.ErrorIs(t, s.Fetch(ctx, bad, 1, nil), ErrBadHash)
		if bad != "" {
			_, err = s.Put(ctx, strings.NewReader("x"), bad)
			require.ErrorIs(t, err, ErrBadHash)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(hashOf(nil))
	f.Add("../../etc/passwd")
	f.Add(strings.Repeat("a", 63) + "\x00")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckHash(name) != nil {
			return
		}
		require.Len(t, name, hashLength)
		require.Equal(t, filepath.Base(name), name)
		require.Empty(t, strings.Trim(name, "0123456789abcdef"))
	})
}

// TestStoreAgainstAModel compares a store with a map, through re-opening, and its accounting with the directory.
func TestStoreAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "blob")
		require.NoError(rt, err)
		defer os.RemoveAll(dir)
		const quota = 200
		s, err := Open(dir, Limits{Quota: quota})
		require.NoError(rt, err)
		model, used := map[string][]byte{}, 0
		content := rapid.SliceOfN(rapid.Byte(), 0, 60)
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				b := content.Draw(rt, "content")
				_, err := s.Put(context.Background(), bytes.NewReader(b), "")
				if _, known := model[hashOf(b)]; !known && used+len(b) > quota {
					require.ErrorIs(rt, err, ErrQuota)
				} else if !known {
					require.NoError(rt, err)
					model[hashOf(b)], used = b, used+len(b)
				}
			},
			"delete": func(rt *rapid.T) {
				b := content.Draw(rt, "content")
				for h := range model {
					b = model[h]
					break
				}
				_, known := model[hashOf(b)]
				require.Equal(rt, known, s.Delete(hashOf(b)) == nil)
				if known {
					used -= len(b)
				}
				delete(model, hashOf(b))
			},
			"reopen": func(rt *rapid.T) {
				require.NoError(rt, s.Close())
				s, err = Open(dir, Limits{Quota: quota})
				require.NoError(rt, err)
			},
			"": func(rt *rapid.T) {
				list, err := s.List()
				require.NoError(rt, err)
				require.Len(rt, list, len(model))
				for _, info := range list {
					require.Equal(rt, int64(len(model[info.Hash])), info.Size)
				}
				require.Equal(rt, int64(used), s.Used())
			},
		})
		require.NoError(rt, s.Verify(context.Background()))
		require.NoError(rt, s.Close())
	})
}
