package index

import (
	"context"
	"hash/crc32"

	"github.com/RoaringBitmap/roaring/v2"
)

// Verify reads the whole file and checks all that is told in it: checksums, order, and that the series and the
// postings say the same.
func (r *Reader) Verify(ctx context.Context) error {
	for _, check := range []func(context.Context) error{r.verifySums, r.verifyNames, r.verifyValues, r.verifySeries} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) verifySums(ctx context.Context) error {
	at := uint64(headerSize)
	for s, e := range r.footer.extents {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, b := range r.file[at:e.offset] {
			if b != 0 {
				return corrupt("a byte that is not 0 before section %v", section(s))
			}
		}
		at = e.offset + e.size
		if got := crc32.Checksum(r.file[e.offset:at], castagnoli); got != e.crc {
			return corrupt("section %v: checksum %08x, expected %08x", section(s), got, e.crc)
		}
	}
	return nil
}

// Table is a part of the file and what its bytes add up to.
type Table struct {
	Name         string
	Offset, Size uint64
	// Sum is the CRC32C of the bytes as they were written.
	Sum uint32
}

// Lookup are the parts by which series are found: damage in them is not seen in what is found, but in their sums. What
// lies elsewhere is checked by whoever reads a series.
func (r *Reader) Lookup() (tables []Table) {
	for _, s := range []section{sectionTexts, sectionPostings, sectionNames, sectionValues} {
		e := r.footer.extents[s]
		tables = append(tables, Table{s.String(), e.offset, e.size, e.crc})
	}
	return tables
}

func (r *Reader) verifyNames(context.Context) error {
	before, next := "", uint32(0)
	for place := range r.footer.names {
		name, err := r.name(place)
		if err != nil {
			return err
		}
		if name <= before {
			return corrupt("label %d, %q, does not come after %q", place, name, before)
		}
		before = name
		from, to, err := r.valuesOf(place)
		if err != nil {
			return err
		}
		if from != next || to == from {
			return corrupt("label %q has the values from %d to %d, those of the one before end at %d", name, from, to, next)
		}
		next = to
	}
	if next != r.footer.values {
		return corrupt("the labels have %d values of %d", next, r.footer.values)
	}
	return nil
}

func (r *Reader) verifyValues(ctx context.Context) error {
	for name := range r.footer.names {
		from, to, err := r.valuesOf(name)
		if err != nil {
			return err
		}
		before := ""
		for place := from; place < to; place++ {
			if place%pollEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			value, err := r.value(place)
			if err != nil {
				return err
			}
			if value <= before {
				return corrupt("value %d, %.60q, does not come after %.60q", place, value, before)
			}
			before = value
		}
	}
	if r.valueEnd(r.footer.values) != uint64(len(r.texts)) {
		return corrupt("the texts end at %d of %d bytes", r.valueEnd(r.footer.values), len(r.texts))
	}
	return nil
}

// tally adds up a set of ids so that equal sets have equal tallies, and different ones hardly ever do.
type tally struct {
	count uint32
	sum   uint64
}

func (t *tally) add(id uint32) {
	t.count++
	t.sum += mixed(uint64(id) + 1)
}

// verifySeries compares what series have which labels by the records and by the postings.
func (r *Reader) verifySeries(ctx context.Context) error {
	names, values := make([]tally, r.footer.names), make([]tally, r.footer.values)
	end := uint64(0)
	for id := range r.footer.series {
		if id%pollEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		record, err := r.record(id)
		if err != nil {
			return err
		}
		if from := number(r.offsets[numberSize*uint64(id):]); from != end {
			return corrupt("series %d lies at %d, the one before ends at %d", id, from, end)
		}
		end += uint64(len(record))
		pairs := r.pairsOf(record)
		for pairs.next() {
			names[pairs.name].add(id)
			values[pairs.value].add(id)
		}
		if pairs.err != nil {
			return pairs.err
		}
	}
	if end != uint64(len(r.records)) {
		return corrupt("the series end at %d of %d bytes", end, len(r.records))
	}
	if err := verifyPostings(ctx, names, r.namePosting); err != nil {
		return err
	}
	return verifyPostings(ctx, values, r.valuePosting)
}

func verifyPostings(ctx context.Context, want []tally, posting func(uint32) ([]uint32, *roaring.Bitmap, error)) error {
	for place := range want {
		if place%pollEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		list, bitmap, err := posting(uint32(place))
		if err != nil {
			return err
		}
		var got tally
		for _, id := range list {
			got.add(id)
		}
		if bitmap != nil {
			bitmap.Iterate(func(id uint32) bool { got.add(id); return true })
		}
		if got != want[place] {
			return corrupt("posting %d has %d series, not the %d that say so", place, got.count, want[place].count)
		}
	}
	return nil
}
