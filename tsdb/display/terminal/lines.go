package terminal

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// lines draws series over time, with their last, least and greatest value.
func (p *picture) lines(a display.Answer) error {
	if err := display.NumbersOnly(a, p.View); err != nil {
		return err
	}
	all := len(a.Rows)
	rows := p.highest(a.Rows)
	low, high := rangeOf(rows)
	from, to := timesOf(rows)
	height := p.Height - 2
	scale, values, step := p.roundSpan(spanOf(low, high), max(2, height/3))
	texts := p.ticks(values, step)
	margin := widest(texts, p.Width/2)
	width := p.Width - margin - 4
	field := newCanvas(width, height, p.ASCII)
	for i, row := range rows {
		field.series(row, i, a.Step, from, to, scale)
	}
	marks := ends(rows, scale, height)
	for i := range height {
		label, tick := "", "│"
		for k, v := range values {
			if rowOf(scale.at(v), height) == i {
				label, tick = texts[k], "┤"
			}
		}
		p.line("%s %s%s %s", padLeft(label, margin), p.sign(tick), field.row(i, p.paint), p.mark(marks[i], len(rows)))
	}
	p.timeAxis(from, to, margin, width, a.Step)
	p.legend(rows)
	p.more(len(rows), all, "those with the greatest values: --top N draws more, topk asks for less")
	return nil
}

// highest are the rows with the greatest values, in the order of the answer.
func (p *picture) highest(rows []query.Row) []query.Row {
	if len(rows) <= p.Top {
		return rows
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		_, most := display.Extremes(rows[a])
		_, other := display.Extremes(rows[b])
		return cmp.Compare(other, most)
	})
	order = order[:p.Top]
	slices.Sort(order)
	kept := make([]query.Row, len(order))
	for i, k := range order {
		kept[i] = rows[k]
	}
	return kept
}

// rangeOf are the least and the greatest finite value.
func rangeOf(rows []query.Row) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, row := range rows {
		for _, point := range row.Points {
			if !math.IsNaN(point.V) && !math.IsInf(point.V, 0) {
				low, high = min(low, point.V), max(high, point.V)
			}
		}
	}
	return low, high
}

func timesOf(rows []query.Row) (from, to int64) {
	from, to = rows[0].Points[0].T, rows[0].Points[0].T
	for _, row := range rows {
		from, to = min(from, row.Points[0].T), max(to, row.Points[len(row.Points)-1].T)
	}
	return from, to
}

// series draws one line; NaN and gaps break it.
func (c *canvas) series(row query.Row, number int, step, from, to int64, scale span) {
	width, height := c.size()
	var before query.Point
	joined := false
	for _, point := range row.Points {
		if math.IsNaN(point.V) {
			joined = false
			continue
		}
		x, y := c.dot(point, from, to, scale, width, height)
		if joined && (step == 0 || point.T-before.T <= step) {
			x0, y0 := c.dot(before, from, to, scale, width, height)
			c.line(x0, y0, x, y, number)
		}
		c.set(x, y, number)
		before, joined = point, true
	}
}

func (c *canvas) dot(point query.Point, from, to int64, scale span, width, height int) (x, y int) {
	if to > from {
		x = int(math.Round(float64(point.T-from) / float64(to-from) * float64(width-1)))
	}
	return x, height - 1 - int(math.Round(scale.at(point.V)*float64(height-1)))
}

// rowOf is the line of a place from 0, the lowest, to 1.
func rowOf(at float64, height int) int { return height - 1 - int(math.Round(at*float64(height-1))) }

// ends are the series that end at each line, from 1. Where several end at one, they are told from the top in the order of their values.
func ends(rows []query.Row, scale span, height int) []int {
	type end struct{ series, row int }
	var all []end
	for i, row := range rows {
		if last := row.Points[len(row.Points)-1].V; !math.IsNaN(last) {
			all = append(all, end{i + 1, rowOf(scale.at(last), height)})
		}
	}
	slices.SortStableFunc(all, func(a, b end) int {
		return display.Descending(lastOf(rows[a.series-1]), lastOf(rows[b.series-1]))
	})
	at := make([]int, height)
	next := 0
	for i, e := range all[:min(len(all), height)] {
		y := min(max(e.row, next), height-min(len(all), height)+i) // with room for those below
		at[y], next = e.series, y+1
	}
	return at
}

func lastOf(row query.Row) float64 { return row.Points[len(row.Points)-1].V }

// mark names the series that ends here, where there are several.
func (p *picture) mark(series, of int) string {
	if series == 0 || of < 2 {
		return ""
	}
	return p.paint(series-1, letter(series-1))
}

// sign is a character of a frame.
func (p *picture) sign(unicode string) string {
	if !p.ASCII {
		return unicode
	}
	return map[string]string{"│": "|", "┤": "+", "└": "+", "─": "-", "┬": "+"}[unicode]
}

// timeAxis draws the line below a picture, times, and what time it is about.
func (p *picture) timeAxis(from, to int64, margin, width int, step int64) {
	axis, labels := make([]string, width), make([]rune, width+20)
	for i := range axis {
		axis[i] = p.sign("─")
	}
	for i := range labels {
		labels[i] = ' '
	}
	free := 0
	for _, tick := range timeTicks(from, to, width) {
		axis[tick.column] = p.sign("┬")
		n := utf8.RuneCountInString(tick.text)
		if start := max(0, min(tick.column-n/2, width+2-n)); start >= free {
			copy(labels[start:], []rune(tick.text))
			free = start + n + 1
		}
	}
	p.line("%*s %s%s", margin, "", p.sign("└"), strings.Join(axis, ""))
	p.line("%*s  %s", margin, "", string(labels))
	text := time.UnixMilli(from).UTC().Format("2006-01-02 15:04:05") + " to " + time.UnixMilli(to).UTC().Format("2006-01-02 15:04:05") + " UTC"
	if step > 0 {
		text += ", every " + shortDuration(time.Duration(step)*time.Millisecond)
	}
	p.line("%*s  %s", margin, "", text)
}

// shortDuration leaves out what is zero: 5m in place of 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// legend lists the series with what their values are.
func (p *picture) legend(rows []query.Row) {
	values, column := make([][3]string, len(rows)), 8
	for i, row := range rows {
		least, most := display.Extremes(row)
		values[i] = [3]string{p.format(row.Points[len(row.Points)-1].V), p.format(least), p.format(most)}
		column = max(column, widest(values[i][:], p.Width))
	}
	texts := legendNames(rows)
	width := widest(texts, max(10, p.Width-3*(column+1)-4))
	p.line("  %s %s %s %s", p.fitted("", width), padLeft("last", column), padLeft("min", column), padLeft("max", column))
	for i, v := range values {
		p.line("%s %s %s %s %s", p.paint(i, letter(i)), p.fitted(texts[i], width), padLeft(v[0], column), padLeft(v[1], column), padLeft(v[2], column))
	}
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))) + text
}
