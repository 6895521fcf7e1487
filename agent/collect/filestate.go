package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileState keeps a state in a file, which is replaced as a whole and synced.
type FileState struct{ Path string }

var _ StateStore = FileState{}

// Load is nil where there is no file.
func (f FileState) Load(context.Context) ([]byte, error) {
	data, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save is durable when it returns.
func (f FileState) Save(_ context.Context, state []byte) (err error) {
	next, err := os.OpenFile(f.Path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("state of a collector: %w", err)
	}
	_, err = next.Write(state)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return fmt.Errorf("state of a collector: %w", err)
	}
	if err := os.Rename(next.Name(), f.Path); err != nil {
		return fmt.Errorf("state of a collector: %w", err)
	}
	dir, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return fmt.Errorf("state of a collector: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
