package federate

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// relaying is a directory with groups of some size, whose relays behave in some way.
type relaying struct {
	Directory
	size int
	// distrusted counts the relays that kept answers back; nil counts none.
	distrusted *atomic.Int32
	behave     func(group int, ctx context.Context, members []Member, e Evaluation, tell Told) error
}

func (d relaying) Relays(members []Member) (groups []Relay, rest []Member) {
	for len(members) >= d.size {
		groups = append(groups, fakeRelay{members[:d.size], len(groups), d})
		members = members[d.size:]
	}
	return groups, members
}

// Known is what the directory knows.
func (d relaying) Known(ctx context.Context, members []Member) map[string]Known {
	if knower, knows := d.Directory.(Knower); knows {
		return knower.Known(ctx, members)
	}
	return nil
}

type fakeRelay struct {
	members []Member
	group   int
	of      relaying
}

func (r fakeRelay) Members() []Member { return r.members }

func (r fakeRelay) Ask(ctx context.Context, e Evaluation, tell Told) error {
	return r.of.behave(r.group, ctx, r.members, e, tell)
}

func (r fakeRelay) Distrust() {
	if r.of.distrusted != nil {
		r.of.distrusted.Add(1)
	}
}

// honest tells what each member answers.
func honest(ctx context.Context, members []Member, e Evaluation, tell Told) error {
	for i, m := range members {
		p, err := m.Shard.Evaluate(ctx, e)
		tell.Alive()
		if err == nil {
			err = Hold(tell.Context(i), 100)
		}
		tell.Answer(i, p, err)
	}
	return nil
}

// slowly is honest, and takes its time before each answer. All the while it says that it is there.
func slowly(each time.Duration) func(context.Context, []Member, Evaluation, Told) error {
	return func(ctx context.Context, members []Member, e Evaluation, tell Told) error {
		for i, m := range members {
			pause, enough := context.WithTimeout(ctx, each)
			_ = waiting(pause, tell)
			enough()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p, err := m.Shard.Evaluate(ctx, e)
			tell.Context(i)
			tell.Answer(i, p, err)
		}
		return nil
	}
}

// waiting says that the relay is there until nobody listens.
func waiting(ctx context.Context, tell Told) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			tell.Alive()
		}
	}
}

// TestFaultyRelays: whatever a relay does, the answer is whole, since all hosts answer directly.
func TestFaultyRelays(t *testing.T) {
	for name, test := range map[string]struct {
		behave func(ctx context.Context, members []Member, e Evaluation, tell Told) error
		took   time.Duration
		direct int32 // questions that were asked directly, of the four
		spent  bool  // whether no second requests are left
	}{
		"is honest": {honest, 0, 0, false},
		"fails":     {func(context.Context, []Member, Evaluation, Told) error { return errors.New("no such call") }, 0, 4, false},
		"panics":    {func(context.Context, []Member, Evaluation, Told) error { panic("over it") }, 0, 4, false},
		"says none": {func(context.Context, []Member, Evaluation, Told) error { return nil }, 0, 4, false},
		"is silent": {func(ctx context.Context, _ []Member, _ Evaluation, _ Told) error { <-ctx.Done(); return ctx.Err() }, 2 * time.Second, 4, false},
		"breaks off": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			return errors.Join(honest(ctx, m[:2], e, tell), errors.New("cut"))
		}, 0, 2, false},
		"fails to reach some": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			tell.Context(3)
			tell.Answer(3, Partial{}, errors.New("no route"))
			return honest(ctx, m[:3], e, tell)
		}, 0, 1, false},
		"tells twice": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			return errors.Join(honest(ctx, m, e, tell), honest(ctx, m, e, tell))
		}, 0, 0, false},
		"reaches nobody": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			return errors.Join(honest(ctx, m[:1], e, tell), waiting(ctx, tell))
		}, 2 * time.Second, 3, false},
		"keeps back some": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			return errors.Join(honest(ctx, m[:2], e, tell), waiting(ctx, tell))
		}, 5 * time.Second, 2, true},
		"keeps back by being slow": {slowly(1900 * time.Millisecond), 5 * time.Second, 2, true},
		"waits for one": {func(ctx context.Context, m []Member, e Evaluation, tell Told) error {
			return errors.Join(honest(ctx, m[:3], e, tell), waiting(ctx, tell))
		}, 2 * time.Second, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 4
				w := illWorld(t, nil)
				all := w.fleet.directory.(members)
				var direct, distrusted atomic.Int32
				own := append(members{}, all...)
				for i := range all {
					all[i].Shard = &ill{Shard: all[i].Shard, fault: func(context.Context, int) error { direct.Add(1); return nil }}
				}
				w.fleet.opts.RelayFrom = 1
				if test.spent {
					w.fleet.opts.extra = &allowance{spent: extraSaved}
				}
				w.fleet.directory = relaying{all, size, &distrusted, func(group int, ctx context.Context, m []Member, e Evaluation, tell Told) error {
					if group > 0 {
						return honest(ctx, own[group*size:][:size], e, tell)
					}
					return test.behave(ctx, own[:size], e, tell)
				}}
				began := time.Now()
				result := w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes)
				require.NoError(t, result.Err)
				assert.Empty(t, result.Warnings)
				assert.LessOrEqual(t, time.Since(began), test.took)
				assert.Equal(t, test.direct, direct.Load())
				assert.Equal(t, strings.HasPrefix(name, "keeps back"), distrusted.Load() == 1)
				stats := w.fleet.RelayStats()
				assert.EqualValues(t, 2, stats.Calls)
				assert.EqualValues(t, test.direct, stats.Direct)
				assert.GreaterOrEqual(t, stats.Answers+stats.Direct, int64(8))
				for _, points := range rowsByLabels(result.Value) {
					for _, p := range points {
						assert.Equal(t, 8.0, p.V)
					}
				}
			})
		})
	}
}

