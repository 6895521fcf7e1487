package block

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Snapshot makes the block appear in another folder of the same file system, with what is deleted from it now. It
// takes no room until one of the two is removed: the files are the same ones, and none of them ever changes.
func (b *Block) Snapshot(parent string) error {
	if err := b.enter(); err != nil {
		return err
	}
	to := filepath.Join(parent, b.meta.ID.String())
	err := b.link(to + unfinished)
	if err == nil {
		err = os.Rename(to+unfinished, to)
	}
	if err == nil {
		err = syncDir(parent)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("snapshot of block %s: %w", b.dir, err), os.RemoveAll(to+unfinished))
	}
	return errors.Join(err, b.Release())
}

// link links all files into a new folder.
func (b *Block) link(dir string) error {
	b.deleting.Lock()
	defer b.deleting.Unlock()
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	names := []string{metaName, tombstonesName}
	for _, file := range b.meta.Files {
		names = append(names, file.Name)
	}
	for _, name := range names {
		err := os.Link(filepath.Join(b.dir, name), filepath.Join(dir, name))
		if err != nil && (name != tombstonesName || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return syncDir(dir)
}
