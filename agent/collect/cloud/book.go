package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// Series is what a provider answered of one series, under its canonical name and in base units.
type Series struct {
	Name   string
	Labels map[string]string
	Source collect.Source
	// Native is what the provider calls it, where two native series could come to the same name and labels.
	Native string
	// Type and Unit are those of a metric that the registry does not have; else empty.
	Type collect.MetricType
	Unit string
	// Kind says what the points are. Amounts and rates become a counter; the others are told as they are.
	Kind   collect.NativeKind
	Period time.Duration
	// Points are values at the ends of their periods.
	Points []collect.Point
	// Window is what the provider was asked for and has answered in full. Where its answer was partial, leave out the
	// series' later periods by an earlier Final, so that none counts as empty.
	Window Window
	// Alive says that the resource exists and runs: a period without an amount is then one in which nothing happened.
	Alive bool
}

// Window is a span of time to ask for.
type Window struct {
	// From is where the first period begins, To where the last ends.
	From, To time.Time
	// Final is the end of the last period that does not change any more.
	Final time.Time
}

// keepAccounts is how long a counter without a period is remembered; longer than any provider is read back.
const keepAccounts = 7 * 24 * time.Hour

// windowsVersion is that of the saved windows.
const windowsVersion = 1

// windowsState is the saved form.
type windowsState struct {
	Version int `json:"version"`
	// Since is when the book began.
	Since time.Time `json:"since"`
	// Through is, by group, the end of the last final period that was stored.
	Through map[string]time.Time `json:"through"`
}

// Book turns what a provider answers into metrics, each period once. One collection is a turn: Begin, then Window and
// Enter, then Settle once it is known whether the metrics were stored. A turn that is not settled, as when the process
// dies, leaves no trace and is done again to the same values. It is for one goroutine at a time.
type Book struct {
	ledger *collect.Ledger
	store  collect.StateStore
	// known is where the series are kept that were told last.
	known collect.StateStore
	since time.Time
	meter *collect.Meter

	through  map[string]time.Time
	presence collect.Presence
	// The turn's changes.
	turnThrough  map[string]time.Time
	turnPresence collect.Presence
}

// OpenBook goes on where the last settled turn ended. A new book begins at since, up to which others may have counted:
// nothing before that counts.
func OpenBook(ctx context.Context, stores Stores, since time.Time, meter *collect.Meter) (*Book, error) {
	ledger, err := collect.OpenLedger(ctx, stores("counters"), keepAccounts)
	if err != nil {
		return nil, err
	}
	b := &Book{ledger: ledger, store: stores("windows"), known: stores(collect.SeriesName), since: since, meter: meter, through: map[string]time.Time{}}
	data, err := b.store.Load(ctx)
	if err != nil {
		return nil, err
	}
	if data == nil {
		err = b.save(ctx, b.through)
	} else {
		err = b.restore(data)
	}
	if err == nil {
		err = b.presence.Restore(ctx, b.known)
	}
	if err != nil {
		return nil, err
	}
	b.Begin()
	return b, nil
}

func (b *Book) restore(data []byte) error {
	state := windowsState{}
	if err := json.Unmarshal(data, &state); err != nil {
		return fmt.Errorf("state of windows: %w; remove it to begin at the present", err)
	}
	if state.Version != windowsVersion {
		return fmt.Errorf("state of windows has version %d, this program knows %d; upgrade this node", state.Version, windowsVersion)
	}
	b.since = state.Since
	if state.Through != nil {
		b.through = state.Through
	}
	return nil
}

func (b *Book) save(ctx context.Context, through map[string]time.Time) error {
	data, err := json.Marshal(windowsState{Version: windowsVersion, Since: b.since, Through: through})
	if err != nil {
		return fmt.Errorf("state of windows: %w", err)
	}
	return b.store.Save(ctx, data)
}

// Begin starts a turn and forgets one that was not settled.
func (b *Book) Begin() {
	b.ledger.Begin()
	b.turnThrough, b.turnPresence = map[string]time.Time{}, b.presence
}

// Window is what to ask for of a group of series that are asked for together. It begins with the overlap before what
// was stored last, and at most back ago.
func (b *Book) Window(group string, timing collect.Timing, now time.Time, back time.Duration) Window {
	last, known := b.through[group]
	if !known {
		last = b.since
	}
	from, to := timing.Window(last, now, back)
	return Window{From: from, To: to, Final: timing.FinalEnd(now)}
}

// Answered notes that a group's window was answered in full. What is not noted is asked for again.
func (b *Book) Answered(group string, w Window) {
	if w.Final.After(b.through[group]) {
		b.turnThrough[group] = w.Final
	}
}

// Through is the end of the last period up to which all groups are stored; zero before the first turn was.
func (b *Book) Through() (through time.Time) {
	for _, end := range b.through {
		if through.IsZero() || end.Before(through) {
			through = end
		}
	}
	return through
}

// Told are the series that were told last, without values: after a start those of before it.
func (b *Book) Told() []collect.Metric { return b.presence.Series() }

// Enter turns all series of the turn into metrics: what was told before is left out, and series that are missing are
// ended by a stale marker at now where conclusive says that they could have been there.
func (b *Book) Enter(series []Series, now time.Time, conclusive func(collect.Metric) bool) []collect.Metric {
	var metrics, present []collect.Metric
	for _, s := range series {
		present = append(present, s.metric(collect.Point{}))
		for _, p := range b.points(s) {
			metrics = append(metrics, s.metric(p))
		}
	}
	return append(metrics, b.turnPresence.Ended(present, now, conclusive)...)
}

// points are those of a series that are new.
func (b *Book) points(s Series) []collect.Point {
	key := collect.SeriesKey(s.Name, s.Labels, string(s.Source)+"|"+s.Native)
	if s.Kind != collect.NativeDelta && s.Kind != collect.NativeRate {
		return b.ledger.Tell(key, s.Points)
	}
	points, late := b.ledger.Count(key, collect.Reading{
		Kind: s.Kind, Period: s.Period, Points: b.countable(s.Points), From: s.Window.From, Through: s.Window.Final, Alive: s.Alive,
	})
	b.meter.Late(late)
	return points // a counter's points are new by what it has counted
}

// countable are the points that nobody counted before this book.
func (b *Book) countable(points []collect.Point) (after []collect.Point) {
	for _, p := range points {
		if p.Time.After(b.since) {
			after = append(after, p)
		}
	}
	return after
}

func (s Series) metric(p collect.Point) collect.Metric {
	return collect.Metric{
		Name: s.Name, Type: s.Type, Unit: s.Unit, Labels: s.Labels, Source: string(s.Source), Value: p.Value, Timestamp: p.Time,
	}
}

// Settle ends the turn. The counters are kept before the windows: who dies in between asks for periods again that have
// counted, and they do not count twice.
func (b *Book) Settle(ctx context.Context, stored bool, now time.Time) error {
	defer b.Begin()
	if err := b.ledger.Settle(ctx, stored, now); err != nil || !stored {
		return err
	}
	next := maps.Clone(b.through)
	maps.Copy(next, b.turnThrough)
	maps.DeleteFunc(next, func(_ string, end time.Time) bool { return now.Sub(end) > keepAccounts })
	if err := b.save(ctx, next); err != nil {
		return err
	}
	b.through, b.presence = next, b.turnPresence
	return b.presence.Keep(ctx, b.known, now)
}
