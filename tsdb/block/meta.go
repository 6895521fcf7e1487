// Package block keeps samples of one range of time in a folder that never changes: chunks, an index over their series,
// and what was deleted since. FORMAT.md describes every byte.
package block

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// The versions of the format that this code reads. A block is written in the first one that has what it needs, so that
// older programs read it.
const (
	versionFirst    = 1
	versionStarts   = 2 // chunks with start times
	versionRelative = 3 // windows in their second form
	versionSparse   = 4 // columns of the second version
	versionLast     = versionSparse
)

// versionOf is the version that a chunk needs.
func versionOf(c *Chunk) int {
	switch {
	case chunk.Sparse(c.Kind, c.Values):
		return versionSparse
	case c.Kind == chunk.KindWindows && chunk.Relative(c.Values):
		return versionRelative
	case c.Kind.HasStarts():
		return versionStarts
	}
	return versionFirst
}

// ErrEmpty says that a block would hold no sample, so that none was made.
var ErrEmpty = errors.New("no sample is left for the block")

// Meta says what is in a block. All times are in milliseconds.
type Meta struct {
	ID uuid.UUID
	// MinTime and MaxTime are the times of the first and the last sample; of windows, their ends.
	MinTime, MaxTime int64
	Tier             engine.Tier
	// Level is 1 for a block of the head, and grows as blocks are merged.
	Level int
	// Sequence is the generation: of samples with the same series and time, the one of the block with the greater
	// sequence is the right one.
	Sequence uint64
	// Sources are the blocks that this one was made of.
	Sources []uuid.UUID
	// Covers is the range of time that a merge was asked for: everything that the sources had in it is here.
	Covers *merge.Interval
	// SealedUntil is set in a block of the head: all that the head had up to this time is in this block or in older
	// ones.
	SealedUntil *int64
	// Series, Chunks, Samples and Bytes count what is inside; Bytes are those of all files.
	Series, Chunks, Samples, Bytes uint64
	// Version is the one of the format that the block is written in, which says what may be in it.
	Version int
	// Files have to have these sizes.
	Files []File
}

// File is a file of a block, tombstones and meta.json excepted.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Interval is the time from the first sample to the last.
func (m *Meta) Interval() merge.Interval { return merge.Interval{Min: m.MinTime, Max: m.MaxTime} }

// metaFile is the form of meta.json.
type metaFile struct {
	Version     int             `json:"version"`
	ID          uuid.UUID       `json:"id"`
	MinTime     int64           `json:"min_time"`
	MaxTime     int64           `json:"max_time"`
	Tier        string          `json:"tier"`
	Level       int             `json:"level"`
	Sequence    uint64          `json:"sequence"`
	Sources     []uuid.UUID     `json:"sources,omitempty"`
	Covers      *merge.Interval `json:"covers,omitempty"`
	SealedUntil *int64          `json:"sealed_until,omitempty"`
	Series      uint64          `json:"series"`
	Chunks      uint64          `json:"chunks"`
	Samples     uint64          `json:"samples"`
	Bytes       uint64          `json:"bytes"`
	Files       []File          `json:"files"`
	// Checksum is the CRC32C, in hexadecimal, of this file with the checksum empty.
	Checksum string `json:"crc32c"`
}

var tiers = []engine.Tier{engine.TierRaw, engine.TierFiveMinutes, engine.TierHour}

func (m *Meta) encode() ([]byte, error) {
	file := metaFile{
		Version: m.Version, ID: m.ID, MinTime: m.MinTime, MaxTime: m.MaxTime, Tier: m.Tier.String(), Level: m.Level,
		Sequence: m.Sequence, Sources: m.Sources, Covers: m.Covers, SealedUntil: m.SealedUntil,
		Series: m.Series, Chunks: m.Chunks, Samples: m.Samples, Bytes: m.Bytes, Files: m.Files,
	}
	sum, err := file.sum()
	if err != nil {
		return nil, err
	}
	file.Checksum = sum
	text, err := json.MarshalIndent(&file, "", "  ")
	return append(text, '\n'), err
}

// sum is the checksum of the file without it.
func (f metaFile) sum() (string, error) {
	f.Checksum = ""
	text, err := json.Marshal(&f)
	return fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)), err
}

func decodeMeta(text []byte) (Meta, error) {
	var file metaFile
	if err := json.Unmarshal(text, &file); err != nil {
		return Meta{}, err
	}
	if file.Version < versionFirst || file.Version > versionLast {
		return Meta{}, fmt.Errorf("version %d: this program reads the versions %d to %d; read it with the program that wrote it", file.Version, versionFirst, versionLast)
	}
	if sum, err := file.sum(); err != nil || sum != file.Checksum {
		return Meta{}, fmt.Errorf("checksum %s, computed %s: the file was damaged or changed by hand", file.Checksum, sum)
	}
	meta, err := file.meta()
	if err != nil {
		return Meta{}, err
	}
	// What JSON forgives, such as other spaces, was not written by this program either.
	if again, err := meta.encode(); err != nil || !bytes.Equal(again, text) {
		return Meta{}, errors.New("the file is not as it was written: it was damaged or changed by hand")
	}
	return meta, nil
}

func (f *metaFile) meta() (Meta, error) {
	for _, tier := range tiers {
		if tier.String() == f.Tier {
			return Meta{
				ID: f.ID, MinTime: f.MinTime, MaxTime: f.MaxTime, Tier: tier, Level: f.Level,
				Sequence: f.Sequence, Sources: f.Sources, Covers: f.Covers, SealedUntil: f.SealedUntil,
				Series: f.Series, Chunks: f.Chunks, Samples: f.Samples, Bytes: f.Bytes, Files: f.Files,
				Version: f.Version,
			}, nil
		}
	}
	return Meta{}, fmt.Errorf("tier %q: known are %v", f.Tier, tiers)
}

// ReadMeta reads what a block says of itself.
func ReadMeta(dir string) (Meta, error) {
	path := filepath.Join(dir, metaName)
	text, err := os.ReadFile(path)
	if err != nil {
		return Meta{}, err
	}
	meta, err := decodeMeta(text)
	if err != nil {
		return Meta{}, fmt.Errorf("%s: %w", path, err)
	}
	return meta, nil
}
