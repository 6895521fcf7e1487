package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fakeSource answers by a function.
type fakeSource struct {
	name  string
	calls atomic.Int32
	get   func(ctx context.Context, offset int64) (io.ReadCloser, error)
}

func (s *fakeSource) Name() string { return s.name }

func (s *fakeSource) Get(ctx context.Context, _ string, offset int64) (io.ReadCloser, error) {
	s.calls.Add(1)
	return s.get(ctx, offset)
}

func body(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func honest(data []byte) *fakeSource {
	return &fakeSource{name: "honest", get: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return body(data[off:]), nil
	}}
}

// truncating ends every answer after n bytes.
func truncating(data []byte, n int) *fakeSource {
	return &fakeSource{name: "truncating", get: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return body(data[off:min(int(off)+n, len(data))]), nil
	}}
}

// corrupt flips a bit of the first byte that it sends and stops after n bytes.
func corrupt(data []byte, n int) *fakeSource {
	return &fakeSource{name: "corrupt", get: func(_ context.Context, off int64) (io.ReadCloser, error) {
		part := bytes.Clone(data[off:min(int(off)+n, len(data))])
		if len(part) > 0 {
			part[0] ^= 1
		}
		return body(part), nil
	}}
}

func failing(err error) *fakeSource {
	return &fakeSource{name: "failing", get: func(context.Context, int64) (io.ReadCloser, error) { return nil, err }}
}

// stalled sends n bytes and then nothing, and ignores its context when deaf.
func stalled(data []byte, n int, deaf bool) *fakeSource {
	return &fakeSource{name: "stalled", get: func(ctx context.Context, off int64) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			// The reader may be gone; there is nobody to tell.
			_, _ = w.Write(data[off:min(int(off)+n, len(data))])
		}()
		if !deaf {
			context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		}
		return r, nil
	}}
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func sources(s ...*fakeSource) []Source {
	out := make([]Source, len(s))
	for i := range s {
		out[i] = s[i]
	}
	return out
}

func TestFetchResumesAcrossSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(10_000)
		var offsets []int64
		src := truncating(data, 1000)
		get := src.get
		src.get = func(ctx context.Context, off int64) (io.ReadCloser, error) {
			offsets = append(offsets, off)
			return get(ctx, off)
		}
		s := openStore(t, Limits{Rounds: 10})
		require.NoError(t, s.Fetch(context.Background(), hashOf(data), 10_000, sources(src)))
		require.Equal(t, data, read(t, s, hashOf(data)))
		require.Equal(t, []int64{0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000}, offsets)
		require.Equal(t, []string{hashOf(data)}, names(t, s))
		require.NoError(t, s.Fetch(context.Background(), hashOf(data), 10_000, nil), "it is there")
	})
}

func TestFetchGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, dir := payload(5000), t.TempDir()
		s, err := Open(dir, Limits{Rounds: 1})
		require.NoError(t, err)
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), 5000, sources(truncating(data, 3000))), ErrShort)
		require.Equal(t, int64(3000), s.Used())
		require.NoError(t, s.Close())
		s, err = Open(dir, Limits{Rounds: 1})
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, s.Fetch(context.Background(), hashOf(data), 5000, sources(truncating(data, 2000))))
		require.Equal(t, int64(5000), s.Used())
		require.NoError(t, s.Verify(context.Background()))
	})
}

func TestFetchSurvivesBadSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(300_000)
		for i := range 20 {
			s := openStore(t, Limits{})
			all := sources(honest(data), corrupt(data, 1000), corrupt(data, 1<<30), truncating(data, 5),
				stalled(data, 100, i%2 == 0), failing(errors.New("refused")))
			require.NoError(t, s.Fetch(context.Background(), hashOf(data), int64(len(data)), all))
			require.Equal(t, data, read(t, s, hashOf(data)))
			require.Equal(t, []string{hashOf(data)}, names(t, s))
			require.Equal(t, int64(len(data)), s.Used())
		}
	})
}

func TestFetchGivesUpAStalledSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(1000)
		s := openStore(t, Limits{Rounds: 1})
		start := time.Now()
		err := s.Fetch(context.Background(), hashOf(data), 1000, sources(stalled(data, 10, true)))
		require.ErrorIs(t, err, ErrStalled)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestSlowButSteadySourceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(20)
		src := &fakeSource{name: "slow", get: func(context.Context, int64) (io.ReadCloser, error) {
			r, w := io.Pipe()
			go func() {
				for i := range data {
					<-time.After(9 * time.Second)
					if _, err := w.Write(data[i : i+1]); err != nil {
						return
					}
				}
				w.Close()
			}()
			return r, nil
		}}
		s := openStore(t, Limits{Rounds: 1})
		require.NoError(t, s.Fetch(context.Background(), hashOf(data), 20, sources(src)))
	})
}

func TestFetchListsEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(100)
		refused := errors.New("connection refused")
		s := openStore(t, Limits{Rounds: 3, Backoff: time.Second})
		a, b := failing(refused), corrupt(data, 1000)
		start := time.Now()
		err := s.Fetch(context.Background(), hashOf(data), 100, sources(a, b))
		require.ErrorIs(t, err, ErrFetch)
		require.ErrorIs(t, err, refused)
		require.ErrorIs(t, err, ErrHashMismatch)
		for _, want := range []string{"failing", "corrupt", "3 rounds over 2 sources", hashOf(data)} {
			require.ErrorContains(t, err, want)
		}
		require.Equal(t, int32(3), a.calls.Load())
		require.GreaterOrEqual(t, time.Since(start), 1500*time.Millisecond)
		require.Less(t, time.Since(start), 3*time.Second)
		require.Empty(t, names(t, s))
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), 100, nil), ErrFetch, "no source at all")
	})
}

func TestFetchRefusesMoreThanAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(100)
		s := openStore(t, Limits{MaxSize: 1000})
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), 50, sources(honest(data))), ErrTooLarge)
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), 1001, sources(honest(data))), ErrTooLarge)
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), -1, sources(honest(data))), ErrTooLarge)
		require.Empty(t, names(t, s))
		require.Zero(t, s.Used())
	})
}

func TestFetchStopsAtTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(100)
		s := openStore(t, Limits{Quota: 50})
		a, b := honest(data), honest(data)
		require.ErrorIs(t, s.Fetch(context.Background(), hashOf(data), 100, sources(a, b)), ErrQuota)
		require.Equal(t, int32(1), a.calls.Load()+b.calls.Load(), "another source would not help")
	})
}

func TestConcurrentFetchesShareOneDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(1000)
		release := make(chan struct{})
		src := honest(data)
		get := src.get
		src.get = func(ctx context.Context, off int64) (io.ReadCloser, error) {
			<-release
			return get(ctx, off)
		}
		s := openStore(t, Limits{})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				require.NoError(t, s.Fetch(context.Background(), hashOf(data), 1000, sources(src)))
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		require.Equal(t, int32(1), src.calls.Load())
	})
}

func TestOneCallerGivingUpDoesNotEndTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := payload(1000)
		slow := stalled(data, 500, false)
		s := openStore(t, Limits{Rounds: 1})
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- s.Fetch(ctx, hashOf(data), 1000, sources(slow)) }()
		synctest.Wait()
		go func() { second <- s.Fetch(context.Background(), hashOf(data), 1000, sources(honest(data))) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.NoError(t, <-second)
	})
}

// TestFetchAlwaysEndsRight mixes sources of all kinds: with an honest one the file arrives, without one either the
// right file or an error and nothing wrong.
func TestFetchAlwaysEndsRight(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := payload(rapid.IntRange(0, 2000).Draw(rt, "size"))
		var all []*fakeSource
		for i := range rapid.IntRange(0, 4).Draw(rt, "bad") {
			n := rapid.IntRange(0, 2500).Draw(rt, fmt.Sprint("n", i))
			all = append(all, []func() *fakeSource{
				func() *fakeSource { return truncating(data, n) },
				func() *fakeSource { return corrupt(data, n) },
				func() *fakeSource { return failing(io.ErrUnexpectedEOF) },
			}[rapid.IntRange(0, 2).Draw(rt, fmt.Sprint("kind", i))]())
		}
		good := rapid.Bool().Draw(rt, "good")
		if good {
			all = append(all, honest(data))
		}
		dir, err := os.MkdirTemp("", "blob")
		require.NoError(rt, err)
		defer os.RemoveAll(dir)
		s, err := Open(dir, Limits{Rounds: 2, Backoff: time.Nanosecond})
		require.NoError(rt, err)
		defer s.Close()
		err = s.Fetch(context.Background(), hashOf(data), int64(len(data)), sources(all...))
		if good {
			require.NoError(rt, err)
		}
		_, statErr := s.Stat(hashOf(data))
		require.Equal(rt, err == nil, statErr == nil)
		require.NoError(rt, s.Verify(context.Background()))
	})
}
