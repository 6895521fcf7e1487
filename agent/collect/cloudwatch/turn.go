package cloudwatch

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// memory is what is known of what was settled, for as long as the process lives. Without it more is asked for and
// nothing is told wrongly.
type memory struct {
	// through is the end of the last final period that a query was answered for in full.
	through map[string]time.Time
	// asked is the end of the last window of a group that was answered in full: before a new period has ended there is
	// nothing new in it.
	asked map[string]time.Time
	// floor is where the periods of a query begin whose series came by other periods before: nothing counts twice.
	floor map[string]time.Time
	// told are the series that have had a value.
	told map[string]bool
}

func newMemory() memory {
	return memory{through: map[string]time.Time{}, asked: map[string]time.Time{}, floor: map[string]time.Time{}, told: map[string]bool{}}
}

// turn is one collection until it is settled.
type turn struct {
	now time.Time
	// peek says that only a part was asked for: nothing is remembered of it.
	peek bool
	memory
}

func groupOf(region string, c class) string { return region + "/" + string(c) }

// asks are the queries of a region that something new may have come for, with their windows.
func (c *Collector) asks(r *region, p plan) map[string]ask {
	windows := map[class]cloud.Window{}
	asks := map[string]ask{}
	for key, q := range p.queries {
		w, has := windows[q.class]
		if !has {
			w = c.book.Window(groupOf(r.name, q.class), timings[q.class], c.turn.now, c.cfg.Back)
			windows[q.class] = w
		}
		if !c.turn.peek && !w.To.After(c.settled.asked[groupOf(r.name, q.class)]) {
			continue
		}
		if window := c.windowOf(q, w); window.From.Before(window.To) {
			asks[key] = ask{query: q, id: key, window: window}
		}
	}
	return asks
}

// windowOf is the window of one query: from where it was answered last. One that is new began before it was noticed.
func (c *Collector) windowOf(q query, w cloud.Window) cloud.Window {
	timing, now, key := timings[q.class], c.turn.now, q.key()
	last, known := c.settled.through[key]
	if known {
		w.From, _ = timing.Window(last, now, c.cfg.Back)
	} else {
		w.From = w.From.Add(-q.class.unnoticed())
	}
	oldest := now.Add(-c.cfg.Back).Truncate(timing.Period)
	floor := c.settled.floor[key]
	if other := c.settled.through[q.otherwise().key()]; other.After(last) {
		floor = other.Add(timing.Period - 1).Truncate(timing.Period)
	}
	if !floor.IsZero() {
		c.turn.floor[key] = floor
	}
	for _, bound := range []time.Time{oldest, floor} {
		if w.From.Before(bound) {
			w.From = bound
		}
	}
	w.From = w.From.Truncate(timing.Period)
	return w
}

// storedOf is the end of the last final period of a query that was stored, as far as that is known: at least that of
// its group.
func (c *Collector) storedOf(r *region, q query) time.Time {
	timing := timings[q.class]
	last := c.book.Window(groupOf(r.name, q.class), timing, c.turn.now, c.cfg.Back).From.Add(time.Duration(timing.Overlap) * timing.Period)
	if own := c.settled.through[q.key()]; own.After(last) {
		return own
	}
	return last
}

// answered notes what a region's answers are whole of.
func (c *Collector) answered(r *region, p plan, asks map[string]ask, answers map[string]answer, listsWhole bool) {
	windows, whole := map[class]cloud.Window{}, map[class]bool{}
	for key, a := range asks {
		if _, has := whole[a.class]; !has {
			whole[a.class] = listsWhole
		}
		whole[a.class] = whole[a.class] && answers[key].whole
		windows[a.class] = a.window
		if answers[key].whole {
			c.turn.through[key] = a.window.Final
		}
	}
	for of, w := range windows {
		if whole[of] {
			c.book.Answered(groupOf(r.name, of), w)
			c.turn.asked[groupOf(r.name, of)] = w.To
		}
	}
}

// enter turns series into metrics. One that has never had a value is no series yet: it is not ended either.
func (c *Collector) enter(series []cloud.Series, works []*work) []collect.Metric {
	unread := map[string]bool{} // regions whose lists are not known to be whole
	for _, w := range works {
		unread[w.region.name] = !w.known.whole
	}
	metrics := c.book.Enter(series, c.turn.now, func(m collect.Metric) bool { return !unread[m.Labels["cloud_region"]] })
	kept := metrics[:0]
	for _, m := range metrics {
		key := collect.SeriesKey(m.Name, m.Labels, m.Source)
		if collect.IsStale(m.Value) && !c.settled.told[key] {
			continue
		}
		c.turn.told[key] = !collect.IsStale(m.Value)
		kept = append(kept, m)
	}
	return kept
}

// present leaves of what was wanted that which is there: what has a value, what is counted while its machine runs, and
// what could not be asked.
func (c *Collector) present(s cloud.Series, whole bool) bool {
	counted := s.Kind == collect.NativeDelta && s.Alive
	return len(s.Points) > 0 || counted || !whole && c.settled.told[collect.SeriesKey(s.Name, s.Labels, string(s.Source))]
}

// Settle ends the turn.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	if c.book == nil {
		return nil
	}
	stored = stored && !c.turn.peek
	err := errors.Join(c.access.Settle(ctx), c.book.Settle(ctx, stored, c.turn.now))
	if stored && err == nil {
		maps.Copy(c.settled.through, c.turn.through)
		maps.Copy(c.settled.asked, c.turn.asked)
		maps.Copy(c.settled.floor, c.turn.floor)
		maps.Copy(c.settled.told, c.turn.told)
		c.settled.forget(c.turn.now.Add(-c.cfg.Back))
	}
	c.turn = turn{memory: newMemory()}
	return err
}

// forget drops what is as old as if it were new.
func (m memory) forget(before time.Time) {
	maps.DeleteFunc(m.through, func(_ string, at time.Time) bool { return at.Before(before) })
	maps.DeleteFunc(m.floor, func(_ string, at time.Time) bool { return at.Before(before) })
	maps.DeleteFunc(m.told, func(_ string, there bool) bool { return !there })
}
