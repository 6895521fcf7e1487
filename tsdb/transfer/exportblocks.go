package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/novacron/novacron/tsdb/engine"
)

// promBlockLength is the time that one exported block covers, aligned: one of the lengths, in milliseconds, to which
// Prometheus itself merges its blocks.
const promBlockLength = 18 * 3_600_000

// ExportBlocks writes samples as blocks of Prometheus into a folder, which is made and has to be empty: floats by their
// bits, stale markers, and native histograms. Exemplars have no place in such blocks: Prometheus keeps them in its log
// alone. Start times have one only in chunk encodings that are behind feature flags, and that no earlier server reads. Both
// are counted as left out. Memory holds the words of all labels of a block and the chunks of one series. Blocks that were finished
// before an error stay.
func ExportBlocks(ctx context.Context, from engine.Engine, dir string, options ExportOptions) (report Report, err error) {
	if err := emptyFolder(dir); err != nil {
		return report, err
	}
	minT, maxT, ok := from.Bounds()
	minT, maxT = max(minT, options.MinTime), min(maxT, options.MaxTime)
	if !ok || minT > maxT {
		return report, nil
	}
	e := blockExporter{from: from, dir: dir, lists: options.Match, report: &report, seen: map[uint64]bool{}}
	for at := minT; ; {
		end := at - modulo(at, promBlockLength) + promBlockLength - 1
		if err := e.block(ctx, at, min(end, maxT)); err != nil {
			return report, fmt.Errorf("exporting the block from %s to %s: %w", stamp(at), stamp(min(end, maxT)), err)
		}
		if end >= maxT {
			break
		}
		at = end + 1
	}
	report.Series = int64(len(e.seen))
	return report, e.countExemplars(ctx, minT, maxT)
}

func modulo(t, length int64) int64 { return (t%length + length) % length }

// emptyFolder makes a folder, or finds it empty.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: blocks are exported to a new folder, so that they do not overlap others", dir)
	}
	return err
}

// blockExporter writes one block after the other.
type blockExporter struct {
	from   engine.Engine
	dir    string
	lists  [][]*labels.Matcher
	report *Report
	// seen are the series of all blocks, by the hashes of their labels.
	seen   map[uint64]bool
	series promChunks
}

// block writes a block of the samples in the bounds, both inclusive; none where there is no sample.
func (e *blockExporter) block(ctx context.Context, minT, maxT int64) (err error) {
	words, err := e.words(ctx, minT, maxT)
	if err != nil || len(words) == 0 {
		return err
	}
	id, err := newULID()
	if err != nil {
		return err
	}
	making := filepath.Join(e.dir, id+".tmp-for-creation") // Prometheus removes what has such a name
	defer func() { err = errors.Join(err, os.RemoveAll(making)) }()
	stats, err := e.files(ctx, making, words, minT, maxT)
	if err != nil || stats.Series == 0 {
		return err
	}
	if err := writePromMeta(making, id, e.series.minT, e.series.maxT+1, stats); err != nil {
		return err
	}
	e.report.widen(e.series.minT, e.series.maxT)
	e.report.Samples += int64(stats.Samples)
	e.report.Blocks++
	return os.Rename(making, filepath.Join(e.dir, id))
}

