package block

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// DumpOptions say how much to print.
type DumpOptions struct {
	// Matchers choose series; none are all.
	Matchers []*labels.Matcher
	// Chunks prints each chunk of a series, Samples each sample that is not deleted.
	Chunks, Samples bool
}

// Dump prints what is in a block: a line for the block, one for each series, and what the options ask for. What cannot
// be read is printed as a line with the error.
func Dump(dir string, out io.Writer, options DumpOptions) error {
	b, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	d := dumper{bufio.NewWriter(out), options, merge.Iterator{}}
	d.meta(b)
	set, err := b.Select(context.Background(), options.Matchers, merge.All.Min, merge.All.Max)
	if err != nil {
		return err
	}
	defer set.Close()
	set.OnDamage(d.damage)
	d.it.OnDamage(d.damage)
	for set.Next() {
		d.series(set)
	}
	return d.Flush()
}

type dumper struct {
	*bufio.Writer
	options DumpOptions
	it      merge.Iterator
}

func (d *dumper) damage(err error) error {
	fmt.Fprintf(d, "  damage %v\n", err)
	return nil
}

// stamp is a time for people.
func stamp(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z") }

func (d *dumper) meta(b *Block) {
	m := b.Meta()
	fmt.Fprintf(d, "block %s tier=%s level=%d sequence=%d from=%s to=%s series=%d chunks=%d samples=%d bytes=%d deleted_from=%d\n",
		m.ID, m.Tier, m.Level, m.Sequence, stamp(m.MinTime), stamp(m.MaxTime), m.Series, m.Chunks, m.Samples, m.Bytes, b.Tombstones())
	for _, id := range m.Sources {
		fmt.Fprintf(d, "made of %s\n", id)
	}
	if m.SealedUntil != nil {
		fmt.Fprintf(d, "sealed until %s\n", stamp(*m.SealedUntil))
	}
	for _, file := range m.Files {
		fmt.Fprintf(d, "file %s %d bytes\n", file.Name, file.Size)
	}
}

func (d *dumper) series(set *Set) {
	fmt.Fprintf(d, "series %d %s chunks=%d\n", set.Ordinal(), set.Labels(), len(set.Chunks()))
	for _, span := range set.Deleted() {
		fmt.Fprintf(d, "  deleted from=%s to=%s\n", stamp(span.Min), stamp(span.Max))
	}
	if d.options.Chunks {
		for _, c := range set.Chunks() {
			d.chunk(&c)
		}
	}
	if d.options.Samples {
		d.it.ResetWindows(merge.All.Min, merge.All.Max, chunk.AllColumns, set.Source())
		for run, ok := d.it.NextRun(); ok; run, ok = d.it.NextRun() {
			d.samples(run)
		}
	}
}

func (d *dumper) chunk(c *Chunk) {
	fmt.Fprintf(d, "  chunk kind=%d samples=%d from=%s to=%s at=%s:%d bytes=%d", c.Kind, c.Count, stamp(c.Min), stamp(c.Max), segmentName(segmentOf(c.ValuesAt)), offsetOf(c.ValuesAt), len(c.Values))
	if c.Kind.IsDense() {
		fmt.Fprintf(d, " times=%s:%d", segmentName(segmentOf(c.TimesAt)), offsetOf(c.TimesAt))
	}
	fmt.Fprintln(d)
}

func (d *dumper) samples(run *merge.Run) {
	for i, t := range run.Times {
		fmt.Fprintf(d, "  %s ", stamp(t))
		if len(run.Starts) > 0 && run.Starts[i] != 0 {
			fmt.Fprintf(d, "since=%s ", stamp(run.Starts[i]))
		}
		switch run.Type {
		case chunkenc.ValFloat:
			fmt.Fprintln(d, run.Values[i])
		case chunkenc.ValHistogram:
			fmt.Fprintln(d, run.Histograms[i])
		case chunkenc.ValFloatHistogram:
			fmt.Fprintln(d, run.Floats[i])
		case chunkenc.ValNone:
			var row chunk.Windows
			merge.AppendRows(&row, run.Windows, run.From+i, run.From+i+1)
			fmt.Fprintf(d, "%+v\n", row)
		}
	}
}
