package block

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// Report is what a verification found.
type Report struct {
	Meta Meta
	// Series, Chunks, Columns (of times) and Samples were read without an error; Tombstones is the number of series
	// from which something is deleted.
	Series, Chunks, Columns, Samples, Tombstones uint64
	// Damage lists what is wrong, the first thousand findings; Findings counts them all.
	Damage   []error
	Findings uint64
}

// OK tells whether nothing is wrong.
func (r *Report) OK() bool { return r.Findings == 0 }

const findingsKept = 1000

func (r *Report) add(err error) {
	if err == nil {
		return
	}
	if r.Findings++; len(r.Damage) < findingsKept {
		r.Damage = append(r.Damage, err)
	}
}

// Verify reads every byte of a block: checksums, order, bounds and counts, and whether the index and the chunks belong
// together without a gap. The error says that the block cannot be opened at all.
func Verify(ctx context.Context, dir string) (Report, error) {
	b, err := Open(dir, Options{})
	if err != nil {
		return Report{}, err
	}
	r := Report{Meta: b.meta, Tombstones: b.Tombstones()}
	r.add(b.strangers())
	r.add(b.index.Verify(ctx))
	v := verifier{b: b, report: &r, tiles: tiles{segments: b.segments}, min: math.MaxInt64, max: math.MinInt64}
	for ordinal := range b.index.Len() {
		if ctx.Err() != nil {
			return r, errors.Join(ctx.Err(), b.Close())
		}
		v.series(uint32(ordinal))
	}
	r.add(v.tiles.end())
	r.add(v.totals())
	return r, b.Close()
}

// strangers finds files that do not belong to the block.
func (b *Block) strangers() (err error) {
	entries, err := os.ReadDir(b.dir)
	for _, entry := range entries {
		name := entry.Name()
		listed := slices.ContainsFunc(b.meta.Files, func(f File) bool { return f.Name == name })
		if !listed && name != metaName && name != tombstonesName && name != tombstonesName+unfinished {
			err = errors.Join(err, fmt.Errorf("%s holds a file %q that is not part of a block", b.dir, name))
		}
	}
	return err
}

// verifier reads one series after another.
type verifier struct {
	b        *Block
	report   *Report
	tiles    tiles
	it       merge.Iterator
	reader   seriesReader
	last     labels.Labels
	min, max int64
}

func (v *verifier) series(ordinal uint32) {
	lset, entry, err := v.reader.read(v.b, ordinal)
	if err != nil {
		v.report.add(err)
		return
	}
	if ordinal > 0 && labels.Compare(v.last, lset) >= 0 {
		v.report.add(v.b.damagedEntry(ordinal, fmt.Errorf("the series is not after %s", v.last)))
	}
	v.last = lset
	v.report.Series++
	v.chunks(ordinal, entry)
}

// chunks reads the chunks of a series.
func (v *verifier) chunks(series uint32, entry []byte) {
	in, n, err := openEntry(entry)
	if err != nil {
		v.report.add(v.b.damagedEntry(series, err))
		return
	}
	var state entryState
	before := int64(math.MinInt64)
	for range n {
		i := state.next(&in)
		if in.bad {
			break
		}
		if i.kind.IsDense() {
			if err := v.column(&i, &state); err != nil {
				v.report.add(v.b.damaged(series, i.column, err))
				continue
			}
		}
		v.report.add(v.chunk(series, i, before))
		before = i.max
	}
	if in.bad || len(in.b) > 0 {
		v.report.add(v.b.damagedEntry(series, fmt.Errorf("%w or too long: %d bytes are left", errEntryShort, len(in.b))))
	}
}

// column reads the time column of a dense chunk, which is new or was seen before.
func (v *verifier) column(i *item, state *entryState) error {
	column, err := v.b.column(i.column)
	if err != nil {
		return err
	}
	i.min, i.max, i.count = column.min, column.max, column.count
	state.max = column.max
	if !v.tiles.passed(i.column) {
		v.report.Columns++
		return v.tiles.take(i.column, column.size)
	}
	return nil
}

// chunk reads one chunk, whose samples come after a time.
func (v *verifier) chunk(series uint32, i item, before int64) error {
	if err := v.tiles.take(i.values, i.size+sumSize); err != nil {
		v.report.add(v.b.damaged(series, i.values, err))
	}
	c, err := v.b.chunkAt(series, i)
	if err != nil {
		return v.b.damaged(series, i.values, err)
	}
	if i.min <= before && before != math.MinInt64 {
		v.report.add(v.b.damaged(series, i.values, fmt.Errorf("the chunk begins at %d, the one before it ends at %d (milliseconds)", i.min, before)))
	}
	v.it.ResetWindows(merge.All.Min, merge.All.Max, chunk.AllColumns, merge.Source{Chunks: []Chunk{c}})
	run, ok := v.it.NextRun()
	if !ok {
		return v.it.Err()
	}
	for at, t := range run.Times[1:] {
		if t <= run.Times[at] {
			return v.b.damaged(series, i.values, fmt.Errorf("sample %d is at %d, the one before it at %d (milliseconds)", at+1, t, run.Times[at]))
		}
	}
	v.report.Chunks++
	v.report.Samples += uint64(len(run.Times))
	v.min, v.max = min(v.min, i.min), max(v.max, i.max)
	return nil
}

// totals compares what was read with what the meta says.
func (v *verifier) totals() error {
	m, r := v.b.meta, v.report
	if r.Series == m.Series && r.Chunks == m.Chunks && r.Samples == m.Samples && v.min == m.MinTime && v.max == m.MaxTime {
		return nil
	}
	return fmt.Errorf("%s says %d series, %d chunks, %d samples from %d to %d; %d, %d, %d from %d to %d could be read", metaName,
		m.Series, m.Chunks, m.Samples, m.MinTime, m.MaxTime, r.Series, r.Chunks, r.Samples, v.min, v.max)
}

// tiles checks that records lie one behind the other, and fill all segments.
type tiles struct {
	segments [][]byte
	at       uint64 // place after the last record
}

// passed tells whether a place lies among the records that were seen.
func (t *tiles) passed(place uint64) bool { return place < t.at }

// take goes past a record.
func (t *tiles) take(place, size uint64) error {
	expected := t.at
	if segment := segmentOf(t.at); expected == 0 {
		expected = placeOf(0, int64(len(segmentHeader)))
	} else if segment < len(t.segments) && offsetOf(t.at) == int64(len(t.segments[segment])) {
		expected = placeOf(segment+1, int64(len(segmentHeader)))
	}
	t.at = place + size
	if place != expected {
		return fmt.Errorf("the record is in segment %d at %d, it was expected in %d at %d", segmentOf(place), offsetOf(place), segmentOf(expected), offsetOf(expected))
	}
	return nil
}

// end checks that nothing is left.
func (t *tiles) end() error {
	last := len(t.segments) - 1
	if segmentOf(t.at) == last && offsetOf(t.at) == int64(len(t.segments[last])) {
		return nil
	}
	return fmt.Errorf("the records end in segment %d at %d, there are %d segments, the last of %d bytes", segmentOf(t.at), offsetOf(t.at), last+1, len(t.segments[last]))
}
