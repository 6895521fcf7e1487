package block

import (
	"math"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// made makes up the meta of a block between two hours of the clock.
func made(n byte, from, to float64, level int) Meta {
	return Meta{ID: uuid.UUID{n}, MinTime: int64(from * float64(hour)), MaxTime: int64(to*float64(hour)) - 1, Level: level, Bytes: 10}
}

func TestNextMerge(t *testing.T) {
	policy := Policy{Ranges: DefaultRanges(), Settle: hour}
	windows := func(m Meta, tier engine.Tier) Meta {
		m.Tier = tier
		m.MinTime++
		m.MaxTime++
		return m
	}
	for _, test := range []struct {
		name   string
		blocks []Meta
		now    float64 // hours
		want   []byte  // ids
		level  int
		ranges int
	}{
		{"nothing", nil, 100, nil, 0, 0},
		{"six hours are not over", []Meta{made(1, 0, 2, 1), made(2, 2, 4, 1)}, 6.9, nil, 0, 0},
		{"six hours", []Meta{made(1, 0, 2, 1), made(3, 4, 6, 1), made(2, 2, 4, 1), made(4, 6, 8, 1)}, 8, []byte{1, 2, 3}, 2, 1},
		{"one block alone is packed too", []Meta{made(2, 2, 4, 1)}, 7.1, []byte{2}, 2, 1},
		{"packed once", []Meta{made(2, 2, 4, 2)}, 8, nil, 0, 0},
		{"a day", []Meta{made(1, 0, 6, 2), made(2, 6, 12, 2), made(3, 12, 24, 2)}, 26, []byte{1, 2, 3}, 3, 1},
		{"a day at once", []Meta{made(1, 0, 2, 1), made(2, 2, 4, 1), made(3, 20, 24, 2)}, 26, []byte{1, 2, 3}, 3, 1},
		{"a finished day", []Meta{made(1, 0, 24, 3)}, 100, nil, 0, 0},
		{"something late into a finished day", []Meta{made(1, 0, 20, 3), made(2, 22, 23, 1)}, 100, []byte{1, 2}, 3, 1},
		{"overlap first", []Meta{made(1, 0, 2, 1), made(2, 2, 4, 1), made(3, 4, 6, 1), made(4, 6, 8, 1), made(5, 7, 9, 1), made(6, 8.5, 10, 1), made(7, 10, 12, 1)}, 8, []byte{4, 5, 6}, 2, 1},
		{"an overlap of three days", []Meta{made(1, 0, 24, 3), made(2, 24, 48, 3), made(3, 20, 50, 1)}, 50, []byte{1, 3, 2}, 3, 3},
		{"a block across two ranges stays", []Meta{made(1, 3, 9, 1)}, 20, nil, 0, 0},
		{"tiers apart", []Meta{made(1, 0, 2, 1), windows(made(2, 0, 6, 1), engine.TierFiveMinutes)}, 5, nil, 0, 0},
		{"windows end with their range", []Meta{windows(made(1, 0, 6, 1), engine.TierFiveMinutes), windows(made(2, 18, 24, 1), engine.TierFiveMinutes)}, 25.1, []byte{1, 2}, 2, 1},
		{"before 1970", []Meta{made(1, -2, 0, 1), made(2, -6, -4, 1), made(3, 0, 2, 1)}, 2, []byte{2, 1}, 3, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			job, ok := NextMerge(test.blocks, int64(test.now*float64(hour)), policy)
			require.Equal(t, test.want != nil, ok)
			var ids []byte
			for _, m := range job.Blocks {
				ids = append(ids, m.ID[0])
			}
			require.Equal(t, test.want, ids)
			require.Equal(t, test.level, job.Level)
			require.Len(t, job.Ranges, test.ranges)
		})
	}
}

