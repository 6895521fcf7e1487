package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The directory holds numbered generations and one symbolic link, current, to the live one. A new generation is
// complete and synced before one rename moves the link, so that a crash leaves the old files or the new ones, never a mix.
const (
	currentLink = "current"
	newLink     = "current.new"
	genPrefix   = "gen-"
)

// maxFile bounds what is read back, in bytes.
const maxFile = 64 << 10

// swapper replaces a set of files in one step.
type swapper struct {
	dir string
	// step is called before every durable step; tests fail it to cut the power there.
	step func(name string) error
}

func newSwapper(dir string) swapper {
	return swapper{dir: dir, step: func(string) error { return nil }}
}

// swap writes files over the current generation; a nil content removes that file.
func (s swapper) swap(files map[string][]byte) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	all, err := s.merged(files)
	if err != nil {
		return err
	}
	gen, err := s.writeGeneration(all)
	if err != nil {
		return fmt.Errorf("write keys to %s: %w", s.dir, err)
	}
	if err := s.moveLink(gen); err != nil {
		return fmt.Errorf("switch keys in %s: %w", s.dir, err)
	}
	return s.clean(gen)
}

func (s swapper) merged(files map[string][]byte) (map[string][]byte, error) {
	all, err := readFiles(s.dir)
	if err != nil {
		return nil, err
	}
	for name, data := range files {
		if all[name] = data; data == nil {
			delete(all, name)
		}
	}
	return all, nil
}

func (s swapper) writeGeneration(files map[string][]byte) (string, error) {
	path, err := os.MkdirTemp(s.dir, genPrefix) // mode 0700
	if err != nil {
		return "", err
	}
	for name, data := range files {
		if err := s.step("write " + name); err != nil {
			return "", err
		}
		if err := writeSynced(filepath.Join(path, name), data); err != nil {
			return "", err
		}
	}
	if err := s.step("sync generation"); err != nil {
		return "", err
	}
	return filepath.Base(path), syncDir(path)
}

func (s swapper) moveLink(gen string) error {
	tmp := filepath.Join(s.dir, newLink)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.step("link"); err != nil {
		return err
	}
	if err := os.Symlink(gen, tmp); err != nil {
		return err
	}
	// The generation's own entry must be on disk before the link that names it.
	if err := syncDir(s.dir); err != nil {
		return err
	}
	if err := s.step("rename"); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(s.dir, currentLink)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// clean removes older generations, those of crashed writers too: old private keys should not linger.
func (s swapper) clean(keep string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == keep || !strings.HasPrefix(e.Name(), genPrefix) {
			continue
		}
		if err := s.step("clean"); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			return fmt.Errorf("remove old keys: %w", err)
		}
	}
	return nil
}

// readFiles reads the current generation; an empty map when there is none yet.
func readFiles(dir string) (map[string][]byte, error) {
	gen := filepath.Join(dir, currentLink)
	entries, err := os.ReadDir(gen)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string][]byte{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	files := make(map[string][]byte, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxFile {
			return nil, fmt.Errorf("%w: %s in %s is no regular file of at most %d bytes", ErrBadMaterial, e.Name(), gen, maxFile)
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(gen, e.Name())); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
	}
	return files, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
