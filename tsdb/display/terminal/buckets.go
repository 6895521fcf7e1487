package terminal

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// buckets draws histograms: bars of the last of each series, or a heatmap over time.
func (p *picture) buckets(a display.Answer) error {
	all, err := display.Distributions(a)
	if err != nil {
		return err
	}
	drawn := all[:min(len(all), p.Top)]
	rows := make([]query.Row, len(drawn))
	for i, d := range drawn {
		rows[i] = query.Row{Labels: d.Labels}
	}
	for i, name := range legendNames(rows) {
		if len(all) > 1 {
			p.line("%s", name)
		}
		if p.View == display.Histogram {
			p.histogram(drawn[i])
		} else {
			p.heatmap(drawn[i], a.Step)
		}
	}
	p.more(len(drawn), len(all), "the first of them: --top N draws more")
	return nil
}

// histogram draws the last one, the lowest bucket first.
func (p *picture) histogram(d display.Distribution) {
	last := d.Spreads[len(d.Spreads)-1]
	items := make([]bar, 0, len(last.Buckets))
	counts := &picture{Options: p.Options} // without the unit, which is that of the bounds
	for _, b := range last.Buckets {
		items = append(items, bar{p.interval(b), b.Count, counts.format(b.Count)})
	}
	if len(items) == 0 {
		p.line("no values")
		return
	}
	p.barChart(items, 0, 0)
}

func (p *picture) interval(b display.Bucket) string {
	return "(" + p.format(b.Lower) + ", " + p.format(b.Upper) + "]"
}

// band is a line of a heatmap: the buckets from one to another.
type band struct{ low, high display.Bucket }

// heatmap draws a character for each span of time and each band of buckets: the darker, the more values.
func (p *picture) heatmap(d display.Distribution, step int64) {
	bands, of := bandsOf(d, p.Height-3)
	if len(bands) == 0 {
		p.line("no values")
		return
	}
	labels := make([]string, len(bands))
	for i, b := range bands {
		labels[i] = p.interval(display.Bucket{Lower: b.low.Lower, Upper: b.high.Upper})
	}
	margin := widest(labels, p.Width/2)
	width := p.Width - margin - 2
	from, to := d.Spreads[0].T, d.Spreads[len(d.Spreads)-1].T
	field := counted(d, of, len(bands), width, step)
	most := 0.0
	for _, line := range field {
		for _, count := range line {
			most = max(most, count)
		}
	}
	for i := len(bands) - 1; i >= 0; i-- {
		var b strings.Builder
		for _, count := range field[i] {
			b.WriteString(p.shade(count, most))
		}
		p.line("%s %s%s", padLeft(p.fitted(labels[i], margin), margin), p.sign("│"), b.String())
	}
	p.timeAxis(from, to+max(step, 0), margin, width, step) // the last cell lasts for a step, as in counted
	p.shades(most)
}

// bandsOf are at most n bands of all the buckets there are, the lowest first, and which one each bucket is in.
func bandsOf(d display.Distribution, n int) (bands []band, of map[display.Bucket]int) {
	var all []display.Bucket
	seen := map[display.Bucket]bool{}
	for _, s := range d.Spreads {
		for _, b := range s.Buckets {
			if b.Count = 0; !seen[b] {
				seen[b] = true
				all = append(all, b)
			}
		}
	}
	slices.SortFunc(all, func(a, b display.Bucket) int {
		return cmp.Or(cmp.Compare(a.Lower, b.Lower), cmp.Compare(a.Upper, b.Upper))
	})
	of = map[display.Bucket]int{}
	for i, b := range all {
		k := i
		if len(all) > n {
			k = i * n / len(all)
		}
		of[b] = k
		if k == len(bands) {
			bands = append(bands, band{b, b})
		}
		bands[k].high = b
	}
	return bands, of
}

// counted sums up the buckets of each band and span of time. A span in which no histogram is has the one before, for as long as its
// step lasts.
func counted(d display.Distribution, of map[display.Bucket]int, bands, width int, step int64) [][]float64 {
	field := make([][]float64, bands)
	for i := range field {
		field[i] = make([]float64, width)
	}
	from, to := d.Spreads[0].T, d.Spreads[len(d.Spreads)-1].T+max(step, 1)
	next, current := 0, -1
	for x := range width {
		end := from + int64(float64(x+1)/float64(width)*float64(to-from))
		first := next
		for next < len(d.Spreads) && d.Spreads[next].T < end {
			next++
		}
		within := d.Spreads[first:next]
		if len(within) > 0 {
			current = next - 1
		} else if current >= 0 && (step == 0 || end-d.Spreads[current].T <= step) {
			within = d.Spreads[current : current+1]
		}
		for _, s := range within {
			for _, b := range s.Buckets {
				if count := b.Count; count > 0 && !math.IsInf(count, 0) {
					b.Count = 0
					field[of[b]][x] += count / float64(len(within))
				}
			}
		}
	}
	return field
}

// Characters and colours of more and more values. Nothing is a blank.
var (
	blocks     = []string{"░", "▒", "▓", "█"}
	signs      = []string{".", "-", "+", "#"}
	heatColour = []string{"38;5;17", "38;5;54", "38;5;90", "38;5;126", "38;5;162", "38;5;203", "38;5;215", "38;5;229"}
)

func (p *picture) shade(count, most float64) string {
	if !(count > 0) || most == 0 {
		return " "
	}
	part := func(n int) int { return min(n-1, int(count/most*float64(n))) }
	switch {
	case p.Colour && !p.ASCII:
		return "\x1b[" + heatColour[part(len(heatColour))] + "m█\x1b[0m"
	case p.ASCII:
		return signs[part(len(signs))]
	}
	return blocks[part(len(blocks))]
}

// shades explains the characters.
func (p *picture) shades(most float64) {
	counts := &picture{Options: p.Options}
	text := ""
	for i := range blocks {
		text += p.shade((float64(i)+0.9)/float64(len(blocks))*most, most) + " to " + counts.format(float64(i+1)/float64(len(blocks))*most) + "   "
	}
	p.line("%s", text)
}
