package display

import (
	"bufio"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/promjson"
)

// jsonOut writes JSON piece by piece. The writer keeps the first error for Flush.
type jsonOut struct {
	w   *bufio.Writer
	buf []byte
	// values are those of series, with their times.
	values promjson.Points
}

func (j *jsonOut) raw(text string) { _, _ = j.w.WriteString(text) }

func (j *jsonOut) add(add func([]byte) []byte) {
	j.buf = add(j.buf[:0])
	_, _ = j.w.Write(j.buf)
}

func (j *jsonOut) text(s string) {
	j.add(func(b []byte) []byte { return promjson.AppendString(b, s) })
}
func (j *jsonOut) integer(n int64) {
	j.add(func(b []byte) []byte { return strconv.AppendInt(b, n, 10) })
}
func (j *jsonOut) labels(l labels.Labels) {
	j.add(func(b []byte) []byte { return promjson.AppendLabels(b, l) })
}

// number is null for what JSON has no number for: gaps, NaN and infinity.
func (j *jsonOut) number(v float64) {
	if !finite(v) {
		j.raw("null")
		return
	}
	j.add(func(b []byte) []byte { return promjson.AppendNumber(b, v) })
}

// list writes n entries with commas between.
func (j *jsonOut) list(n int, entry func(i int)) {
	j.raw("[")
	for i := range n {
		if i > 0 {
			j.raw(",")
		}
		entry(i)
	}
	j.raw("]")
}

func (j *jsonOut) texts(list []string) { j.list(len(list), func(i int) { j.text(list[i]) }) }

// field is a list of texts after others, and nothing where it is empty.
func (j *jsonOut) field(name string, list []string) {
	if len(list) == 0 {
		return
	}
	j.raw(`,"` + name + `":`)
	j.texts(list)
}

// notes are the warnings and infos of a query, after other fields.
func (j *jsonOut) notes(a Answer) {
	j.field("warnings", a.Warnings)
	j.field("infos", a.Infos)
}

// cell writes what a column of that kind has.
func (j *jsonOut) cell(k kind, c cell) {
	switch k {
	case text:
		j.text(c.s)
	case number:
		j.number(c.v)
	case moment:
		j.integer(c.t)
	}
}

// rows writes a sheet row by row.
func (j *jsonOut) rows(s sheet, row func(cells []cell)) {
	j.raw("[")
	first := true
	for cells := range s.rows {
		if !first {
			j.raw(",\n")
		}
		first = false
		row(cells)
	}
	j.raw("]")
}
