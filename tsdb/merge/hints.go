package merge

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// A histogram may say whether its counter was reset since the one before it. Where that one was left out or another
// came between, it is not known any more. Histograms belong to others and are copied before they are changed.

// An encoded chunk stands for itself: its first histogram says nothing of the chunk before, which may be lost, deleted
// or followed by samples of another block.

// giveUpHints does so behind each gap between the places at which the columns were picked.
func (c *Columns) giveUpHints(places []int) {
	before := -1
	for i, place := range places {
		if place != before+1 {
			c.giveUpHint(i)
		}
		before = place
	}
}

// giveUpFirstHint does so for the first sample, in a slice of the columns' own.
func (c *Columns) giveUpFirstHint() {
	switch {
	case len(c.Histograms) > 0 && telling(c.Histograms[0].CounterResetHint):
		c.Histograms = slices.Clone(c.Histograms)
	case len(c.Floats) > 0 && telling(c.Floats[0].CounterResetHint):
		c.Floats = slices.Clone(c.Floats)
	default:
		return
	}
	c.giveUpHint(0)
}

func (c *Columns) giveUpHint(i int) {
	switch {
	case len(c.Histograms) > 0 && telling(c.Histograms[i].CounterResetHint):
		c.Histograms[i] = c.Histograms[i].Copy()
		c.Histograms[i].CounterResetHint = histogram.UnknownCounterReset
	case len(c.Floats) > 0 && telling(c.Floats[i].CounterResetHint):
		c.Floats[i] = c.Floats[i].Copy()
		c.Floats[i].CounterResetHint = histogram.UnknownCounterReset
	}
}

// telling tells whether a hint says anything of the sample before.
func telling(hint histogram.CounterResetHint) bool {
	return hint == histogram.CounterReset || hint == histogram.NotCounterReset
}
