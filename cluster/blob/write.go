package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// reserveStep is how much is reserved at a time while the size of a file is unknown.
const reserveStep = 1 << 20

// Put stores what r delivers and returns its hash. When want is not empty the content must have that hash. A file
// appears whole, synced to disk, or not at all; what is there already is not read or written again.
func (s *Store) Put(ctx context.Context, r io.Reader, want string) (Info, error) {
	if want != "" {
		if err := CheckHash(want); err != nil {
			return Info{}, err
		}
		if info, err := s.Stat(want); err == nil {
			return info, nil
		}
	}
	w, err := s.create()
	if err != nil {
		return Info{}, fmt.Errorf("put blob: %w", err)
	}
	defer w.abandon()
	if _, err := io.Copy(w, contextReader{ctx, r}); err != nil {
		return Info{}, fmt.Errorf("put blob after %d bytes: %w", w.size, err)
	}
	info, err := w.finish(want)
	if err != nil {
		return Info{}, fmt.Errorf("put blob of %d bytes: %w", w.size, err)
	}
	return info, nil
}

// contextReader stops reading when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// writer is a file that is being written.
type writer struct {
	store    *Store
	file     *os.File
	name     string
	keep     bool // a partial download survives abandon
	sum      hash.Hash
	size     int64 // bytes written
	reserved int64 // bytes counted against the quota
	done     bool
}

// create starts a temporary file.
func (s *Store) create() (*writer, error) {
	s.mu.Lock()
	s.serial++
	name := fmt.Sprintf("%s%d", tempPrefix, s.serial)
	s.mu.Unlock()
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &writer{store: s, file: f, name: name, sum: sha256.New()}, nil
}

// resume opens the partial download of hash, empty when there is none, and hashes what it holds.
func (s *Store) resume(ctx context.Context, hash string) (*writer, error) {
	name := partPrefix + hash
	if fi, err := s.root.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("partial download %s in %s is not a regular file: remove it", name, s.dir)
	}
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w := &writer{store: s, file: f, name: name, keep: true, sum: sha256.New()}
	if w.size, err = io.Copy(w.sum, contextReader{ctx, f}); err != nil {
		f.Close()
		return nil, err
	}
	w.reserved = w.size // Open or the write before counted it
	return w, nil
}

// restart throws away what is there.
func (w *writer) restart() error {
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := w.file.Truncate(0); err != nil {
		return err
	}
	w.store.release(w.reserved)
	w.reserved, w.size = 0, 0
	w.sum.Reset()
	return nil
}

// Write appends within the limits.
func (w *writer) Write(p []byte) (int, error) {
	if end := w.size + int64(len(p)); end > w.store.limits.MaxSize {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.store.limits.MaxSize)
	} else if end > w.reserved {
		if err := w.reserve(end); err != nil {
			return 0, err
		}
	}
	n, err := w.file.Write(p)
	w.sum.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// reserve counts at least up to end against the quota, in steps, as far as the quota goes.
func (w *writer) reserve(end int64) error {
	for _, target := range []int64{max(end, w.reserved+reserveStep), end} {
		err := w.store.reserve(target - w.reserved)
		if err == nil {
			w.reserved = target
			return nil
		}
		if target == end {
			return err
		}
	}
	return nil
}

// reserve takes n bytes of the quota and checks the file system.
func (s *Store) reserve(n int64) error {
	free, err := s.free()
	if err != nil {
		return err
	}
	if free-n < s.limits.MinFree {
		return fmt.Errorf("%w in %s: %d bytes free, %d must stay free; delete files or lower the minimum", ErrNoSpace, s.dir, free, s.limits.MinFree)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits.Quota > 0 && s.used+n > s.limits.Quota {
		return fmt.Errorf("%w: %d of %d bytes in %s are used, %d more asked for; delete files or raise the quota", ErrQuota, s.used, s.limits.Quota, s.dir, n)
	}
	s.used += n
	return nil
}

func (s *Store) release(n int64) {
	s.mu.Lock()
	s.used -= n
	s.mu.Unlock()
}

// finish checks the hash, syncs and renames. After a mismatch nothing is left, not even of a partial download.
func (w *writer) finish(want string) (Info, error) {
	got := hexSum(w.sum.Sum(nil))
	if want != "" && got != want {
		w.keep = false
		return Info{}, &MismatchError{Want: want, Got: got}
	}
	if err := w.file.Sync(); err != nil {
		return Info{}, err
	}
	if _, err := w.store.Stat(got); err == nil {
		// The same bytes are there: abandon drops this copy.
		w.keep = false
		return Info{Hash: got, Size: w.size}, nil
	}
	return Info{Hash: got, Size: w.size}, w.publish(got)
}

// publish gives the file its name. Of two that finish together the second finds the name taken and is dropped.
func (w *writer) publish(hash string) error {
	s := w.store
	s.mu.Lock()
	_, err := s.root.Lstat(hash)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.root.Rename(w.name, hash); err == nil {
			w.done = true
			s.used -= w.reserved - w.size
		}
	} else if err == nil {
		w.keep = false
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.syncDir()
}

// syncDir makes names durable.
func (s *Store) syncDir() error {
	d, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("sync %s: %w", s.dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.dir, err)
	}
	return nil
}

// abandon closes the file; what was not published is removed unless it is a partial download worth keeping.
func (w *writer) abandon() {
	w.file.Close()
	if w.done {
		return
	}
	if w.keep && w.size > 0 {
		w.store.release(w.reserved - w.size)
		return
	}
	w.store.release(w.reserved)
	// A file that cannot be removed now is swept when the store opens next.
	_ = w.store.root.Remove(w.name)
}

// hashReader returns the hash of all that r delivers.
func hashReader(ctx context.Context, r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, r}); err != nil {
		return "", err
	}
	return hexSum(sum.Sum(nil)), nil
}
