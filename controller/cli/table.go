package cli

import (
	"strings"
	"unicode/utf8"
)

// where says in which formats a column appears.
type where int

const (
	everywhere where = iota
	wideAndCSV
	peopleOnly
	csvOnly
)

// column is one column of a noun, defined once for table, wide and csv.
type column[T any] struct {
	name  string
	where where
	text  func(T) string
	// raw is the value for machines, under rawName; nil means text under the lower-case name.
	raw     func(T) string
	rawName string
}

// table is how a noun is listed.
type table[T any] struct {
	plural  string
	columns []column[T]
}

func (c column[T]) in(format string) bool {
	switch c.where {
	case wideAndCSV:
		return format != outTable
	case peopleOnly:
		return format != outCSV
	case csvOnly:
		return format == outCSV
	}
	return true
}

func (c column[T]) header(format string) string {
	switch {
	case format != outCSV:
		return c.name
	case c.rawName != "":
		return c.rawName
	}
	return strings.ReplaceAll(strings.ToLower(c.name), " ", "_")
}

func (c column[T]) cell(format string, item T) string {
	if format != outCSV {
		return dash(clean(c.text(item)))
	}
	if c.raw != nil {
		return c.raw(item)
	}
	return c.text(item)
}

func (t table[T]) header(format string) []string {
	var names []string
	for _, c := range t.columns {
		if c.in(format) {
			names = append(names, c.header(format))
		}
	}
	return names
}

func (t table[T]) cells(format string, items []T) [][]string {
	rows := make([][]string, 0, len(items))
	for _, item := range items {
		rows = append(rows, t.row(format, item))
	}
	return rows
}

func (t table[T]) row(format string, item T) []string {
	var row []string
	for _, c := range t.columns {
		if c.in(format) {
			row = append(row, c.cell(format, item))
		}
	}
	return row
}

// widths are the columns' widths in characters.
func widths(rows [][]string) []int {
	var w []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(w) {
				w = append(w, 0)
			}
			w[i] = max(w[i], utf8.RuneCountInString(cell))
		}
	}
	return w
}

// align pads cells to the widths; the last of a row ends it.
func align(rows [][]string, w []int) string {
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", max(0, w[i]-utf8.RuneCountInString(cell))+3))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
