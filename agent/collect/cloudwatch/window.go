package cloudwatch

import (
	"cmp"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// ask is a query with its window.
type ask struct {
	query
	id     string // its key
	window cloud.Window
}

// batchLimit is CloudWatch's: metrics in one call.
const batchLimit = 500

// stretch is how much further back one call may go for the sake of a few of its metrics.
const stretch = time.Hour

// batches puts what is asked into as few calls as can be. What has the same end is asked together, whatever its period:
// a call has one window, and what lies outside of a metric's own is not looked at.
func batches(asks []ask) [][]ask {
	slices.SortFunc(asks, func(a, b ask) int {
		return cmp.Or(a.window.To.Compare(b.window.To), a.window.From.Compare(b.window.From), cmp.Compare(a.id, b.id))
	})
	var all [][]ask
	for _, a := range asks {
		if n := len(all) - 1; n >= 0 && len(all[n]) < batchLimit && all[n][0].window.To.Equal(a.window.To) && a.window.From.Sub(all[n][0].window.From) <= stretch {
			all[n] = append(all[n], a)
			continue
		}
		all = append(all, []ask{a})
	}
	return all
}

// span is the window of a batch: from the earliest beginning, as a multiple of the longest period.
func span(batch []ask) (from, to time.Time) {
	longest := time.Duration(0)
	from, to = batch[0].window.From, batch[0].window.To
	for _, a := range batch {
		longest = max(longest, a.period())
		if a.window.From.Before(from) {
			from = a.window.From
		}
	}
	return from.Truncate(longest), to
}
