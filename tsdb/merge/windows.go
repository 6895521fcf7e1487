package merge

import "github.com/novacron/novacron/tsdb/chunk"

// Windows appends the windows of the sources that end between two times, both inclusive, to dst: the ends and the
// columns that are asked for. Chunks of other kinds are left out.
func Windows(dst *chunk.Windows, it *Iterator, from, until int64, columns chunk.Columns, sources ...Source) error {
	it.ResetWindows(from, until, columns, sources...)
	for run, ok := it.NextRun(); ok; run, ok = it.NextRun() {
		if run.Windows != nil {
			AppendRows(dst, run.Windows, run.From, run.From+len(run.Times))
		}
	}
	return it.Err()
}

// AppendRows appends the rows [from, to) of the columns that src has.
func AppendRows(dst, src *chunk.Windows, from, to int) {
	eachColumn(dst, src, func(d, s *[]int64) {
		*d = append(*d, part(*s, from, to)...)
	}, func(d, s *[]float64) {
		*d = append(*d, part(*s, from, to)...)
	})
}

// Truncate empties all columns and keeps their memory.
func Truncate(w *chunk.Windows) {
	eachColumn(w, w, func(column, _ *[]int64) { *column = (*column)[:0] }, func(column, _ *[]float64) { *column = (*column)[:0] })
}

// pickWindows copies the rows at some places.
func pickWindows(src *chunk.Windows, places []int) *chunk.Windows {
	var dst chunk.Windows
	eachColumn(&dst, src, func(d, s *[]int64) { *d = pickRows(*s, places) }, func(d, s *[]float64) { *d = pickRows(*s, places) })
	return &dst
}

func part[T any](column []T, from, to int) []T {
	if len(column) == 0 {
		return nil // it was not asked for
	}
	return column[from:to]
}

func pickRows[T any](column []T, places []int) []T {
	if len(column) == 0 {
		return nil
	}
	return pick(column, places)
}

// eachColumn pairs the columns of two sets of windows.
func eachColumn(a, b *chunk.Windows, ints func(a, b *[]int64), floats func(a, b *[]float64)) {
	ints(&a.End, &b.End)
	ints(&a.FirstT, &b.FirstT)
	ints(&a.LastT, &b.LastT)
	floats(&a.Count, &b.Count)
	floats(&a.Sum, &b.Sum)
	floats(&a.Min, &b.Min)
	floats(&a.Max, &b.Max)
	floats(&a.Last, &b.Last)
	floats(&a.First, &b.First)
	floats(&a.Increase, &b.Increase)
}
