package chunk

import (
	"encoding/binary"
	"slices"
)

// row is a histogram of either kind: its buckets are counts, those of the negative side behind the others.
type row[B int64 | float64] struct {
	layout      layout
	hint        byte
	zero, count B
	sum         float64
	buckets     []B
}

func (r *row[B]) positive() []B {
	if r.layout.nPositive == 0 {
		return nil
	}
	return r.buckets[:r.layout.nPositive:r.layout.nPositive]
}

func (r *row[B]) negative() []B {
	if r.layout.nNegative == 0 {
		return nil
	}
	return r.buckets[r.layout.nPositive:]
}

// codec packs a column of counts.
type codec[B int64 | float64] struct {
	append func(dst []byte, column []B, s *scratch) []byte
	decode func(dst []B, in *input, n int) []B
}

// appendRows appends the layouts that occur, which row has which, and for the rows of each layout a column of each
// count, of the sums, and of each bucket.
func appendRows[B int64 | float64](dst []byte, rows []row[B], c codec[B]) []byte {
	checkCount(len(rows))
	at := len(dst)
	dst = append(dst, lead(0))
	if len(rows) == 0 {
		return dst
	}
	layouts, which := group(rows)
	dst = binary.AppendUvarint(dst, uint64(len(layouts)))
	for _, l := range layouts {
		dst = appendLayout(dst, l)
	}
	hints := make([]int64, len(rows))
	for i := range rows {
		hints[i] = int64(rows[i].hint)
	}
	s := borrow()
	defer s.giveBack()
	s.sparse = false
	dst = intCodec.append(dst, which, s)
	dst = intCodec.append(dst, hints, s)
	var members []*row[B]
	for number, l := range layouts {
		members = members[:0]
		for i := range rows {
			if which[i] == int64(number) {
				members = append(members, &rows[i])
			}
		}
		dst = appendColumns(dst, members, l.buckets(), c, s)
	}
	if s.sparse {
		markSparse(dst[at:])
	}
	return dst
}

// appendValues appends a column of values within another column, which is sparse where one of them is.
func (s *scratch) appendValues(dst []byte, vs []float64) []byte {
	at := len(dst)
	dst = AppendValues(dst, vs)
	s.sparse = s.sparse || isSparse(dst[at:])
	return dst
}

// group finds the layouts of the rows, in order of first use, and the place of each row's among them. Most rows have
// the layout of the one before.
func group[B int64 | float64](rows []row[B]) (layouts []*layout, which []int64) {
	which = make([]int64, len(rows))
	at := 0
	for i := range rows {
		l := &rows[i].layout
		if i == 0 || !layouts[at].same(l) {
			if at = slices.IndexFunc(layouts, l.same); at < 0 {
				at = len(layouts)
				layouts = append(layouts, l)
			}
		}
		which[i] = int64(at)
	}
	return layouts, which
}

// appendColumns appends the columns of rows with one layout.
func appendColumns[B int64 | float64](dst []byte, rows []*row[B], buckets int, c codec[B], s *scratch) []byte {
	sums := make([]float64, len(rows))
	column := make([]B, len(rows))
	each := func(value func(*row[B]) B) {
		for i, r := range rows {
			column[i] = value(r)
		}
		dst = c.append(dst, column, s)
	}
	for i, r := range rows {
		sums[i] = r.sum
	}
	dst = s.appendValues(dst, sums)
	each(func(r *row[B]) B { return r.count })
	each(func(r *row[B]) B { return r.zero })
	for b := range buckets {
		each(func(r *row[B]) B { return r.buckets[b] })
	}
	return dst
}

// decodeRows reads what appendRows has written for n rows, with slices of each row's own.
func decodeRows[B int64 | float64](in *input, n int, c codec[B]) ([]row[B], error) {
	in.form(0)
	if in.err != nil || n == 0 {
		return nil, in.close()
	}
	layouts := make([]layout, 0, min(in.count("layouts", n), len(in.b)))
	for range cap(layouts) {
		layouts = append(layouts, readLayout(in))
		if in.err != nil {
			return nil, in.err
		}
	}
	which, hints := decodeInts(nil, in, n), decodeInts(nil, in, n)
	if in.err != nil {
		return nil, in.err
	}
	rows := make([]row[B], n)
	members := make([][]*row[B], len(layouts))
	for i := range rows {
		if which[i] < 0 || which[i] >= int64(len(layouts)) || hints[i] < 0 || hints[i] > 255 {
			in.fail("row %d has layout %d of %d and hint %d, at most 255", i, which[i], len(layouts), hints[i])
			return nil, in.err
		}
		rows[i].hint = byte(hints[i])
		members[which[i]] = append(members[which[i]], &rows[i])
	}
	for i := range layouts {
		decodeColumns(in, members[i], &layouts[i], c)
	}
	return rows, in.close()
}

// decodeColumns reads the columns of the rows of one layout. Only when all are there is room made for the buckets of
// the rows.
func decodeColumns[B int64 | float64](in *input, rows []*row[B], l *layout, c codec[B]) {
	n := len(rows)
	if n == 0 {
		in.fail("a layout that no row has")
		return
	}
	sums := decodeValues(nil, in, n)
	columns := make([][]B, 0, 2+l.buckets())
	for range cap(columns) {
		columns = append(columns, c.decode(nil, in, n))
		if in.err != nil {
			return
		}
	}
	buckets := make([]B, n*l.buckets())
	for i, r := range rows {
		r.layout = *l
		r.layout.positive, r.layout.negative = slices.Clone(l.positive), slices.Clone(l.negative)
		r.sum, r.count, r.zero = sums[i], columns[0][i], columns[1][i]
		r.buckets, buckets = buckets[:l.buckets():l.buckets()], buckets[l.buckets():]
		for b, column := range columns[2:] {
			r.buckets[b] = column[i]
		}
	}
}
