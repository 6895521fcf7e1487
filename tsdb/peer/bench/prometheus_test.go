package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
)

// prometheus is the server's tsdb, in this process and with the server's options: a retention of 15 days makes blocks of
// up to 36 hours, and its log is compressed. It never syncs the log within a segment of 128 MiB, where ours does each
// second; and upkeep is called for, as time goes faster than its tickers think.
type prometheus struct {
	process
	*tsdb.DB
	dir     string
	w       *workload
	options *tsdb.Options
	refs    []storage.SeriesRef
	engine  *promql.Engine
}

func openPrometheus(dir string, w *workload, j job) (store, error) {
	p := &prometheus{dir: dir, w: w, refs: make([]storage.SeriesRef, len(w.state)), options: tsdb.DefaultOptions()}
	p.options.WALCompression = compression.Snappy
	p.options.RetentionDuration = (15 * 24 * time.Hour).Milliseconds()
	p.options.MaxBlockDuration = (36 * time.Hour).Milliseconds()
	p.engine = promql.NewEngine(promql.EngineOpts{
		Logger: slog.New(slog.DiscardHandler), MaxSamples: 1 << 40, Timeout: 10 * time.Minute, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
	})
	if j.Part == partYear {
		return newYear(p)
	}
	return p, p.open()
}

func (p *prometheus) open() (err error) {
	if p.DB, err = tsdb.Open(p.dir, nil, nil, p.options, nil); err == nil {
		p.DisableCompactions() // but for those of maintain
	}
	return err
}

func (p *prometheus) prepare(*scrapes) error { return nil }

func (p *prometheus) append(s *scrapes) error {
	return appendScrapes(p.w, p.refs, s, func() storage.Appender { return p.Appender(context.Background()) })
}

// appendScrapes commits scrape by scrape.
func appendScrapes(w *workload, all []storage.SeriesRef, s *scrapes, appender func() storage.Appender) (err error) {
	refs := all[s.host*w.perHost : (s.host+1)*w.perHost]
	for i, at := range s.times {
		app := appender()
		for j, v := range s.values[i] {
			lset := labels.EmptyLabels()
			if refs[j] == 0 {
				lset = w.labels(s.host, j)
			}
			if refs[j], err = app.Append(refs[j], lset, at, v); err != nil {
				return err
			}
		}
		if err := app.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (p *prometheus) maintain(int64) error {
	p.ForceHeadMMap()
	return p.Compact(context.Background())
}

func (p *prometheus) settle(int64) error {
	if err := p.Compact(context.Background()); err != nil {
		return err
	}
	// Blocks are cut at even hours: the rest of the head is up to two of them.
	span := p.options.MinBlockDuration
	for from := p.Head().MinTime(); from <= p.Head().MaxTime(); {
		end := from - from%span + span
		if err := p.CompactHead(tsdb.NewRangeHead(p.Head(), from, min(end-1, p.Head().MaxTime()))); err != nil {
			return err
		}
		from = end
	}
	return p.Compact(context.Background())
}

func (p *prometheus) reopen() error { return errors.Join(p.Close(), p.open()) }

func (p *prometheus) drain(minT, maxT int64, ms []*labels.Matcher) (int, error) {
	return drainQuerier(context.Background(), p.DB, minT, maxT, ms)
}

func (p *prometheus) find(minT, maxT int64, ms []*labels.Matcher) (int, error) {
	return findQuerier(context.Background(), p.DB, minT, maxT, ms)
}

func (p *prometheus) query(expr string, start, end, step int64) (int, error) {
	return ask(context.Background(), p.engine, p.DB, expr, start, end, step)
}

func (p *prometheus) bytes() (raw, windows int64, err error) {
	for _, b := range p.Blocks() {
		n, err := folder(b.Dir())
		if err != nil {
			return 0, 0, err
		}
		raw += n
	}
	if raw == 0 {
		return 0, 0, fmt.Errorf("no blocks in %s", p.dir)
	}
	return raw, 0, nil
}

func (p *prometheus) close() error { return errors.Join(p.Close(), p.engine.Close()) }

// year writes blocks of 486 hours at once: those that the server has in the end when it keeps a year, without the
// thousands of merges on the way.
type year struct {
	*prometheus
	writer *tsdb.BlockWriter
	end    int64 // of the block that is being written
}

const yearBlock = 486 * 3600_000

func newYear(p *prometheus) (store, error) {
	p.options.RetentionDuration, p.options.MaxBlockDuration = 0, yearBlock
	return &year{prometheus: p}, p.open()
}

func (y *year) append(s *scrapes) (err error) {
	if at := s.times[0]; at >= y.end {
		if err := y.flush(); err != nil {
			return err
		}
		y.end = at - at%yearBlock + yearBlock
		if y.writer, err = tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), y.dir, yearBlock); err != nil {
			return err
		}
	}
	return appendScrapes(y.w, y.refs, s, func() storage.Appender { return y.writer.Appender(context.Background()) })
}

func (y *year) flush() error {
	if y.writer == nil {
		return nil
	}
	_, err := y.writer.Flush(context.Background())
	clear(y.refs)
	return errors.Join(err, y.writer.Close())
}

func (y *year) maintain(int64) error { return nil }

func (y *year) settle(int64) error { return errors.Join(y.flush(), y.reopen()) }
