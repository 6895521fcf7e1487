package collect

import (
	"hash/fnv"
	"time"
)

// maxOffset bounds how far from the round time a collection begins.
const maxOffset = time.Second

// offsetOf spreads the collections of one interval over the beginning of it: by the job's name, so that each keeps its
// place and the distances between its samples are even. It is less than a tenth of the interval and than a second.
func offsetOf(name string, interval time.Duration) time.Duration {
	room := min(interval/10, maxOffset)
	if room <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return time.Duration(h.Sum64() % uint64(room))
}

// nextTick is the first multiple of the interval, plus the offset, after a time.
func nextTick(now time.Time, interval, offset time.Duration) time.Time {
	tick := now.Add(-offset).Truncate(interval).Add(offset)
	for !tick.After(now) {
		tick = tick.Add(interval)
	}
	return tick
}
