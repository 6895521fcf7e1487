package block

import (
	"github.com/novacron/novacron/tsdb/engine"
)

// Merged chunks are cut at fixed times of the clock, so that the series of one scrape have the same time columns.

const (
	hour = int64(60 * 60_000)
	// chunkTarget is the most samples of a merged chunk. Twice as many would take 2 % less disk, but asking for five
	// minutes would decode twice as much.
	chunkTarget = 250
	// windowTarget is chunkTarget for windows, of which mostly many are asked for.
	windowTarget = 500
	// histogramTarget is chunkTarget for histograms, which are large and slow to decode.
	histogramTarget = 120
)

// cellOf is the number of the span of time, of the clock, whose samples are packed together: two hours of samples, or
// as many windows as fit into a chunk. Windows belong to the time before their end.
func cellOf(tier engine.Tier, t int64) int64 {
	length := cellLength(tier)
	if tier != engine.TierRaw {
		t--
	}
	cell := t / length
	if t%length < 0 {
		cell--
	}
	return cell
}

func cellLength(tier engine.Tier) int64 {
	switch tier {
	case engine.TierFiveMinutes:
		return 24 * hour
	case engine.TierHour:
		return 10 * 24 * hour
	case engine.TierRaw:
	}
	return 2 * hour
}

// cellEnd is the last time of a cell.
func cellEnd(tier engine.Tier, cell int64) int64 {
	end := (cell+1)*cellLength(tier) - 1
	if tier != engine.TierRaw {
		end++
	}
	return end
}

// cut splits ascending times of one cell, which ends at a time and has a length, into halves of time until each part
// has at most so many; it tells the bounds of each part to emit.
func cut(times []int64, from, end, length int64, most int, emit func(from, to int) error) error {
	if len(times) == 0 {
		return nil
	}
	if len(times) <= most {
		return emit(int(from), int(from)+len(times))
	}
	middle := end - length/2
	at := 0
	for at < len(times) && times[at] <= middle {
		at++
	}
	if err := cut(times[:at], from, middle, length-length/2, most, emit); err != nil {
		return err
	}
	return cut(times[at:], from+int64(at), end, length/2, most, emit)
}
