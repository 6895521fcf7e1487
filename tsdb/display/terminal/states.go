package terminal

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/display"
)

const (
	stateSigns = "#.=o+x*%"
	// mostStates are told apart; all others look alike.
	mostStates = 8
)

var stateBlocks = []string{"█", "░", "▓", "▒", "◆", "○", "▚", "●"}

// states draws a line for each series: a sign for each value that it has.
func (p *picture) states(a display.Answer) error {
	if err := display.NumbersOnly(a, p.View); err != nil {
		return err
	}
	all := len(a.Rows)
	a.Rows = a.Rows[:min(all, p.Top)]
	runs := display.Runs(a)
	values := valuesOf(runs)
	from, to := runs[0].From, runs[0].To
	for _, run := range runs {
		from, to = min(from, run.From), max(to, run.To)
	}
	texts := legendNames(a.Rows)
	margin := widest(texts, p.Width/2)
	width := p.Width - margin - 2
	for i, row := range a.Rows {
		n := 0
		for n < len(runs) && labels.Equal(runs[n].Labels, row.Labels) {
			n++
		}
		p.line("%s %s%s", p.fitted(texts[i], margin), p.sign("│"), p.stateLine(runs[:n], values, from, to, width))
		runs = runs[n:]
	}
	p.timeAxis(from, to, margin, width, a.Step)
	p.stateLegend(values)
	p.more(len(a.Rows), all, "the first of them: --top N draws more")
	return nil
}

// valuesOf are the values there are, the greatest first, NaN last.
func valuesOf(runs []display.Run) []float64 {
	var values []float64
	for _, run := range runs {
		if stateOf(values, run.Value) < 0 {
			values = append(values, run.Value)
		}
	}
	slices.SortFunc(values, display.Descending)
	return values
}

func stateOf(values []float64, v float64) int {
	return slices.IndexFunc(values, func(w float64) bool { return v == w || v != v && w != w })
}

// stateLine has in each place the state that lasts longest in its span of time.
func (p *picture) stateLine(runs []display.Run, values []float64, from, to int64, width int) string {
	length := float64(max(to-from, 1))
	var b strings.Builder
	for x := range width {
		start, end := float64(x)/float64(width)*length, float64(x+1)/float64(width)*length
		for len(runs) > 1 && float64(runs[0].To-from) <= start {
			runs = runs[1:]
		}
		best, longest := -1, 0.0
		for _, run := range runs {
			if float64(run.From-from) >= end {
				break
			}
			// A run of one time without a step has no length, and still is there.
			lasts := min(end, float64(max(run.To, run.From+1)-from)) - max(start, float64(run.From-from))
			if lasts > longest {
				best, longest = stateOf(values, run.Value), lasts
			}
		}
		b.WriteString(p.stateSign(best))
	}
	return b.String()
}

func (p *picture) stateSign(state int) string {
	if state < 0 {
		return " "
	}
	sign := min(state, mostStates-1)
	if p.ASCII {
		return p.paint(sign, stateSigns[sign:sign+1])
	}
	return p.paint(sign, stateBlocks[sign])
}

// stateLegend explains the signs, in as many lines as it needs.
func (p *picture) stateLegend(values []float64) {
	text, width := "", 0
	for i, v := range values[:min(len(values), mostStates)] {
		value := p.format(v)
		if width > 0 && width+5+len(value) > p.Width {
			p.line("%s", text)
			text, width = "", 0
		}
		text, width = text+p.stateSign(i)+" "+value+"   ", width+5+len(value)
	}
	p.line("%s", text)
	if len(values) > mostStates {
		p.line("%s and %d other values", p.stateSign(mostStates-1), len(values)-mostStates)
	}
}
