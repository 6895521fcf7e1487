package collect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// memoryState survives the ledger that writes it.
type memoryState struct {
	data []byte
	fail error
}

func (m *memoryState) Load(context.Context) ([]byte, error) { return m.data, nil }

func (m *memoryState) Save(_ context.Context, data []byte) error {
	if m.fail == nil {
		m.data = data
	}
	return m.fail
}

// TestCrashesNeitherLoseNorRepeatPeriods lets a cloud tell a counter's periods late, rewrites them before they are
// final, and kills the collector before, between and after storing and settling.
func TestCrashesNeitherLoseNorRepeatPeriods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timing := rapid.SampledFrom([]Timing{AWSBasic, AWSDetailed, AzurePlatform, GCPCompute}).Draw(t, "timing")
		start := clock("00:00:00")
		truth := rapid.SliceOfN(rapid.IntRange(-1, 1000), 5, 60).Draw(t, "amounts") // -1: no value
		end := func(i int) time.Time { return start.Add(time.Duration(i+1) * timing.Period) }
		state, shard := &memoryState{}, map[time.Time]float64{}
		open := func() *Ledger {
			l, err := OpenLedger(context.Background(), state, 24*time.Hour)
			require.NoError(t, err)
			return l
		}
		ledger, last := open(), time.Time{}
		finish := end(len(truth) - 1).Add(timing.Delay + timing.Period)
		for now := start; !now.After(finish); {
			now = now.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "pause")) * timing.Period)
			from, to := timing.Window(last, now, 24*time.Hour)
			ledger.Begin()
			points, late := ledger.Count("k", Reading{Kind: NativeDelta, Period: timing.Period, From: from, Through: timing.FinalEnd(now), Alive: true,
				Points: answerOf(truth, end, from, to, timing.FinalEnd(now))})
			require.Zero(t, late)
			switch rapid.IntRange(0, 3).Draw(t, "crash") {
			case 0: // before anything is stored
				ledger = open()
				last = time.Time{}
			case 1: // stored, not settled
				keep(shard, points)
				ledger = open()
				last = time.Time{}
			default:
				keep(shard, points)
				require.NoError(t, ledger.Settle(context.Background(), true, now))
				last = now
			}
			if now.After(finish) {
				break
			}
		}
		// One more collection without a crash.
		now := finish.Add(timing.Period)
		points, _ := ledger.Count("k", Reading{Kind: NativeDelta, Period: timing.Period, Through: timing.FinalEnd(now), Points: answerOf(truth, end, time.Time{}, now, now)})
		keep(shard, points)
		total := 0.0
		for i, amount := range truth {
			total += math.Max(0, float64(amount))
			if got, told := shard[end(i)]; told {
				require.InDelta(t, total, got, 0, "the counter at %v", end(i))
			} else {
				require.Equal(t, -1, amount, "period %d is final and was not told", i)
			}
		}
	})
}

// answerOf is what the cloud tells: of periods that are not final, something else.
func answerOf(truth []int, end func(int) time.Time, from, to, final time.Time) (points []Point) {
	for i, amount := range truth {
		at := end(i)
		if amount < 0 || !at.After(from) || at.After(to) {
			continue
		}
		value := float64(amount)
		if at.After(final) {
			value = math.Floor(value / 2)
		}
		points = append(points, Point{at, value})
	}
	return points
}

func keep(shard map[time.Time]float64, points []Point) {
	for _, p := range points {
		shard[p.Time] = p.Value
	}
}

func TestAbsentPeriodsRepeatTheCounterOfWhatIsAlive(t *testing.T) {
	a := Account{Total: 5, Last: clock("12:00:00")}
	r := Reading{Kind: NativeDelta, Period: time.Minute, From: clock("11:57:00"), Through: clock("12:03:00"), Points: []Point{{clock("12:02:00"), 2}}}
	_, points, _ := a.Advance(r)
	require.Equal(t, []Point{{clock("12:02:00"), 7}}, points)
	r.Alive = true
	next, points, _ := a.Advance(r)
	require.Equal(t, []Point{{clock("12:01:00"), 5}, {clock("12:02:00"), 7}, {clock("12:03:00"), 7}}, points)
	require.Equal(t, clock("12:03:00"), next.Last)
	_, points, _ = Account{}.Advance(Reading{Period: time.Minute, Through: clock("12:03:00"), Alive: true})
	require.Empty(t, points, "a counter begins with its first value")
	r.From = clock("12:01:00")
	_, points, _ = a.Advance(r)
	require.Equal(t, []Point{{clock("12:02:00"), 7}, {clock("12:03:00"), 7}}, points, "what was not asked for is not known")
}

