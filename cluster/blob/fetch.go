package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// Source is a peer that may hold a file.
type Source interface {
	// Name says who it is, in errors.
	Name() string
	// Get delivers the bytes of a file from offset on. It ends when ctx does.
	Get(ctx context.Context, hash string, offset int64) (io.ReadCloser, error)
}

// Fetch makes sure that the store holds the file of the given hash and size, in bytes. It tries the sources in random
// order, goes on where the last one stopped, and verifies the whole; content that proves wrong is dropped and fetched
// again from the next source. Callers that want the same file share one download, which ends when the first caller's
// ctx does; the others then start over. When no source delivered it the error matches ErrFetch and lists each failure.
func (s *Store) Fetch(ctx context.Context, hash string, size int64, sources []Source) error {
	if err := CheckHash(hash); err != nil {
		return err
	}
	if size < 0 || size > s.limits.MaxSize {
		return fmt.Errorf("fetch %s: %w: %d bytes, the limit is %d", hash, ErrTooLarge, size, s.limits.MaxSize)
	}
	for {
		if _, err := s.Stat(hash); !errors.Is(err, ErrNotFound) {
			return err
		}
		shared, err := s.share(ctx, hash, size, sources)
		if shared && isContext(err) && ctx.Err() == nil {
			continue // another caller gave up, this one did not
		}
		return err
	}
}

// share joins the download of hash or starts it.
func (s *Store) share(ctx context.Context, hash string, size int64, sources []Source) (shared bool, err error) {
	ch := s.fetches.DoChan(hash, func() (any, error) {
		if err := s.downloads.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer s.downloads.Release(1)
		return nil, s.download(ctx, hash, size, sources)
	})
	select {
	case r := <-ch:
		return r.Shared, r.Err
	case <-ctx.Done():
		return false, fmt.Errorf("fetch %s: %w", hash, ctx.Err())
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// download goes through the sources, several rounds with growing pauses.
func (s *Store) download(ctx context.Context, hash string, size int64, sources []Source) error {
	if _, err := s.Stat(hash); err == nil {
		return nil // the download before this one finished meanwhile
	}
	var failures []error
	for round := range s.limits.Rounds {
		if round > 0 {
			if err := sleep(ctx, s.limits.pause(round-1)); err != nil {
				return fmt.Errorf("fetch %s: %w", hash, err)
			}
		}
		failures = failures[:0]
		for _, src := range shuffled(sources) {
			err := s.try(ctx, hash, size, src)
			if err == nil {
				return nil
			}
			if fatal(err) || ctx.Err() != nil {
				return fmt.Errorf("fetch %s: %w", hash, err)
			}
			failures = append(failures, err)
		}
	}
	return fmt.Errorf("%w: %s of %d bytes, %d rounds over %d sources: %w",
		ErrFetch, hash, size, s.limits.Rounds, len(sources), errors.Join(failures...))
}

// fatal tells whether the trouble is ours, so that another source does not help.
func fatal(err error) bool { return errors.Is(err, ErrQuota) || errors.Is(err, ErrNoSpace) }

func shuffled(sources []Source) []Source {
	out := slices.Clone(sources)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try goes on with the partial download at one source. When the result is wrong the fault may lie in what an earlier
// source sent, so the same source gets a second try from the start.
func (s *Store) try(ctx context.Context, hash string, size int64, src Source) error {
	resumed, err := s.tryOnce(ctx, hash, size, src)
	if errors.Is(err, ErrHashMismatch) && resumed > 0 {
		resumed, err = s.tryOnce(ctx, hash, size, src)
	}
	if err != nil {
		return fmt.Errorf("%s, from byte %d: %w", src.Name(), resumed, err)
	}
	return nil
}

func (s *Store) tryOnce(ctx context.Context, hash string, size int64, src Source) (resumed int64, err error) {
	w, err := s.resume(ctx, hash)
	if err != nil {
		return 0, err
	}
	defer w.abandon()
	if w.size > size {
		if err := w.restart(); err != nil {
			return 0, err
		}
	}
	resumed = w.size
	if err := s.pull(ctx, w, hash, size, src); err != nil {
		return resumed, err
	}
	_, err = w.finish(hash)
	return resumed, err
}

// pull copies what is missing, and gives up when nothing comes for Limits.Stall.
func (s *Store) pull(ctx context.Context, w *writer, hash string, size int64, src Source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(s.limits.Stall, func() {
		cancel(fmt.Errorf("%w for %v", ErrStalled, s.limits.Stall))
	})
	defer stall.Stop()
	body, err := src.Get(ctx, hash, w.size)
	if err != nil {
		return because(ctx, err)
	}
	// A read that ignores ctx ends when its body closes.
	unblock := context.AfterFunc(ctx, func() { body.Close() })
	defer func() {
		unblock()
		body.Close()
	}()
	return copyExactly(ctx, w, body, size, func() { stall.Reset(s.limits.Stall) })
}

// because prefers the reason for which ctx ended to the error that followed from it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// copyExactly copies until w holds size bytes and the body ends.
func copyExactly(ctx context.Context, w *writer, body io.Reader, size int64, progress func()) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			progress()
			if w.size+int64(n) > size {
				w.keep = false
				return fmt.Errorf("%w: more than the announced %d bytes", ErrTooLarge, size)
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && w.size == size:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: %d of %d bytes", ErrShort, w.size, size)
		case err != nil:
			return because(ctx, err)
		}
	}
}