// TestFaultyShardsBehindRelaysAreMissing as they are where all are asked directly.
func TestFaultyShardsBehindRelaysAreMissing(t *testing.T) {
	for name, test := range map[string]struct {
		fault   func(context.Context, int) error
		missing bool
	}{
		"hangs for good": {hang, true},
		"hangs once":     {hangFirst, false},
		"fails once":     {refuseFirst, false},
		"is down":        {down, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := illWorld(t, test.fault)
				w.fleet.opts.RelayFrom = 1
				w.fleet.directory = cutAfter(w.fleet.directory, 2)
				began := time.Now()
				result := w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes)
				require.NoError(t, result.Err)
				assert.LessOrEqual(t, time.Since(began), 10*time.Second)
				if !test.missing {
					assert.Empty(t, result.Warnings)
					return
				}
				warnings, _ := result.Warnings.AsStrings("", 0, 0)
				require.Len(t, warnings, 1)
				assert.Contains(t, warnings[0], "2 of 8 hosts did not answer, and their series are missing: h2, h5")
				require.ErrorContains(t, w.ask(t, w.engine, w.fleet.WithComplete(true), `count(up)`, faultTimes).Err, "would not be complete")
			})
		})
	}
}

// TestSlowHostsBehindRelays: a host that takes more than half of the time answers as it does where it is asked directly.
func TestSlowHostsBehindRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, nil)
		slow(w.fleet.directory.(members), 6*time.Second)
		var distrusted atomic.Int32
		w.fleet.opts.RelayFrom = 1
		w.fleet.directory = relaying{w.fleet.directory, 4, &distrusted, atOnce}
		began := time.Now()
		result := w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes)
		require.NoError(t, result.Err)
		assert.Empty(t, result.Warnings)
		assert.Equal(t, 6*time.Second, time.Since(began), "those that were asked a second time are not waited for")
		assert.Zero(t, distrusted.Load())
	})
}

// slow has all members take so long for each answer, unless nobody waits for it.
func slow(all members, takes time.Duration) {
	for i := range all {
		all[i].Shard = &ill{Shard: all[i].Shard, fault: func(ctx context.Context, _ int) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(takes):
				return nil
			}
		}}
	}
}

