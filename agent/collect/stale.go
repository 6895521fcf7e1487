package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Presence knows the series that a collector told last and ends those that are gone. It is for one goroutine at a time.
// A copy is a state to go back to.
type Presence struct {
	last map[string]Metric
	// changed says that series have come or gone since they were kept last, at a time.
	changed bool
	kept    time.Time
}

// Ended takes what was just collected and returns a stale marker, at the given time, for each series that was there
// before and is not now. A series of which conclusive says no is left as it was: its resource could not be read, which
// is not to say that it is gone. Markers are told once.
func (p *Presence) Ended(batch []Metric, at time.Time, conclusive func(Metric) bool) []Metric {
	now := make(map[string]Metric, len(batch))
	for _, m := range batch {
		key := SeriesKey(m.Name, m.Labels, m.Source)
		if _, was := p.last[key]; !was {
			p.changed = true
		}
		now[key] = m
	}
	var ended []Metric
	for key, m := range p.last {
		if _, there := now[key]; there {
			continue
		}
		if !conclusive(m) {
			now[key] = m
			continue
		}
		m.Value, m.Timestamp = Stale(), at
		m.Histogram, m.Exemplars = nil, nil // a plain value ends a histogram, too
		ended = append(ended, m)
		p.changed = true
	}
	p.last = now
	return ended
}

// Len is how many series are present.
func (p *Presence) Len() int { return len(p.last) }

// Series are those that are present, without values, in a steady order.
func (p *Presence) Series() []Metric {
	all := make([]Metric, 0, len(p.last))
	for _, key := range slices.Sorted(maps.Keys(p.last)) {
		m := p.last[key]
		all = append(all, Metric{Name: m.Name, Type: m.Type, Unit: m.Unit, Labels: m.Labels, Source: m.Source})
	}
	return all
}

// Restore begins with the series that were kept in a place; nil keeps none. Those that nobody tells any more are ended by
// the first collection that knows.
func (p *Presence) Restore(ctx context.Context, store StateStore) error {
	series, err := LoadSeries(ctx, store)
	if err != nil {
		return err
	}
	p.last = make(map[string]Metric, len(series))
	for _, m := range series {
		p.last[SeriesKey(m.Name, m.Labels, m.Source)] = m
	}
	return nil
}

// keepEvery is how often the series are kept at most. What comes and goes in between and is cut short by the end of the
// agent ends as every series does that nobody tells: queries see it for five minutes more.
const keepEvery = time.Minute

// Keep saves the series in a place where some have come or gone; nil keeps none.
func (p *Presence) Keep(ctx context.Context, store StateStore, now time.Time) error {
	if store == nil || !p.changed || now.Sub(p.kept).Abs() < keepEvery {
		return nil
	}
	if err := SaveSeries(ctx, store, p.Series()); err != nil {
		return err
	}
	p.changed, p.kept = false, now
	return nil
}

// seriesVersion is that of the saved form.
const seriesVersion = 1

// seriesState is the saved form.
type seriesState struct {
	Version int           `json:"version"`
	Series  []savedSeries `json:"series"`
}

type savedSeries struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Source string            `json:"source,omitempty"`
	Type   MetricType        `json:"type,omitempty"`
	Unit   string            `json:"unit,omitempty"`
}

// SeriesName is the name of the place of a collector's series among its states.
const SeriesName = "series"

// SaveSeries keeps which series a collector told last, for the one after it.
func SaveSeries(ctx context.Context, store StateStore, series []Metric) error {
	state := seriesState{Version: seriesVersion, Series: make([]savedSeries, 0, len(series))}
	for _, m := range series {
		state.Series = append(state.Series, savedSeries{Name: m.Name, Labels: m.Labels, Source: m.Source, Type: m.Type, Unit: m.Unit})
	}
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("state of series: %w", err)
	}
	return store.Save(ctx, data)
}

// LoadSeries are those that were saved; none where nothing was, or without a place.
func LoadSeries(ctx context.Context, store StateStore) ([]Metric, error) {
	if store == nil {
		return nil, nil
	}
	data, err := store.Load(ctx)
	if err != nil || data == nil {
		return nil, err
	}
	state := seriesState{}
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("state of series: %w; remove it: series that have gone meanwhile then end 5 minutes later", err)
	}
	if state.Version != seriesVersion {
		return nil, fmt.Errorf("state of series has version %d, this program knows %d; upgrade this node", state.Version, seriesVersion)
	}
	series := make([]Metric, 0, len(state.Series))
	for _, s := range state.Series {
		series = append(series, Metric{Name: s.Name, Labels: s.Labels, Source: s.Source, Type: s.Type, Unit: s.Unit})
	}
	return series, nil
}
