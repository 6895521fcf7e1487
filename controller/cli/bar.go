package cli

import (
	"fmt"
	"strings"
)

// barWidth is the number of characters of a full bar.
const barWidth = 24

// bar is a progress that knows how much there is to do.
type bar struct {
	p           *progress
	name        string
	done, total uint64
}

func newBar(p *progress, name string, total uint64) *bar { return &bar{p: p, name: name, total: total} }

// add tells that n more bytes are done.
func (b *bar) add(n uint64) {
	b.done += n
	b.p.note(b.String())
}

// String draws the bar with its share and its speed.
func (b *bar) String() string {
	share := 1.0
	if b.total > 0 {
		share = min(1, float64(b.done)/float64(b.total))
	}
	full := int(share * barWidth)
	line := fmt.Sprintf("%s [%s%s] %3.0f%%", b.name, strings.Repeat("#", full), strings.Repeat("-", barWidth-full), share*100)
	if s := b.p.elapsed().Seconds(); s > 0 {
		line += " " + formatBytes(uint64(float64(b.done)/s)) + "/s"
	}
	return line
}