func TestLateValuesAreCountedAndDoNotCount(t *testing.T) {
	a := Account{}
	r := Reading{Kind: NativeDelta, Period: time.Minute, Through: clock("12:03:00"), Points: []Point{{clock("12:01:00"), 1}, {clock("12:03:00"), 1}}}
	a, _, _ = a.Advance(r)
	r.Points = append(r.Points, Point{clock("12:02:00"), 9})
	next, points, late := a.Advance(r)
	require.Empty(t, points)
	require.Equal(t, 1, late)
	require.InDelta(t, 2, next.Total, 0)
	for i := range 100 {
		next, _, _ = next.Advance(Reading{Period: time.Minute, Through: clock("14:00:00"), Points: []Point{{clock("12:04:00").Add(time.Duration(i) * time.Minute), 1}}})
	}
	require.Len(t, next.Recent, maxRecent)
	require.Len(t, a.Recent, 2, "the account before is as it was")
}

func TestLedgerKeepsAndForgets(t *testing.T) {
	ctx := t.Context()
	state := FileState{filepath.Join(t.TempDir(), "state")}
	l, err := OpenLedger(ctx, state, time.Hour)
	require.NoError(t, err)
	count := func(key, at string) {
		l.Count(key, Reading{Kind: NativeDelta, Period: time.Minute, Through: clock(at), Points: []Point{{clock(at), 1}}})
	}
	count("old", "10:00:00")
	count("new", "12:00:00")
	fresh := l.Tell("g", []Point{{clock("12:00:00"), 1}})
	require.Len(t, fresh, 1)
	require.NoError(t, l.Settle(ctx, true, clock("12:00:01")))
	require.Empty(t, l.Tell("g", []Point{{clock("12:00:00"), 1}}), "equal to what is stored")
	require.Len(t, l.Tell("g", []Point{{clock("12:00:00"), 2}}), 1, "last write wins")
	count("new", "12:01:00")
	require.NoError(t, l.Settle(ctx, false, clock("12:01:01")))
	require.Len(t, l.Tell("g", []Point{{clock("12:00:00"), 2}}), 1, "what was not stored is told again")
	l, err = OpenLedger(ctx, state, time.Hour)
	require.NoError(t, err)
	_, ok := l.Total("old")
	require.False(t, ok)
	kept, ok := l.Total("new")
	require.True(t, ok)
	require.InDelta(t, 1, kept.Total, 0)
	require.True(t, kept.Last.Equal(clock("12:00:00")))
}

func TestLedgerRefusesWhatItCannotRead(t *testing.T) {
	for says, text := range map[string]string{"remove it to begin at 0": "{", "upgrade this node": `{"version":2}`} {
		_, err := OpenLedger(t.Context(), &memoryState{data: []byte(text)}, time.Hour)
		require.ErrorContains(t, err, says)
	}
	broken := &memoryState{fail: errors.New("disk full")}
	l, err := OpenLedger(t.Context(), broken, time.Hour)
	require.NoError(t, err)
	l.Count("k", Reading{Kind: NativeDelta, Period: time.Minute, Through: clock("12:00:00"), Points: []Point{{clock("12:00:00"), 1}}})
	require.ErrorContains(t, l.Settle(t.Context(), true, clock("12:00:01")), "disk full")
	_, ok := l.Total("k")
	require.False(t, ok, "what is not kept does not count")
	require.ErrorContains(t, FileState{filepath.Join(t.TempDir(), "no", "folder")}.Save(t.Context(), nil), "state of a collector")
}

func TestWindows(t *testing.T) {
	show := func(from, to time.Time) string {
		return fmt.Sprintf("%s-%s", from.Format("15:04:05"), to.Format("15:04:05"))
	}
	require.Equal(t, clock("11:55:00"), AWSBasic.FinalEnd(clock("12:03:10")))
	require.Equal(t, "11:45:00-12:00:00", show(AWSBasic.Window(clock("11:58:00"), clock("12:03:10"), time.Hour)))
	require.Equal(t, "11:05:00-12:00:00", show(AWSBasic.Window(clock("11:18:00"), clock("12:03:10"), time.Hour)), "after a pause")
	require.Equal(t, "11:00:00-12:00:00", show(AWSBasic.Window(time.Time{}, clock("12:03:10"), time.Hour)), "at first, as far back as may be")
	require.Equal(t, "11:56:00-12:03:00", show(AzurePlatform.Window(clock("12:02:30"), clock("12:03:10"), time.Hour)))
}