// words are all names and values of the labels of the series in the bounds, sorted.
func (e *blockExporter) words(ctx context.Context, minT, maxT int64) ([]string, error) {
	seen := map[string]struct{}{}
	err := e.each(ctx, minT, maxT, func(s engine.Series) error {
		s.Labels().Range(func(l labels.Label) {
			seen[l.Name], seen[l.Value] = struct{}{}, struct{}{}
		})
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

// each gives the series to use, in the order of their labels.
func (e *blockExporter) each(ctx context.Context, minT, maxT int64, use func(engine.Series) error) (err error) {
	sel := engine.Selection{Min: minT, Max: maxT, Sorted: true}
	if len(e.lists) == 1 {
		sel.Matchers = e.lists[0]
	}
	set, err := e.from.Select(ctx, sel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s := set.At(); len(e.lists) < 2 || matchedBy(e.lists, s.Labels()) {
			if err := use(s); err != nil {
				return fmt.Errorf("series %s: %w", s.Labels(), err)
			}
		}
	}
	return set.Err()
}

// files writes the chunks and the index of a block.
func (e *blockExporter) files(ctx context.Context, dir string, words []string, minT, maxT int64) (stats promStats, err error) {
	chunkFiles, err := chunks.NewWriter(filepath.Join(dir, "chunks"))
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, chunkFiles.Close()) }()
	indexFile, err := index.NewWriter(ctx, filepath.Join(dir, "index"))
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, indexFile.Close()) }()
	for _, word := range words {
		if err := indexFile.AddSymbol(word); err != nil {
			return stats, err
		}
	}
	e.series.minT, e.series.maxT = maxT, minT
	err = e.each(ctx, minT, maxT, func(s engine.Series) error {
		metas, err := e.series.encode(s, &stats, e.report)
		if err != nil || len(metas) == 0 {
			return err
		}
		if err := chunkFiles.WriteChunks(metas...); err != nil {
			return err
		}
		lset := s.Labels()
		e.seen[lset.Hash()] = true
		stats.Series++
		return addNumbered(indexFile.AddSeries, stats.Series, lset, metas)
	})
	return stats, err
}

// addNumbered adds a series with a number of the type that the index has for it.
func addNumbered[R ~uint64](add func(R, labels.Labels, ...chunks.Meta) error, number uint64, lset labels.Labels, metas []chunks.Meta) error {
	return add(R(number), lset, metas...)
}

// countExemplars counts what is left out.
func (e *blockExporter) countExemplars(ctx context.Context, minT, maxT int64) error {
	found, err := e.from.Exemplars(ctx, minT, maxT)
	for _, of := range found {
		if len(e.lists) == 0 || matchedBy(e.lists, of.Labels) {
			e.report.leave(LeftExemplars, int64(len(of.Exemplars)))
		}
	}
	return err
}

// promStats are counts of a block's meta.json.
type promStats struct {
	Samples    uint64 `json:"numSamples"`
	Floats     uint64 `json:"numFloatSamples"`
	Histograms uint64 `json:"numHistogramSamples"`
	Series     uint64 `json:"numSeries"`
	Chunks     uint64 `json:"numChunks"`
}

// promMeta is the form of meta.json, version 1. MaxTime is the first time behind the block.
type promMeta struct {
	ULID       string         `json:"ulid"`
	MinTime    int64          `json:"minTime"`
	MaxTime    int64          `json:"maxTime"`
	Stats      promStats      `json:"stats"`
	Compaction promCompaction `json:"compaction"`
	Version    int            `json:"version"`
}

type promCompaction struct {
	Level   int      `json:"level"`
	Sources []string `json:"sources"`
}

func writePromMeta(dir, id string, minT, end int64, stats promStats) error {
	text, err := json.MarshalIndent(promMeta{
		ULID: id, MinTime: minT, MaxTime: end, Stats: stats, Compaction: promCompaction{Level: 1, Sources: []string{id}}, Version: 1,
	}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "meta.json"), append(text, '\n'), fs.FileMode(0o640))
}

// newULID is a name for a block: 16 bytes, the time first, in Crockford's letters (github.com/ulid/spec). A UUID of
// version 7 has the time in the same place.
func newULID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	text := make([]byte, 26)
	// 128 bits are 25 letters of 5 bits and one of 3, which comes first.
	bits, held, at := uint32(0), uint(2), 0
	for _, b := range id {
		bits, held = bits<<8|uint32(b), held+8
		for held >= 5 {
			held -= 5
			text[at] = letters[bits>>held&31]
			at++
		}
	}
	return string(text), nil
}
