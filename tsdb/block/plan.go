package block

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// Policy says how blocks are merged and how long they are kept. All of it is in milliseconds and bytes.
type Policy struct {
	// Ranges are the lengths of merged blocks for each tier, ascending, each a multiple of the one before. Blocks are
	// aligned on them.
	Ranges map[engine.Tier][]int64
	// Settle is how long after the end of a range no more samples are expected in it.
	Settle int64
	// Retention is how long samples are kept for each tier; 0, or no entry, is for ever.
	Retention map[engine.Tier]int64
	// Rolled is the time up to which the windows of raw samples exist: raw blocks that end later are not deleted for
	// their age. math.MaxInt64 where no windows are made.
	Rolled int64
	// Budget is the most bytes that all blocks may take, 0 for any.
	Budget uint64
	// Young is the age up to which blocks are not deleted for the budget either.
	Young int64
}

// DefaultRanges are two, six and twenty-four hours for samples, and as many hours or days for windows as fill chunks.
func DefaultRanges() map[engine.Tier][]int64 {
	return map[engine.Tier][]int64{
		engine.TierRaw:         {2 * hour, 6 * hour, 24 * hour},
		engine.TierFiveMinutes: {6 * hour, 24 * hour},
		engine.TierHour:        {24 * hour, 240 * hour},
	}
}

// Job is a merge to do: the blocks, each of which is to be deleted once there is an output for every range.
type Job struct {
	Blocks []Meta
	// Ranges are the spans of time of the outputs.
	Ranges []merge.Interval
	Level  int
}

// Cause says why a block is to be deleted.
type Cause string

// The causes.
const (
	CauseRetention  Cause = "retention"
	CauseBudget     Cause = "disk_budget"
	CauseSuperseded Cause = "superseded"
)

// Deletion is a block to delete.
type Deletion struct {
	Block Meta
	Cause Cause
}

// NextMerge says which blocks to merge next; false when there is nothing to do. Blocks that overlap come first, since
// they are slow to read and count samples twice; then those that fill a range of time, the longest first.
func NextMerge(blocks []Meta, now int64, policy Policy) (Job, bool) {
	for _, tier := range tiers {
		of := slices.DeleteFunc(slices.Clone(blocks), func(m Meta) bool { return m.Tier != tier })
		slices.SortFunc(of, byTime)
		if job, ok := overlapping(of, policy); ok {
			return job, true
		}
		ranges := policy.Ranges[tier]
		for level, length := range slices.Backward(ranges) {
			if job, ok := filled(of, length, level+1, now-policy.Settle); ok {
				return job, true
			}
		}
	}
	return Job{}, false
}

func byTime(a, b Meta) int {
	return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime), slices.Compare(a.ID[:], b.ID[:]))
}

// overlapping finds the first blocks that overlap, directly or through one another. To merge only some of them would
// bring old samples before newer ones. What they make is split where the longest ranges end, so that a few late
// samples do not grow blocks without end.
func overlapping(blocks []Meta, policy Policy) (Job, bool) {
	for from := 0; from < len(blocks); {
		to, end := from+1, blocks[from].MaxTime
		for to < len(blocks) && blocks[to].MinTime <= end {
			end = max(end, blocks[to].MaxTime)
			to++
		}
		if to-from > 1 {
			return newJob(blocks[from:to], policy.Ranges[blocks[from].Tier]), true
		}
		from = to
	}
	return Job{}, false
}

// newJob makes a job of blocks without gaps in order of time, whose outputs are split along the longest range.
func newJob(blocks []Meta, ranges []int64) Job {
	job := Job{Blocks: blocks, Level: 2}
	span := merge.Interval{Min: blocks[0].MinTime, Max: blocks[0].MaxTime}
	for _, m := range blocks {
		job.Level = max(job.Level, m.Level)
		span.Max = max(span.Max, m.MaxTime)
	}
	if len(ranges) == 0 {
		job.Ranges = []merge.Interval{span}
		return job
	}
	length, tier := ranges[len(ranges)-1], blocks[0].Tier
	for t := span.Min; ; {
		end := rangeEnd(tier, length, t)
		job.Ranges = append(job.Ranges, merge.Interval{Min: t, Max: min(end, span.Max)})
		if end >= span.Max {
			return job
		}
		t = end + 1
	}
}

// rangeEnd is the last time of the aligned range that t lies in. Windows belong to the time before their end.
func rangeEnd(tier engine.Tier, length, t int64) int64 {
	shift := int64(0)
	if tier != engine.TierRaw {
		shift = 1
	}
	number := (t - shift) / length
	if (t-shift)%length < 0 {
		number--
	}
	return (number+1)*length - 1 + shift
}

// filled finds the first range of a length that has ended before a time and has blocks of lower levels, all within it.
// What it makes is of the level: blocks of that level or higher are merged only with lower ones.
func filled(blocks []Meta, length int64, level int, before int64) (Job, bool) {
	for from := 0; from < len(blocks); {
		end := rangeEnd(blocks[from].Tier, length, blocks[from].MinTime)
		to := from
		lower := false
		for to < len(blocks) && blocks[to].MinTime <= end {
			lower = lower || blocks[to].Level < level
			to++
		}
		fits := blocks[to-1].MaxTime <= end // they do not overlap, so the last one ends last
		if lower && fits && end < before {
			span := merge.Interval{Min: blocks[from].MinTime, Max: blocks[to-1].MaxTime}
			return Job{Blocks: blocks[from:to], Ranges: []merge.Interval{span}, Level: level}, true
		}
		from = to
	}
	return Job{}, false
}

// Deletions says which blocks to delete, and why: those that a merge has replaced, those that are too old, and the
// oldest ones beyond the budget.
func Deletions(blocks []Meta, now int64, policy Policy) (deletions []Deletion) {
	gone := superseded(blocks)
	bytes := uint64(0)
	var left []Meta
	for _, m := range blocks {
		keep := policy.Retention[m.Tier]
		old := keep > 0 && m.MaxTime < now-keep && (m.Tier != engine.TierRaw || m.MaxTime <= policy.Rolled)
		switch {
		case gone[m.ID]:
			deletions = append(deletions, Deletion{m, CauseSuperseded})
		case old:
			deletions = append(deletions, Deletion{m, CauseRetention})
		default:
			left = append(left, m)
			bytes += m.Bytes
		}
	}
	slices.SortFunc(left, func(a, b Meta) int { return cmp.Or(cmp.Compare(a.MaxTime, b.MaxTime), byTime(a, b)) })
	for _, m := range left {
		if policy.Budget == 0 || bytes <= policy.Budget || m.MaxTime >= now-policy.Young {
			break
		}
		bytes -= m.Bytes
		deletions = append(deletions, Deletion{m, CauseBudget})
	}
	return deletions
}

// superseded finds the blocks whose samples are all in others that were made of them: what a crash between the end of
// a merge and the deletion of its blocks leaves.
func superseded(blocks []Meta) map[uuid.UUID]bool {
	covered := map[uuid.UUID][]merge.Interval{}
	for _, m := range blocks {
		covers := merge.All
		if m.Covers != nil {
			covers = *m.Covers
		}
		for _, id := range m.Sources {
			covered[id] = append(covered[id], covers)
		}
	}
	gone := map[uuid.UUID]bool{}
	for _, m := range blocks {
		spans := covered[m.ID]
		gone[m.ID] = len(spans) > 0 && slices.ContainsFunc(merge.Join(spans), func(i merge.Interval) bool { return i.Contains(m.Interval()) })
	}
	return gone
}
