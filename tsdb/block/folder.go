package block

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// writeFile writes a new file durably.
func writeFile(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// replaceFile puts a file in place of another at once and durably.
func replaceFile(path string, text []byte) error {
	if err := writeFile(path+unfinished, text); err != nil {
		return errors.Join(err, os.RemoveAll(path+unfinished))
	}
	if err := os.Rename(path+unfinished, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// List returns the folders of the blocks in a folder, oldest first. One that is not there has none.
func List(parent string) ([]string, error) {
	entries, err := os.ReadDir(parent) // sorted by name, and ids by time
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []string
	for _, entry := range entries {
		if id, err := uuid.Parse(entry.Name()); err == nil && entry.IsDir() && id.String() == entry.Name() {
			dirs = append(dirs, filepath.Join(parent, entry.Name()))
		}
	}
	return dirs, err
}

// Clean removes what crashes have left: folders of blocks that were not finished, or that were being removed. Nobody
// may be writing or removing blocks meanwhile.
func Clean(parent string) error {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		name, was := strings.CutSuffix(entry.Name(), unfinished)
		if !was {
			name, was = strings.CutSuffix(entry.Name(), condemned)
		}
		if _, bad := uuid.Parse(name); was && bad == nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(parent, entry.Name())))
		}
	}
	return err
}

// Remove takes a block away: whole or not at all, whatever happens meanwhile. Readers that have it open go on.
func Remove(dir string) error {
	dir = filepath.Clean(dir)
	if err := os.Rename(dir, dir+condemned); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return os.RemoveAll(dir + condemned)
}
