package query

import "time"

// Aligned is the range with its first time at the multiple of the step at or before it, counted from 1970 on, so that
// the same question later has times in common with it. Times that rollups end at are among them for steps of 5 min and
// more. A range without a step stays as it is.
func (r Range) Aligned() Range {
	step := r.Step.Milliseconds()
	if step <= 0 {
		return r
	}
	start := r.Start.UnixMilli()
	past := start % step
	if past < 0 {
		past += step
	}
	r.Start = time.UnixMilli(start - past).In(r.Start.Location())
	return r
}
