package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// Info describes one file.
type Info struct {
	Hash string // lower-case hexadecimal SHA-256
	Size int64  // bytes
}

const (
	tempPrefix = "tmp-"
	partPrefix = "part-"

	// partialAge is how long a partial download may wait for the rest.
	partialAge = 7 * 24 * time.Hour
)

// Store is a directory of files named by their hash. Its methods may be called concurrently; one process owns the
// directory. Files are final: a name is never given to other bytes.
type Store struct {
	dir    string
	root   *os.Root
	limits Limits
	free   func() (int64, error)

	fetches   singleflight.Group
	downloads *semaphore.Weighted

	mu     sync.Mutex
	used   int64 // bytes of finished files and of reservations
	serial uint64
}

// Open opens or creates a store and removes what a crash left unfinished. Partial downloads are kept for a week: Fetch
// goes on with them.
func Open(dir string, limits Limits) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	limits = limits.withDefaults()
	s := &Store{
		dir: dir, root: root, limits: limits,
		free:      func() (int64, error) { return freeBytes(dir) },
		downloads: semaphore.NewWeighted(int64(limits.Parallel)),
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("open blob store %s: %w", dir, err), root.Close())
	}
	return s, nil
}

// Close releases the directory; open files stay usable.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes temporary files and counts the rest.
func (s *Store) sweep() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if leftOver(info) {
			if err := s.root.Remove(e.Name()); err != nil {
				return err
			}
			continue
		}
		if counted(e.Name()) && info.Mode().IsRegular() {
			s.used += info.Size()
		}
	}
	return nil
}

// leftOver tells whether a file is of no use any more.
func leftOver(info fs.FileInfo) bool {
	old := time.Since(info.ModTime()) > partialAge
	return strings.HasPrefix(info.Name(), tempPrefix) || (old && strings.HasPrefix(info.Name(), partPrefix) && counted(info.Name()))
}

// counted tells whether a name is a file or a partial download of ours.
func counted(name string) bool {
	return CheckHash(strings.TrimPrefix(name, partPrefix)) == nil
}

// Path returns where the file is, for programs that take a path. It fails when the file is not there.
func (s *Store) Path(hash string) (string, error) {
	if _, err := s.Stat(hash); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, hash), nil
}

// Stat returns the file's size.
func (s *Store) Stat(hash string) (Info, error) {
	if err := CheckHash(hash); err != nil {
		return Info{}, err
	}
	// Lstat: a symbolic link in the directory is not ours and is not followed.
	fi, err := s.root.Lstat(hash)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !fi.Mode().IsRegular()) {
		return Info{}, fmt.Errorf("%w: %s in %s", ErrNotFound, hash, s.dir)
	}
	if err != nil {
		return Info{}, fmt.Errorf("stat blob %s: %w", hash, err)
	}
	return Info{Hash: hash, Size: fi.Size()}, nil
}

// Open opens the file for reading.
func (s *Store) Open(hash string) (*os.File, error) {
	if _, err := s.Stat(hash); err != nil {
		return nil, err
	}
	f, err := s.root.Open(hash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, hash, s.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", hash, err)
	}
	return f, nil
}

// Delete removes the file; who has it open reads on.
func (s *Store) Delete(hash string) error {
	info, err := s.Stat(hash)
	if err != nil {
		return err
	}
	if err := s.root.Remove(hash); err != nil {
		return fmt.Errorf("delete blob %s: %w", hash, err)
	}
	s.release(info.Size)
	return s.syncDir()
}

// List returns all files, ordered by hash.
func (s *Store) List() ([]Info, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list blobs in %s: %w", s.dir, err)
	}
	var out []Info
	for _, e := range entries {
		if CheckHash(e.Name()) != nil {
			continue
		}
		info, err := s.Stat(e.Name())
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Hash, b.Hash) })
	return out, nil
}

// Used returns the bytes that count against the quota: files, partial downloads and files being written.
func (s *Store) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Verify reads every file again and returns one error for all that are damaged, each a *MismatchError.
func (s *Store) Verify(ctx context.Context) error {
	files, err := s.List()
	if err != nil {
		return err
	}
	var bad []error
	for _, f := range files {
		err := s.verifyOne(ctx, f.Hash)
		if ctx.Err() != nil {
			return fmt.Errorf("verify blobs: %w", ctx.Err())
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			bad = append(bad, fmt.Errorf("verify %s: %w", filepath.Join(s.dir, f.Hash), err))
		}
	}
	return errors.Join(bad...)
}

func (s *Store) verifyOne(ctx context.Context, hash string) error {
	f, err := s.Open(hash)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := hashReader(ctx, f)
	if err == nil && got != hash {
		err = &MismatchError{Want: hash, Got: got}
	}
	return err
}
