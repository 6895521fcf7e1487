package cli

import (
	"os"
	"path/filepath"
)

// atomicFile takes the place of another file only once it is complete and on the disk.
type atomicFile struct {
	*os.File
	path string
	done bool
}

// createAtomic makes the file, readable by its owner alone.
func createAtomic(path string) (*atomicFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &atomicFile{File: f, path: path}, nil
}

// commit puts the file in its place.
func (f *atomicFile) commit() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return syncDir(filepath.Dir(f.path))
}

// abandon removes what was not committed.
func (f *atomicFile) abandon() {
	if !f.done {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
