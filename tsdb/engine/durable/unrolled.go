package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"

	"github.com/novacron/novacron/tsdb/engine"
)

// unrolled are the imported blocks whose windows are still to be made, in a file that is there while there are any.
type unrolled struct {
	path   string
	blocks []uuid.UUID
}

type unrolledFile struct {
	Version int         `json:"version"`
	Blocks  []uuid.UUID `json:"blocks"`
	// Checksum is the CRC32C, in hexadecimal, of this file without it. Version 1 had none.
	Checksum string `json:"crc32c,omitempty"`
}

const unrolledVersion = 2

// errUnrolledDamaged is a file of which nobody knows what was in it.
var errUnrolledDamaged = errors.New("the file is damaged or was changed by hand")

func encodeUnrolled(version int, blocks []uuid.UUID) ([]byte, error) {
	file := unrolledFile{Version: version, Blocks: blocks}
	text, err := json.Marshal(file)
	if err != nil || version == 1 {
		return text, err
	}
	file.Checksum = fmt.Sprintf("%08x", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
	return json.Marshal(file)
}

func decodeUnrolled(text []byte) ([]uuid.UUID, error) {
	var file unrolledFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnrolledDamaged, err)
	}
	if again, err := encodeUnrolled(file.Version, file.Blocks); err != nil || !bytes.Equal(again, text) {
		return nil, errUnrolledDamaged
	}
	if file.Version > unrolledVersion {
		return nil, fmt.Errorf("version %d: this program reads up to version %d", file.Version, unrolledVersion)
	}
	return file.Blocks, nil
}

// readUnrolled reads the file. Where that is damaged, all blocks that may have been imported count, and the error is
// errUnrolledDamaged.
func readUnrolled(path string, blocks *blockSet) (unrolled, error) {
	u := unrolled{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return u, err
	}
	ids, err := decodeUnrolled(text)
	if errors.Is(err, errUnrolledDamaged) {
		ids = blocks.imported()
	}
	for _, id := range ids {
		if blocks.find(id) != nil {
			u.blocks = append(u.blocks, id)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return u, err
}

// imported are the blocks that were not made of others, nor of the head.
func (set *blockSet) imported() (ids []uuid.UUID) {
	for _, m := range set.metas() {
		if m.Tier == engine.TierRaw && len(m.Sources) == 0 && m.SealedUntil == nil {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// readUnrolled learns which windows are still to be made. To make some anew that are made is work and no harm.
func (s *Store) readUnrolled() (err error) {
	path := s.path("unrolled.json")
	s.unrolled, err = readUnrolled(path, s.blocks)
	if !errors.Is(err, errUnrolledDamaged) {
		return err
	}
	s.counters.damaged.Add(1)
	s.options.Log.Error("it is not known which windows of imported samples are made: those of all imported blocks are made anew", "error", err, "blocks", len(s.unrolled.blocks))
	if s.options.ReadOnly {
		return nil
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		return err
	}
	return s.unrolled.set(s.unrolled.blocks)
}

func (u *unrolled) has(id uuid.UUID) bool { return slices.Contains(u.blocks, id) }

func (u *unrolled) add(id uuid.UUID) error { return u.set(append(slices.Clone(u.blocks), id)) }

func (u *unrolled) drop(id uuid.UUID) error {
	return u.set(slices.DeleteFunc(slices.Clone(u.blocks), func(other uuid.UUID) bool { return other == id }))
}

// set replaces the file and then what is known.
func (u *unrolled) set(blocks []uuid.UUID) error {
	if len(blocks) == 0 {
		if err := os.Remove(u.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		u.blocks = nil
		return nil
	}
	text, err := encodeUnrolled(unrolledVersion, blocks)
	if err == nil {
		err = replaceFile(u.path, text)
	}
	if err == nil {
		u.blocks = blocks
	}
	return err
}

// replaceFile puts a file in the place of another, durably: there is always one or the other.
func replaceFile(path string, text []byte) error {
	err := writeFile(path+".new", text)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// writeFile writes a file durably.
func writeFile(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
