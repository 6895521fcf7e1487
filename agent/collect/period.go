package collect

import "time"

// Timing says when the periods of a source are final, and how far back it is read again.
type Timing struct {
	Period time.Duration
	// Delay is how long after its end a period is final.
	Delay time.Duration
	// Overlap is how many periods are read again each time.
	Overlap int
}

// The timings of the sources. GCP's own descriptors tell the delay where they have one.
var (
	AWSBasic      = Timing{Period: 5 * time.Minute, Delay: 5 * time.Minute, Overlap: 2}
	AWSDetailed   = Timing{Period: time.Minute, Delay: 3 * time.Minute, Overlap: 5}
	AWSStatus     = Timing{Period: time.Minute, Delay: 2 * time.Minute, Overlap: 3}
	AWSCredits    = Timing{Period: 5 * time.Minute, Delay: 5 * time.Minute, Overlap: 2}
	AzurePlatform = Timing{Period: time.Minute, Delay: 3 * time.Minute, Overlap: 4}
	GCPCompute    = Timing{Period: time.Minute, Delay: 4 * time.Minute, Overlap: 3}
	GCPUptime     = Timing{Period: time.Minute, Delay: 2 * time.Minute, Overlap: 3}
	GCPAgent      = Timing{Period: time.Minute, Delay: time.Minute, Overlap: 3}
)

// FinalEnd is the end of the last period that is final.
func (t Timing) FinalEnd(now time.Time) time.Time { return now.Add(-t.Delay).Truncate(t.Period) }

// Window is what to ask for: from, which periods may begin with, until to, by which they have ended; both are
// multiples of the period. It begins with the overlap before the last answer, at most back ago, and what is not final yet
// is in it.
func (t Timing) Window(last, now time.Time, back time.Duration) (from, to time.Time) {
	to = now.Truncate(t.Period)
	from = last.Truncate(t.Period)
	if pending := t.FinalEnd(now); from.After(pending) {
		from = pending
	}
	from = from.Add(-time.Duration(t.Overlap) * t.Period)
	if oldest := now.Add(-back).Truncate(t.Period); from.Before(oldest) {
		from = oldest
	}
	return from, to
}

// NativeKind says what the values of a source mean.
type NativeKind uint8

// The kinds: a value now, one that grows since a start, an amount in a period, and a mean per second over one.
const (
	NativeGauge NativeKind = iota
	NativeCumulative
	NativeDelta
	NativeRate
)

// Point is a value at a time: for periods, their end.
type Point struct {
	Time  time.Time
	Value float64
}
