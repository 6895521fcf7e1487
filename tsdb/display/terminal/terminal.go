// Package terminal draws answers of PromQL with characters: lines in braille, bars, heatmaps and spans of states, in Unicode or
// in ASCII, with or without colours.
package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// Options say how to draw.
type Options struct {
	// View is what to draw; empty or Auto: what fits the answer.
	View display.View
	// Width and Height are those of the picture in characters, without the legend. Small ones are made larger: 40 × 8.
	Width, Height int
	// Top is the most series that are drawn; 0 means 8 lines, 4 heatmaps, and bars and states for four times the height.
	Top int
	// ASCII keeps to letters and signs that every terminal has.
	ASCII bool
	// Colour sets colours by ANSI's sequences.
	Colour bool
}

const (
	leastWidth  = 40
	leastHeight = 8
	mostWidth   = 1000
	mostHeight  = 300
)

func (o Options) withDefaults(a display.Answer) Options {
	o.Width, o.Height = min(max(o.Width, leastWidth), mostWidth), min(max(o.Height, leastHeight), mostHeight)
	if o.View == "" || o.View == display.Auto {
		o.View = display.Picture(a)
	}
	if o.Top <= 0 {
		o.Top = map[display.View]int{display.TimeSeries: 8, display.Heatmap: 4, display.Histogram: 4}[o.View]
	}
	if o.Top <= 0 {
		o.Top = 4 * o.Height
	}
	return o
}

// Draw writes a picture of the answer, in UTC. An empty answer writes nothing and fails with ErrEmpty.
func Draw(w io.Writer, a display.Answer, o Options) error {
	a = display.Whole(a)
	if len(a.Rows) == 0 {
		return ErrEmpty
	}
	o = o.withDefaults(a)
	p := &picture{Options: o, unit: a.Unit}
	if err := p.draw(a); err != nil {
		return err
	}
	_, err := io.WriteString(w, p.out.String())
	return err
}

// picture is being drawn.
type picture struct {
	Options
	unit string
	out  strings.Builder
}

func (p *picture) draw(a display.Answer) error {
	switch p.View {
	case display.TimeSeries:
		return p.lines(a)
	case display.Gauge, display.Bar:
		return p.bars(a)
	case display.Heatmap, display.Histogram:
		return p.buckets(a)
	case display.States:
		return p.states(a)
	}
	return fmt.Errorf("view %s is no picture: plot draws timeseries, gauge, bar, heatmap, histogram and state; for values use another output format", p.View)
}

// line writes one line without blanks at its end.
func (p *picture) line(format string, args ...any) {
	p.out.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	p.out.WriteByte('\n')
}

// more tells of what is not drawn.
func (p *picture) more(drawn, all int, what string) {
	if drawn < all {
		p.line("%d of %d series are drawn, %s", drawn, all, what)
	}
}

// legendNames tell series apart: labels that all have alike are left out, unless nothing else is left.
func legendNames(rows []query.Row) []string {
	var alike []string
	if len(rows) > 1 {
		rows[0].Labels.Range(func(l labels.Label) {
			for _, row := range rows {
				if row.Labels.Get(l.Name) != l.Value {
					return
				}
			}
			alike = append(alike, l.Name)
		})
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = plain(idsLast(labels.NewBuilder(row.Labels).Del(alike...).Labels()))
	}
	return names
}

// longValue is the length from which a label's value is rather an id than a name.
const longValue = 32

// idsLast names a series with its long labels behind the others: a legend that is cut short keeps what people know the
// series by.
func idsLast(l labels.Labels) string {
	var ids []string
	l.Range(func(one labels.Label) {
		if one.Name != "__name__" && len(one.Value) >= longValue {
			ids = append(ids, one.Name)
		}
	})
	named := labels.NewBuilder(l).Del(ids...).Labels()
	if len(ids) == 0 || named.IsEmpty() {
		return display.Name(l)
	}
	first, last := display.Name(named), display.Name(labels.NewBuilder(l).Keep(ids...).Labels())
	if inside, open := strings.CutSuffix(first, "}"); open {
		return inside + ", " + strings.TrimPrefix(last, "{")
	}
	return first + last
}

// plain keeps names from moving the cursor or colouring the terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '.'
		}
		return r
	}, text)
}

// fitted is a text in so many characters, cut or filled up.
func (p *picture) fitted(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	end := "…"
	if p.ASCII {
		end = "~"
	}
	return string([]rune(text)[:width-1]) + end
}

// widest is the width of the longest text, at most so many.
func widest(texts []string, most int) int {
	n := 0
	for _, text := range texts {
		n = max(n, utf8.RuneCountInString(text))
	}
	return min(n, most)
}

// palette are colours that are told apart on dark and light grounds.
var palette = []string{"36", "33", "35", "32", "34", "31", "96", "93"}

// paint colours a text for the series of that number.
func (p *picture) paint(series int, text string) string {
	if !p.Colour || series < 0 {
		return text
	}
	return "\x1b[" + palette[series%len(palette)] + "m" + text + "\x1b[0m"
}
