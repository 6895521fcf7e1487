package blob

import (
	"errors"
	"fmt"
	"time"
)

// Sweep deletes the files that keep does not want and that are older than patience: what was just stored may not have
// been referred to yet. It goes on after an error and returns them all.
func (s *Store) Sweep(keep func(hash string) bool, patience time.Duration) error {
	infos, err := s.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range infos {
		if keep(info.Hash) {
			continue
		}
		file, err := s.root.Lstat(info.Hash)
		if err != nil || time.Since(file.ModTime()) < patience {
			continue
		}
		if err := s.Delete(info.Hash); err != nil {
			errs = append(errs, fmt.Errorf("sweep: %w", err))
		}
	}
	return errors.Join(errs...)
}
