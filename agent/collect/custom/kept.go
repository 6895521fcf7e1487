package custom

import (
	"context"
	"math"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// keepEvery is how often the series of a target are kept at most.
const keepEvery = time.Minute

// beforeStart is no scrape of this life: the series was there before the agent started.
const beforeStart = math.MaxUint64

// resume goes on with the series of before the start. The first scrape ends those that are gone.
func (c *Collector) resume(ctx context.Context) error {
	if c.resumed {
		return nil
	}
	c.resumed = true
	known, err := collect.LoadSeries(ctx, c.cfg.State)
	for _, m := range known {
		c.byKey[collect.SeriesKey(m.Name, m.Labels, "")] = &series{name: m.Name, labels: m.Labels, present: beforeStart}
	}
	return err
}

var _ collect.Settler = (*Collector)(nil)

// Settle keeps which series there are, where that has changed. Markers that were not stored are told again.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	if !stored {
		c.owed = append(c.owed, c.markers...)
		c.markers = nil
		return nil
	}
	c.owed, c.markers = nil, nil
	now := time.Now()
	if c.cfg.State == nil || !c.changed || now.Sub(c.kept).Abs() < keepEvery {
		return nil
	}
	var there []collect.Metric
	for _, s := range c.byKey {
		if s.present != 0 {
			there = append(there, collect.Metric{Name: s.name, Labels: s.labels})
		}
	}
	if err := collect.SaveSeries(ctx, c.cfg.State, there); err != nil {
		return err
	}
	c.changed, c.kept = false, now
	return nil
}

// due are the markers that were not stored, of series that have not come back.
func (c *Collector) due(at time.Time) (markers []collect.Metric) {
	for _, m := range c.owed {
		if s := c.byKey[collect.SeriesKey(m.Name, m.Labels, "")]; s == nil || s.present != c.round {
			m.Timestamp = at
			markers = append(markers, m)
		}
	}
	c.owed = nil
	return markers
}
