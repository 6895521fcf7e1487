package chunk

import (
	"fmt"
	"math/bits"
)

// Windows are the columns of a rollup: each row is what a window of time keeps of the raw samples in it. A window is
// open on the left and closed on the right, at its end. Columns are of one length, or empty where nobody keeps them.
type Windows struct {
	// End is where the windows end; FirstT and LastT are the times of their first and last sample, all in milliseconds.
	End, FirstT, LastT []int64
	// Count is the number of samples, Sum, Min, Max, First and Last are of their values; Increase is how much a
	// counter rose from the first sample to the last, through all its resets.
	Count, Sum, Min, Max, Last, First, Increase []float64
}

// Columns is a set of the columns of Windows.
type Columns uint16

// The columns, in the order in which they are stored.
const (
	ColumnEnd Columns = 1 << iota
	ColumnFirstT
	ColumnLastT
	ColumnCount
	ColumnSum
	ColumnMin
	ColumnMax
	ColumnLast
	ColumnFirst
	ColumnIncrease
	// AllColumns holds every column.
	AllColumns Columns = 1<<iota - 1
	// CounterColumns are those that tell how a counter went on.
	CounterColumns = ColumnFirstT | ColumnLastT | ColumnFirst | ColumnLast | ColumnIncrease
)

// derived says, beside the set of the columns stored in formColumns, that an Increase of 0 stands for Last - First: most are that.
const derived = AllColumns + 1

// timeColumns are the columns of times.
const timeColumns = ColumnEnd | ColumnFirstT | ColumnLastT

func (w *Windows) times(c Columns) *[]int64 {
	return [...]*[]int64{&w.End, &w.FirstT, &w.LastT}[bits.TrailingZeros16(uint16(c))]
}

func (w *Windows) values(c Columns) *[]float64 {
	return [...]*[]float64{3: &w.Count, &w.Sum, &w.Min, &w.Max, &w.Last, &w.First, &w.Increase}[bits.TrailingZeros16(uint16(c))]
}

func (w *Windows) rows(c Columns) int {
	if c&timeColumns != 0 {
		return len(*w.times(c))
	}
	return len(*w.values(c))
}

// The forms of windows.
const (
	formColumns  = iota // each column by itself
	formRelative        // columns as what they differ by from what others let expect
)

// AppendWindows appends the columns that are not empty, so that some can be read without the others. It panics for more
// than MaxSamples and for columns of different lengths.
func AppendWindows(dst []byte, w *Windows) []byte {
	var present Columns
	rows := 0
	for c := ColumnEnd; c < AllColumns; c <<= 1 {
		n := w.rows(c)
		if n == 0 {
			continue
		}
		if rows != 0 && n != rows {
			panic(fmt.Sprintf("chunk: a column of windows has %d rows, those before %d", n, rows))
		}
		rows = n
		present |= c
	}
	checkCount(rows)
	return appendRelative(append(dst, lead(formRelative)), w, present)
}

// DecodeWindows reads the asked ones of n rows of columns into dst, whose room it uses again; all others, and those
// that were not stored, become empty. Errors wrap ErrCorrupt; dst then holds nothing that is of use.
func DecodeWindows(dst *Windows, src []byte, n int, columns Columns) error {
	in := open("windows", src, n)
	if in.form(formRelative) == formRelative {
		return decodeRelative(dst, in, n, columns)
	}
	return decodeSeparate(dst, in, n, columns)
}

// decodeSeparate reads the form in which each column stands by itself, but that increases may be derived.
func decodeSeparate(dst *Windows, in *input, n int, columns Columns) error {
	present := Columns(in.count("set of columns", int(AllColumns|derived)))
	asked := columns
	if present&derived != 0 && columns&ColumnIncrease != 0 {
		columns |= ColumnFirst | ColumnLast
		if in.err == nil && present&columns&(ColumnFirst|ColumnLast) != ColumnFirst|ColumnLast {
			in.fail("an increase of what is not there, columns %#x", present)
		}
	}
	for c := ColumnEnd; c < AllColumns; c <<= 1 {
		var column []byte
		if present&c != 0 {
			column = in.take(in.uvarint())
		}
		wanted := columns & present & c
		if in.err != nil {
			return in.err
		}
		if err := dst.decode(c, column, n, wanted != 0); err != nil {
			return fmt.Errorf("column %d of windows: %w", bits.TrailingZeros16(uint16(c)), err)
		}
	}
	if err := in.close(); err != nil {
		return err
	}
	if present&derived != 0 {
		dst.restore(asked)
	}
	return nil
}

// restore puts the increases in that are left out, and empties what only they were read for.
func (w *Windows) restore(asked Columns) {
	for i, increase := range w.Increase {
		if bitsOf(increase) == 0 {
			w.Increase[i] = w.Last[i] - w.First[i]
		}
	}
	for _, c := range [...]Columns{ColumnFirst, ColumnLast} {
		if vs := w.values(c); asked&c == 0 {
			*vs = (*vs)[:0]
		}
	}
}

// decode reads one column, or empties it.
func (w *Windows) decode(c Columns, src []byte, n int, wanted bool) (err error) {
	if c&timeColumns != 0 {
		if ts := w.times(c); wanted {
			*ts, err = DecodeTimes((*ts)[:0], src, n)
		} else {
			*ts = (*ts)[:0]
		}
		return err
	}
	if vs := w.values(c); wanted {
		*vs, err = DecodeValues((*vs)[:0], src, n)
	} else {
		*vs = (*vs)[:0]
	}
	return err
}