func TestDeletions(t *testing.T) {
	at := func(m Meta, tier engine.Tier) Meta { m.Tier = tier; return m }
	from := func(m Meta, covers *merge.Interval, sources ...byte) Meta {
		for _, n := range sources {
			m.Sources = append(m.Sources, uuid.UUID{n})
		}
		m.Covers = covers
		return m
	}
	span := func(from, to int64) *merge.Interval { return &merge.Interval{Min: from * hour, Max: to*hour - 1} }
	for _, test := range []struct {
		name   string
		blocks []Meta
		policy Policy
		want   map[byte]Cause
	}{
		{"no policy", []Meta{made(1, 0, 2, 1)}, Policy{}, nil},
		{"retention by the last sample", []Meta{made(1, 0, 2, 1), made(2, 80, 91, 1)}, Policy{Retention: map[engine.Tier]int64{0: 10 * hour}, Rolled: math.MaxInt64}, map[byte]Cause{1: CauseRetention}},
		{"each tier its own", []Meta{made(1, 0, 2, 1), at(made(2, 0, 2, 1), engine.TierHour)}, Policy{Retention: map[engine.Tier]int64{engine.TierHour: hour}, Rolled: math.MaxInt64}, map[byte]Cause{2: CauseRetention}},
		{"not before its windows exist", []Meta{made(1, 0, 2, 1), made(2, 2, 4, 1)}, Policy{Retention: map[engine.Tier]int64{0: hour}, Rolled: 2 * hour}, map[byte]Cause{1: CauseRetention}},
		{"budget", []Meta{made(3, 4, 6, 1), made(1, 0, 2, 1), made(2, 2, 4, 1)}, Policy{Budget: 15}, map[byte]Cause{1: CauseBudget, 2: CauseBudget}},
		{"budget fits", []Meta{made(1, 0, 2, 1), made(2, 2, 4, 1)}, Policy{Budget: 20}, nil},
		{"budget spares the young", []Meta{made(1, 0, 2, 1), made(2, 98, 99, 1)}, Policy{Budget: 1, Young: 5 * hour}, map[byte]Cause{1: CauseBudget}},
		{"budget after retention", []Meta{made(1, 0, 2, 1), made(2, 80, 91, 1)}, Policy{Budget: 10, Retention: map[engine.Tier]int64{0: 10 * hour}, Rolled: math.MaxInt64}, map[byte]Cause{1: CauseRetention}},
		{"superseded", []Meta{made(1, 0, 2, 1), from(made(2, 0, 6, 2), nil, 1)}, Policy{}, map[byte]Cause{1: CauseSuperseded}},
		{"superseded by two", []Meta{made(1, 0, 30, 1), from(made(2, 0, 24, 2), span(0, 24), 1), from(made(3, 24, 30, 2), span(24, 30), 1)}, Policy{}, map[byte]Cause{1: CauseSuperseded}},
		{"superseded in part", []Meta{made(1, 0, 30, 1), from(made(2, 0, 24, 2), span(0, 24), 1)}, Policy{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got map[byte]Cause
			for _, d := range Deletions(test.blocks, 100*hour, test.policy) {
				if got == nil {
					got = map[byte]Cause{}
				}
				got[d.Block.ID[0]] = d.Cause
			}
			require.Equal(t, test.want, got)
		})
	}
}

// done is what a job leaves: one block for each range that any of its blocks reaches into.
func done(job Job, next *byte) (made []Meta) {
	for _, span := range job.Ranges {
		m := Meta{Tier: job.Blocks[0].Tier, Level: job.Level, MinTime: math.MaxInt64, MaxTime: math.MinInt64, Covers: &span}
		for _, from := range job.Blocks {
			if from.Interval().Overlaps(span) {
				m.MinTime = min(m.MinTime, max(span.Min, from.MinTime))
				m.MaxTime = max(m.MaxTime, min(span.Max, from.MaxTime))
				m.Bytes += from.Bytes
			}
			m.Sources = append(m.Sources, from.ID)
		}
		if *next++; m.MinTime <= m.MaxTime {
			m.ID = uuid.UUID{*next, 1}
			made = append(made, m)
		}
	}
	return made
}

// TestPlanSettles runs plans on random blocks: they end, mix no tiers, lose no time, leave no overlap, and delete
// nothing young.
func TestPlanSettles(t *testing.T) {
	policy := Policy{Ranges: DefaultRanges(), Settle: hour, Retention: map[engine.Tier]int64{0: 48 * hour}, Rolled: math.MaxInt64, Budget: 200, Young: 3 * hour}
	rapid.Check(t, func(t *rapid.T) {
		var blocks []Meta
		for n := range rapid.IntRange(0, 25).Draw(t, "blocks") {
			from := rapid.Float64Range(-30, 120).Draw(t, "from")
			m := made(byte(n+1), from, from+rapid.Float64Range(0.1, rapid.SampledFrom([]float64{2, 2, 2, 40}).Draw(t, "most")).Draw(t, "for"), rapid.IntRange(1, 3).Draw(t, "level"))
			m.Tier = engine.Tier(rapid.IntRange(0, 2).Draw(t, "tier"))
			blocks = append(blocks, m)
		}
		now := int64(rapid.IntRange(0, 200).Draw(t, "now")) * hour
		for _, d := range Deletions(blocks, now, policy) {
			require.True(t, d.Cause == CauseBudget && d.Block.MaxTime < now-policy.Young || d.Cause == CauseRetention && d.Block.Tier == 0 && d.Block.MaxTime < now-48*hour)
		}
		next := byte(100)
		for round := 0; ; round++ {
			require.Less(t, round, 80, "it does not end")
			job, ok := NextMerge(blocks, now, policy)
			if !ok {
				break
			}
			ids := map[uuid.UUID]bool{}
			for _, m := range job.Blocks {
				require.Equal(t, job.Blocks[0].Tier, m.Tier)
				require.True(t, slices.ContainsFunc(job.Ranges, m.Interval().Overlaps))
				require.Contains(t, merge.Join(slices.Clone(job.Ranges)), merge.Interval{Min: job.Blocks[0].MinTime, Max: slices.MaxFunc(job.Blocks, func(a, b Meta) int { return int(a.MaxTime - b.MaxTime) }).MaxTime}, "all time is covered")
				ids[m.ID] = true
			}
			outputs := done(job, &next)
			both := append(slices.Clone(blocks), outputs...)
			replaced := 0
			for _, d := range Deletions(both, 0, Policy{}) {
				require.Equal(t, CauseSuperseded, d.Cause)
				require.True(t, ids[d.Block.ID])
				replaced++
			}
			require.Equal(t, len(ids), replaced, "after a crash, what was merged is found")
			blocks = append(slices.DeleteFunc(blocks, func(m Meta) bool { return ids[m.ID] }), outputs...)
		}
		for i, a := range blocks {
			for _, b := range blocks[:i] {
				require.False(t, a.Tier == b.Tier && a.Interval().Overlaps(b.Interval()))
			}
		}
	})
}
