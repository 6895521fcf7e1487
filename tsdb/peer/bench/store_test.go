package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/prometheus/prometheus/promql"
)

// scrapes are some consecutive scrapes of one host.
type scrapes struct {
	host   int
	times  []int64
	values [][]float64 // by scrape
}

// store is a subject of the measurements. append may be called for different hosts at the same time.
type store interface {
	// prepare makes what append sends, which is not measured.
	prepare(s *scrapes) error
	append(s *scrapes) error
	// maintain does what is due at a time in milliseconds.
	maintain(now int64) error
	// show lets questions see all samples.
	show() error
	// settle moves all samples to where they stay, in the form that they stay in.
	settle(now int64) error
	reopen() error
	// drain reads the samples between two times, both inclusive, and counts them; find just counts the series.
	drain(minT, maxT int64, ms []*labels.Matcher) (int, error)
	find(minT, maxT int64, ms []*labels.Matcher) (int, error)
	// query evaluates PromQL, with times in milliseconds, and counts the points of the answer.
	query(expr string, start, end, step int64) (int, error)
	// here says that the store is in this process: what this process does besides, it takes on it.
	here() bool
	// cost is the time of the processor since the start, peak the most memory so far in bytes.
	cost() (time.Duration, error)
	peak() (int64, error)
	// bytes are those on disk of the samples as written, and of windows made of them.
	bytes() (raw, windows int64, err error)
	close() error
}

// subject makes a store in a folder for a workload.
type subject func(dir string, w *workload, j job) (store, error)

const (
	ourName        = "ours"
	prometheusName = "prometheus"
	victoriaName   = "victoriametrics"
)

var subjects = map[string]subject{ourName: openOurs, prometheusName: openPrometheus, victoriaName: openVictoria}

// folder is the size of all files below it.
func folder(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		n += info.Size()
		return nil
	})
	return n, err
}

// drainQuerier reads all samples of an answer.
func drainQuerier(ctx context.Context, q storage.Queryable, minT, maxT int64, ms []*labels.Matcher) (n int, err error) {
	err = each(ctx, q, minT, maxT, ms, func(series storage.Series, old chunkenc.Iterator) (chunkenc.Iterator, error) {
		it := series.Iterator(old)
		for it.Next() != chunkenc.ValNone {
			it.At()
			n++
		}
		return it, it.Err()
	})
	return n, err
}

// findQuerier counts the series of an answer.
func findQuerier(ctx context.Context, q storage.Queryable, minT, maxT int64, ms []*labels.Matcher) (n int, err error) {
	err = each(ctx, q, minT, maxT, ms, func(series storage.Series, old chunkenc.Iterator) (chunkenc.Iterator, error) {
		n++
		return old, nil
	})
	return n, err
}

func each(ctx context.Context, q storage.Queryable, minT, maxT int64, ms []*labels.Matcher, do func(storage.Series, chunkenc.Iterator) (chunkenc.Iterator, error)) error {
	querier, err := q.Querier(minT, maxT)
	if err != nil {
		return err
	}
	defer querier.Close()
	set := querier.Select(ctx, false, &storage.SelectHints{Start: minT, End: maxT}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		if it, err = do(set.At(), it); err != nil {
			return err
		}
	}
	return set.Err()
}

// ask evaluates PromQL and counts the points of the answer.
func ask(ctx context.Context, e promql.QueryEngine, q storage.Queryable, expr string, start, end, step int64) (n int, err error) {
	query, err := e.NewRangeQuery(ctx, q, nil, expr, time.UnixMilli(start), time.UnixMilli(end), time.Duration(step)*time.Millisecond)
	if err != nil {
		return 0, err
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return 0, result.Err
	}
	matrix, err := result.Matrix()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", expr, err)
	}
	for i := range matrix {
		n += len(matrix[i].Floats)
	}
	return n, nil
}
