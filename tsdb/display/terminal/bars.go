package terminal

import (
	"math"
	"strings"

	"github.com/novacron/novacron/tsdb/display"
)

// bars draws the last value of each series as a bar from zero. Gauges of a ratio have a scale to 1, and all of them that of
// their own range beside.
func (p *picture) bars(a display.Answer) error {
	if err := display.NumbersOnly(a, p.View); err != nil {
		return err
	}
	all := len(a.Rows)
	a = display.Latest(a, display.Options{View: p.View, Top: p.Top})
	if len(a.Rows) > p.Top {
		a.Rows = a.Rows[:p.Top]
	}
	items := make([]bar, len(a.Rows))
	for i, name := range legendNames(a.Rows) {
		row := a.Rows[i]
		last := row.Points[len(row.Points)-1].V
		items[i] = bar{name: name, value: last, text: p.format(last)}
		if p.View == display.Gauge && len(row.Points) > 1 {
			least, most := display.Extremes(row)
			items[i].text += " (" + p.format(least) + " to " + p.format(most) + ")"
		}
	}
	low, high := 0.0, 0.0
	if p.View == display.Gauge && p.unit == "ratio" {
		high = 1
	}
	p.barChart(items, low, high)
	p.more(len(a.Rows), all, "the first of them: --top N draws more")
	return nil
}

// bar is one of a chart.
type bar struct {
	name  string
	value float64
	text  string
}

// barChart draws bars over at least the span given, which has zero in it.
func (p *picture) barChart(items []bar, low, high float64) {
	names, texts := make([]string, len(items)), make([]string, len(items))
	for i, item := range items {
		names[i], texts[i] = item.name, item.text
		if !math.IsNaN(item.value) && !math.IsInf(item.value, 0) {
			low, high = min(low, item.value), max(high, item.value)
		}
	}
	margin := widest(names, p.Width/2)
	width := max(8, p.Width-margin-2-widest(texts, p.Width/3))
	scale := span{low, high}
	if low == high {
		scale = span{0, 1}
	}
	zero := int(math.Round(scale.at(0) * float64(8*width)))
	for _, item := range items {
		drawn := ""
		if !math.IsNaN(item.value) {
			drawn = p.bar(zero, int(math.Round(scale.at(item.value)*float64(8*width))), width)
		}
		p.line("%s %s %s", p.fitted(item.name, margin), p.paint(0, p.fitted(drawn, width)), item.text)
	}
}

// eighths are blocks of one to seven eighths of a character.
var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

// bar is from zero to an end, in eighths of characters. To the left of zero there are whole characters alone.
func (p *picture) bar(zero, end, width int) string {
	full, none := "█", strings.Repeat(" ", zero/8)
	if p.ASCII {
		full = "#"
	}
	if end < zero {
		first := min(end/8, zero/8)
		return strings.Repeat(" ", first) + strings.Repeat(full, max(1, zero/8-first))
	}
	n := end - zero/8*8
	if p.ASCII {
		return none + strings.Repeat(full, min((n+4)/8, width))
	}
	if n > 0 && n/8 < width {
		return none + strings.Repeat(full, n/8) + eighths[n%8]
	}
	return none + strings.Repeat(full, n/8)
}
