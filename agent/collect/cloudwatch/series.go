package cloudwatch

import (
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// series is what a want came to. What was not answered in full comes with a window in which nothing is final: no period
// of it counts before all of it is known.
func (w want) series(answers map[string]answer, asks map[string]ask) (s cloud.Series, whole bool) {
	period := timings[w.class].Period
	s = cloud.Series{
		Name: w.name, Labels: w.labels, Source: w.source, Native: w.native, Type: w.metricType, Unit: w.unit,
		Kind: w.kind, Period: period, Alive: w.alive,
	}
	natives := make([][]collect.Point, len(w.queries))
	whole = true
	for i, key := range w.queries {
		one := answers[key]
		natives[i], whole = one.points, whole && one.whole
		s.Window = common(s.Window, asks[key].window, i == 0)
	}
	s.Points = w.points(natives, period)
	if s.Kind == collect.NativeDelta {
		s.Points = notNegative(s.Points)
	}
	if !whole {
		s.Window.Final = time.Time{}
	}
	return s, whole
}

// common is what two windows share.
func common(a, b cloud.Window, first bool) cloud.Window {
	if first {
		return b
	}
	if b.From.After(a.From) {
		a.From = b.From
	}
	return a
}

// notNegative leaves out what cannot be an amount: a counter never falls.
func notNegative(points []collect.Point) []collect.Point {
	kept := points[:0]
	for _, p := range points {
		if p.Value >= 0 {
			kept = append(kept, p)
		}
	}
	return kept
}
