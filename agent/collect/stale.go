package collect

import "time"

// Presence knows the series that a collector told last and ends those that are gone. It is for one goroutine at a time.
type Presence struct {
	last map[string]Metric
}

// Ended takes what was just collected and returns a stale marker, at the given time, for each series that was there
// before and is not now. A series of which conclusive says no is left as it was: its resource could not be read, which
// is not to say that it is gone. Markers are told once.
func (p *Presence) Ended(batch []Metric, at time.Time, conclusive func(Metric) bool) []Metric {
	now := make(map[string]Metric, len(batch))
	for _, m := range batch {
		now[SeriesKey(m.Name, m.Labels, m.Source)] = m
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
	}
	p.last = now
	return ended
}

// Len is how many series are present.
func (p *Presence) Len() int { return len(p.last) }
