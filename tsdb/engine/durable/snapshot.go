package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/log"
)

// Snapshot makes a folder that, opened as a store, has every sample that was acknowledged before the call. Its files
// are hard links to those of the store, which change no more: it costs no space until blocks are merged or dropped
// here, and has to be on the same file system. The folder must not be there yet, and is there as a whole or not at all.
// Files are more files in the store's folder to link, where they are there: ones that are replaced and never written to.
func (s *Store) Snapshot(ctx context.Context, dir string, files ...string) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("snapshot to %s: it is there already: name a new folder", dir)
	}
	s.upkeep.Lock() // nothing is sealed, merged, deleted or dropped meanwhile
	defer s.upkeep.Unlock()
	if err := s.isOpen(ctx); err != nil {
		return err
	}
	making := dir + ".unfinished"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("snapshot to %s: %w", dir, err), os.RemoveAll(making))
		}
	}()
	if err := s.link(ctx, making, files); err != nil {
		return err
	}
	if err := os.Rename(making, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func (s *Store) link(ctx context.Context, to string, files []string) error {
	for _, dir := range []string{to, filepath.Join(to, "log"), filepath.Join(to, "blocks")} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	if err := s.linkLog(filepath.Join(to, "log")); err != nil {
		return err
	}
	for _, b := range s.blocks.list() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := linkFolder(b.Dir(), filepath.Join(to, "blocks", filepath.Base(b.Dir()))); err != nil {
			return err
		}
	}
	for _, name := range append(files, filepath.Base(s.unrolled.path), sealedName) {
		if err := linkFile(s.path(name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(syncDir(filepath.Join(to, "blocks")), syncDir(to))
}

// linkLog goes on to a new segment, so that the others change no more.
func (s *Store) linkLog(to string) error {
	last := uint64(math.MaxUint64)
	if s.log != nil {
		if err := s.endSegment(); err != nil {
			return err
		}
		last, _ = s.log.Segment()
	}
	segments, err := log.Segments(s.path("log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, segment := range segments {
		if segment >= last {
			break
		}
		name := fmt.Sprintf("%016d", segment)
		if err := linkFile(filepath.Join(s.path("log"), name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return syncDir(to)
}

func (s *Store) endSegment() error {
	s.life.Lock()
	defer s.life.Unlock()
	return s.freshSegment()
}

func linkFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o750); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := linkFile(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return syncDir(to)
}

func linkFile(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("%s is on another file system than %s: name a folder on the same one: %w", to, from, err)
	}
	return err
}
