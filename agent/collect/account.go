package collect

import (
	"slices"
	"time"
)

// Account is a counter that is made of periods. The zero value is one that begins.
type Account struct {
	Total float64 `json:"total"`
	// Last is the end of the last period that counts.
	Last time.Time `json:"last"`
	// Recent are the last periods that were applied, by time, to tell what changed after it was final.
	Recent []Applied `json:"recent,omitempty"`
}

// Applied is a period that has been counted.
type Applied struct {
	End   time.Time `json:"end"`
	Value float64   `json:"value"`
}

// maxRecent is how many periods an account remembers: more than any source is read again.
const maxRecent = 8

// Reading is what a source answered of one series of periods.
type Reading struct {
	// Kind is NativeDelta or NativeRate.
	Kind   NativeKind
	Period time.Duration
	// Points are values at the ends of their periods, in any order; of two for one period the later one counts.
	Points []Point
	// From and Through bound the periods that the source was asked for, answered and that are final: their ends lie after
	// From, up to Through. What is outside does not count yet.
	From, Through time.Time
	// Alive says that the resource exists, so that a period without a value is one in which nothing happened.
	Alive bool
}

// Advance applies each final period once, in order of time. It returns the account as it then is, the counter's
// values at the ends of the periods, and how many values came or changed after their period had been counted.
func (a Account) Advance(r Reading) (next Account, points []Point, late int) {
	amounts := map[int64]float64{}
	for _, p := range r.Points {
		if p.Time.After(a.Last) && !p.Time.After(r.Through) {
			amounts[p.Time.UnixNano()] = r.amount(p.Value)
		}
	}
	a, late = a.lateOf(r)
	for _, end := range a.ends(r, amounts) {
		if amount, has := amounts[end.UnixNano()]; has {
			a.Total += amount
			a.Recent = append(a.Recent, Applied{end, amount})
		}
		a.Last = end
		points = append(points, Point{end, a.Total})
	}
	a.Recent = a.Recent[max(0, len(a.Recent)-maxRecent):]
	return a, points, late
}

func (r Reading) amount(v float64) float64 {
	if r.Kind == NativeRate {
		return v * r.Period.Seconds()
	}
	return v
}

// lateOf counts the values of counted periods that are new or changed, each change once.
func (a Account) lateOf(r Reading) (next Account, late int) {
	a.Recent = slices.Clone(a.Recent)
	if len(a.Recent) == 0 {
		return a, 0
	}
	for _, p := range r.Points {
		if p.Time.After(a.Last) || p.Time.Before(a.Recent[0].End) {
			continue
		}
		i, known := slices.BinarySearchFunc(a.Recent, p.Time, func(x Applied, t time.Time) int { return x.End.Compare(t) })
		switch amount := r.amount(p.Value); {
		case !known:
			late++
			a.Recent = slices.Insert(a.Recent, i, Applied{p.Time, amount})
		case a.Recent[i].Value != amount:
			late++
			a.Recent[i].Value = amount
		}
	}
	return a, late
}

// ends are those of the periods to apply or, where nothing happened in them, to repeat the counter for.
func (a Account) ends(r Reading, amounts map[int64]float64) []time.Time {
	var ends []time.Time
	for at := range amounts {
		ends = append(ends, time.Unix(0, at).UTC())
	}
	if r.Alive && !a.Last.IsZero() && r.Period > 0 {
		from := a.Last
		if r.From.After(from) {
			from = r.From
		}
		for end := from.Truncate(r.Period).Add(r.Period); !end.After(r.Through); end = end.Add(r.Period) {
			if _, has := amounts[end.UnixNano()]; !has {
				ends = append(ends, end.UTC())
			}
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends
}