// atOnce asks all members at one time, and says meanwhile that the relay is there.
func atOnce(_ int, ctx context.Context, members []Member, e Evaluation, tell Told) error {
	type answer struct {
		i   int
		p   Partial
		err error
	}
	answers := make(chan answer, len(members))
	for i, m := range members {
		go func() {
			p, err := m.Shard.Evaluate(ctx, e)
			answers <- answer{i, p, err}
		}()
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for left := len(members); left > 0; {
		select {
		case a := <-answers:
			tell.Answer(a.i, a.p, a.err)
			left--
		case <-tick.C:
			tell.Alive()
		}
	}
	return nil
}

// TestAnswersByRelaysAreNotKeptWaiting by second requests that hang.
func TestAnswersByRelaysAreNotKeptWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, nil)
		all := w.fleet.directory.(members)
		own := append(members{}, all...)
		for i := range all {
			all[i].Shard = &ill{Shard: all[i].Shard, fault: hang}
		}
		slow(own, 3*time.Second)
		w.fleet.opts.RelayFrom = 1
		w.fleet.directory = relaying{all, 4, nil, func(group int, ctx context.Context, _ []Member, e Evaluation, tell Told) error {
			return atOnce(group, ctx, own[group*4:][:4], e, tell)
		}}
		began := time.Now()
		result := w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes)
		require.NoError(t, result.Err)
		assert.Empty(t, result.Warnings)
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.EqualValues(t, 8, w.fleet.RelayStats().Direct, "all were asked a second time")
	})
}

// TestRelaysThatAllKeepBack: with no second requests left, a quarter of the members are asked directly, and the others missing.
func TestRelaysThatAllKeepBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := illWorld(t, nil)
		var distrusted atomic.Int32
		w.fleet.opts.RelayFrom, w.fleet.opts.extra = 1, &allowance{spent: extraSaved}
		w.fleet.directory = relaying{w.fleet.directory, 4, &distrusted, func(_ int, ctx context.Context, _ []Member, _ Evaluation, tell Told) error {
			return waiting(ctx, tell)
		}}
		result := w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes)
		require.NoError(t, result.Err)
		warnings, _ := result.Warnings.AsStrings("", 0, 0)
		require.Len(t, warnings, 1)
		assert.Contains(t, warnings[0], "6 of 8 hosts did not answer")
		assert.EqualValues(t, 2, w.fleet.RelayStats().Direct)
		assert.Positive(t, distrusted.Load())
	})
}

// TestRelayedAnswersAllowSecondRequests as those of hosts that were asked directly do: one each, once.
func TestRelayedAnswersAllowSecondRequests(t *testing.T) {
	for name, told := range map[string]int{"all by relays": 2, "half of them by relays": 1} {
		t.Run(name, func(t *testing.T) {
			w := illWorld(t, nil)
			w.fleet.opts.RelayFrom, w.fleet.opts.extra = 1, &allowance{spent: extraSaved}
			w.fleet.directory = cutAfter(w.fleet.directory, told)
			require.NoError(t, w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes).Err)
			assert.InDelta(t, extraSaved-8*extraShare, w.fleet.opts.extra.spent, 1e-9)
		})
	}
}

// cutAfter relays pairs of members; each relay breaks off after so many of the two.
func cutAfter(all Directory, told int) relaying {
	return relaying{all, 2, nil, func(_ int, ctx context.Context, m []Member, e Evaluation, tell Told) error {
		if err := honest(ctx, m[:min(told, len(m))], e, tell); err != nil || told >= len(m) {
			return err
		}
		return errors.New("cut")
	}}
}

// TestRelayedQuestionsLeaveNothingHeld: answers that were taken do not count any more.
func TestRelayedQuestionsLeaveNothingHeld(t *testing.T) {
	w := illWorld(t, nil)
	w.fleet.opts.RelayFrom, w.fleet.opts.MaxBytes = 1, 450 // four answers of 100 at one time
	w.fleet.directory = cutAfter(w.fleet.directory, 2)
	for range 10 {
		require.NoError(t, w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes).Err)
	}
	w.fleet.opts.MaxBytes = 90
	require.ErrorContains(t, w.ask(t, w.engine, w.fleet, `count(up)`, faultTimes).Err, "answers of hosts that arrive at one time")
}
