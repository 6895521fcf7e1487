package rollup

import (
	"errors"
	"fmt"

	"github.com/novacron/novacron/tsdb/chunk"
)

// ErrOverlap is wrapped when parts cannot be merged: only their raw samples tell which came after which.
var ErrOverlap = errors.New("windows overlap")

// Merge appends the windows of all parts to dst, as windows of one length in milliseconds. That length is the parts'
// or a multiple of it. Windows of the same time are joined, in the order of the parts, whose samples follow one
// another in that order. Columns that a part with windows lacks are left out; End must be there.
func Merge(dst *chunk.Windows, window int64, parts ...*chunk.Windows) error {
	columns, err := present(parts)
	if err != nil {
		return err
	}
	places := make([]int, len(parts))
	var open row
	begun := false
	for {
		p := earliest(parts, places, window)
		if p < 0 {
			break
		}
		next := at(parts[p], places[p])
		places[p]++
		next.end = EndOf(next.end, window)
		switch {
		case !begun:
		case columns&chunk.ColumnFirstT != 0 && columns&chunk.ColumnLastT != 0 && next.firstT <= open.lastT:
			return fmt.Errorf("%w: samples from %d ms on follow on those up to %d ms: make the windows of raw samples", ErrOverlap, next.firstT, open.lastT)
		case next.end == open.end:
			open.join(&next)
			continue
		default:
			open.appendTo(dst, columns)
		}
		open, begun = next, true
	}
	if begun {
		open.appendTo(dst, columns)
	}
	return nil
}

// earliest is the first part whose next window ends before those of all others; -1 when all are read.
func earliest(parts []*chunk.Windows, places []int, window int64) int {
	best, end := -1, int64(0)
	for p, w := range parts {
		if places[p] >= len(w.End) {
			continue
		}
		if e := EndOf(w.End[places[p]], window); best < 0 || e < end {
			best, end = p, e
		}
	}
	return best
}

// present are the columns that all parts with windows have.
func present(parts []*chunk.Windows) (chunk.Columns, error) {
	columns := chunk.AllColumns
	for p, w := range parts {
		rows := len(w.End)
		for i, n := range [...]int{
			rows, len(w.FirstT), len(w.LastT), len(w.Count), len(w.Sum), len(w.Min), len(w.Max), len(w.Last), len(w.First), len(w.Increase),
		} {
			switch {
			case n == 0 && rows > 0:
				columns &^= 1 << i
			case n != rows:
				return 0, fmt.Errorf("rollup: column %d of part %d has %d rows, its ends are %d", i, p, n, rows)
			}
		}
	}
	return columns, nil
}
