package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"

	"github.com/novacron/novacron/tsdb/block"
)

// sealedMark is the time before which all samples were sealed, kept in a file once the block that told it is gone: the
// log may still have samples of that block beside later ones, and would bring them back.
type sealedMark struct {
	path  string
	until int64
}

type sealedFile struct {
	Version     int   `json:"version"`
	SealedUntil int64 `json:"sealed_until"`
	// Checksum is the CRC32C, in hexadecimal, of this file without it.
	Checksum string `json:"crc32c,omitempty"`
}

const (
	sealedName    = "sealed.json"
	sealedVersion = 1
)

// errSealedDamaged is a file of which nobody knows what was in it.
var errSealedDamaged = errors.New("the file is damaged or was changed by hand")

func encodeSealed(version int, until int64) ([]byte, error) {
	file := sealedFile{Version: version, SealedUntil: until}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	file.Checksum = fmt.Sprintf("%08x", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
	return json.Marshal(file)
}

func decodeSealed(text []byte) (until int64, err error) {
	var file sealedFile
	if err := json.Unmarshal(text, &file); err != nil {
		return 0, fmt.Errorf("%w: %w", errSealedDamaged, err)
	}
	if again, err := encodeSealed(file.Version, file.SealedUntil); err != nil || !bytes.Equal(again, text) {
		return 0, errSealedDamaged
	}
	if file.Version > sealedVersion {
		return 0, fmt.Errorf("version %d: this program reads up to version %d", file.Version, sealedVersion)
	}
	return file.SealedUntil, nil
}

// readSealed learns before which time samples are sealed. Where the file is damaged that is what the blocks say: samples
// that were dropped may come back, and are dropped again.
func (s *Store) readSealed() (err error) {
	s.mark = sealedMark{s.path(sealedName), math.MinInt64}
	text, err := os.ReadFile(s.mark.path)
	if err == nil {
		s.mark.until, err = decodeSealed(text)
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errSealedDamaged):
		s.mark.until = math.MinInt64
		s.counters.damaged.Add(1)
		s.options.Log.Error("it is not known how far samples that were dropped had been sealed: some may come back from the log", "file", s.mark.path, "error", err)
		if !s.options.ReadOnly {
			if err := os.Rename(s.mark.path, s.mark.path+".damaged"); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s: %w", s.mark.path, err)
	}
	s.sealed = s.sealedThrough()
	return nil
}

// sealedThrough is the time before which the head has nothing that is to be kept.
func (s *Store) sealedThrough() int64 { return max(s.mark.until, s.blocks.sealedThrough()) }

// outlive notes what a block tells of sealed samples before it goes; the caller holds upkeep.
func (s *Store) outlive(m block.Meta) error {
	if m.SealedUntil == nil || *m.SealedUntil <= s.mark.until {
		return nil
	}
	text, err := encodeSealed(sealedVersion, *m.SealedUntil)
	if err == nil {
		err = replaceFile(s.mark.path, text)
	}
	if err == nil {
		s.mark.until = *m.SealedUntil
	}
	return err
}

func (s *Store) outliveAll(metas []block.Meta) error {
	for _, m := range metas {
		if err := s.outlive(m); err != nil {
			return err
		}
	}
	return nil
}
