package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
	"github.com/prometheus/prometheus/tsdb/tombstones"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/merge"
)

// PrometheusBlocks finds the blocks of Prometheus in a folder, which may be one itself, oldest name first.
func PrometheusBlocks(dir string) ([]string, error) {
	if isPrometheusBlock(dir) {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var blocks []string
	for _, entry := range entries {
		if path := filepath.Join(dir, entry.Name()); entry.IsDir() && isPrometheusBlock(path) {
			blocks = append(blocks, path)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s has no block of Prometheus: such a folder holds an index, meta.json and chunks/", dir)
	}
	return blocks, nil
}

func isPrometheusBlock(dir string) bool {
	for _, part := range []string{"index", "meta.json", "chunks"} {
		if _, err := os.Stat(filepath.Join(dir, part)); err != nil {
			return false
		}
	}
	return true
}

// PrometheusBlock imports one block of Prometheus: floats, histograms and stale markers as they are, less what its
// tombstones hide. The block is read once for each stretch of time; memory holds one series of one stretch.
func PrometheusBlock(ctx context.Context, dir string, target Target, options Options) (report Report, err error) {
	options = options.withDefaults()
	b, err := openPromBlock(dir)
	if err != nil {
		return Report{}, fmt.Errorf("block %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.options = &options
	if err := b.measure(); err != nil {
		return Report{}, fmt.Errorf("block %s: %w; nothing of it was imported", dir, err)
	}
	for t := b.minT; t <= b.maxT; {
		span := target.ImportRange(t)
		if err := b.importSpan(ctx, target, span, &report); err != nil {
			return report, fmt.Errorf("block %s, %s to %s (what was before is imported, and stays): %w", dir, stamp(span.Min), stamp(span.Max), err)
		}
		t = span.Max + 1
	}
	report.Series = b.series
	return report, nil
}

// promBlock is an open block of Prometheus.
type promBlock struct {
	options    *Options
	index      *index.Reader
	chunks     *chunks.Reader
	tombstones tombstones.Reader
	minT, maxT int64
	series     int64
}

func openPromBlock(dir string) (b *promBlock, err error) {
	b = &promBlock{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.index, err = index.NewFileReader(filepath.Join(dir, "index"), index.DecodePostingsRaw); err != nil {
		return b, err
	}
	if b.chunks, err = chunks.NewDirReader(filepath.Join(dir, "chunks"), nil); err != nil {
		return b, err
	}
	b.tombstones, _, err = tombstones.ReadTombstones(dir)
	if errors.Is(err, fs.ErrNotExist) {
		b.tombstones, err = tombstones.NewMemTombstones(), nil
	}
	return b, err
}

func (b *promBlock) close() error {
	var errs []error
	if b.index != nil {
		errs = append(errs, b.index.Close())
	}
	if b.chunks != nil {
		errs = append(errs, b.chunks.Close())
	}
	if b.tombstones != nil {
		errs = append(errs, b.tombstones.Close())
	}
	return errors.Join(errs...)
}

// each walks over the series in the order of their labels, with their chunks and what is deleted of them.
func (b *promBlock) each(use func(lset labels.Labels, metas []chunks.Meta, deleted tombstones.Intervals) error) error {
	name, value := index.AllPostingsKey()
	postings, err := b.index.Postings(context.Background(), name, value)
	if err != nil {
		return err
	}
	var builder labels.ScratchBuilder
	var metas []chunks.Meta
	for postings.Next() {
		if err := b.index.Series(postings.At(), &builder, &metas); err != nil {
			return fmt.Errorf("series %d of the index: %w", postings.At(), err)
		}
		deleted, err := b.tombstones.Get(postings.At())
		if err != nil {
			return err
		}
		if err := use(builder.Labels(), metas, deleted); err != nil {
			return err
		}
	}
	return postings.Err()
}

// measure finds the bounds of time, and whether the shard takes all labels.
func (b *promBlock) measure() error {
	b.minT, b.maxT = math.MaxInt64, math.MinInt64
	err := b.each(func(lset labels.Labels, metas []chunks.Meta, _ tombstones.Intervals) error {
		b.series++
		for _, m := range metas {
			b.minT, b.maxT = min(b.minT, m.MinTime), max(b.maxT, m.MaxTime)
		}
		return b.options.checkLabels(lset)
	})
	if err != nil || b.minT > b.maxT {
		return err
	}
	return errors.Join(b.options.checkTime(b.minT), b.options.checkTime(b.maxT))
}

// importSpan makes one block of what lies in a stretch of time.
func (b *promBlock) importSpan(ctx context.Context, target Target, span merge.Interval, report *Report) error {
	var deleted int64
	meta, err := target.ImportBlock(ctx, func(add func(labels.Labels, []merge.Chunk) error) error {
		var series promSeries
		return b.each(func(lset labels.Labels, metas []chunks.Meta, gone tombstones.Intervals) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			series.reset()
			for _, m := range metas {
				if m.MinTime > span.Max || m.MaxTime < span.Min {
					continue
				}
				if err := series.read(b.chunks, m, span, gone); err != nil {
					return fmt.Errorf("series %s: %w", lset, err)
				}
			}
			deleted += series.deleted
			if made := series.finish(); len(made) > 0 {
				return add(lset, made)
			}
			return nil
		})
	})
	if errors.Is(err, block.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	report.widen(meta.MinTime, meta.MaxTime)
	report.Samples += int64(meta.Samples)
	report.Blocks++
	report.leave(LeftDeleted, deleted)
	return nil
}

// promSeries makes our chunks of those of Prometheus.
type promSeries struct {
	builder
	it      chunkenc.Iterator
	deleted int64
}

func (s *promSeries) reset() {
	s.builder.reset()
	s.deleted = 0
}

// read adds the samples of a chunk that lie in the span. Chunks come in order of time and do not overlap.
func (s *promSeries) read(from *chunks.Reader, m chunks.Meta, span merge.Interval, gone tombstones.Intervals) error {
	chunk, _, err := from.ChunkOrIterable(m)
	if err != nil {
		return err
	}
	s.it = chunk.Iterator(s.it)
	for kind := s.it.Next(); kind != chunkenc.ValNone; kind = s.it.Next() {
		t := s.it.AtT()
		if t < span.Min || t > span.Max {
			continue
		}
		if slices.ContainsFunc(gone, func(i tombstones.Interval) bool { return i.InBounds(t) }) {
			s.deleted++
			continue
		}
		if s.count > 0 && t <= s.maxT {
			return fmt.Errorf("the sample of %s comes after one of %s: Prometheus writes blocks in order of time", stamp(t), stamp(s.maxT))
		}
		switch kind {
		case chunkenc.ValHistogram:
			_, h := s.it.AtHistogram(nil)
			s.histogram(t, h)
		case chunkenc.ValFloatHistogram:
			_, h := s.it.AtFloatHistogram(nil)
			s.floatHistogram(t, h)
		default:
			_, v := s.it.At()
			s.float(t, v)
		}
	}
	return s.it.Err()
}
