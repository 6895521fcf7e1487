package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// details is how people read one item: labels with values, in sections.
type details struct {
	lines []detailLine
}

type detailLine struct {
	label, value string
	depth        int
	// title heads a section and has no value.
	title bool
}

// add tells one value; empty ones are left out.
func (d *details) add(label, value string) { d.addAt(0, label, value) }

// sub tells one value below a section's title.
func (d *details) sub(label, value string) { d.addAt(1, label, value) }

func (d *details) addAt(depth int, label, value string) {
	if value != "" {
		d.lines = append(d.lines, detailLine{label: label, value: value, depth: depth})
	}
}

// section heads the values that follow by sub.
func (d *details) section(title string) {
	d.lines = append(d.lines, detailLine{label: title, title: true})
}

// write aligns the values. Further lines of a value stand below its first.
func (d *details) write(w io.Writer) error {
	indent := d.indent()
	var b strings.Builder
	for i, line := range d.lines {
		if line.title {
			if d.hasValues(i) {
				b.WriteString(clean(line.label) + ":\n")
			}
			continue
		}
		d.writeLine(&b, line, indent)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// hasValues reports whether the section at i holds anything.
func (d *details) hasValues(i int) bool {
	return i+1 < len(d.lines) && d.lines[i+1].depth > 0
}

func (d *details) writeLine(b *strings.Builder, line detailLine, indent int) {
	label := strings.Repeat("  ", line.depth) + clean(line.label) + ":"
	for part := range strings.SplitSeq(line.value, "\n") {
		pad := strings.Repeat(" ", max(1, indent-utf8.RuneCountInString(label)))
		b.WriteString(label + pad + clean(part) + "\n")
		label = ""
	}
}

func (d *details) indent() int {
	width := 0
	for _, line := range d.lines {
		if !line.title {
			width = max(width, 2*line.depth+utf8.RuneCountInString(line.label))
		}
	}
	return width + 3
}
