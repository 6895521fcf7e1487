package fakecloud

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Machine is an instance of EC2.
type Machine struct {
	ID, Region, Name, Type, Zone string
	Tags                         map[string]string
	Detailed                     bool
	// Launched, Stopped and Ended are when it runs, is stopped and is terminated; zero for not at all.
	Launched, Stopped, Ended time.Time
}

// listedAfterEnd is how long EC2 still lists what was terminated.
const listedAfterEnd = time.Hour

// fadesAfterEnd is how long it still has its tags and network interfaces then.
const fadesAfterEnd = 20 * time.Minute

// faded tells whether only the bones of a terminated machine are listed.
func (m Machine) faded(now time.Time) bool {
	return !m.Ended.IsZero() && now.Sub(m.Ended) > fadesAfterEnd
}

// at is the state at a time; empty where it is not listed.
func (m Machine) at(now time.Time) string {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case now.Before(m.Launched) || past(m.Ended) && now.Sub(m.Ended) > listedAfterEnd:
		return ""
	case past(m.Ended):
		return "terminated"
	case past(m.Stopped):
		return "stopped"
	}
	return "running"
}

// Volume is one of EBS, attached to a machine while it exists.
type Volume struct {
	ID, Region, Type, Machine, Device string
	GiB                               int
	From, Until                       time.Time
}

func (v Volume) at(now time.Time) bool {
	return !now.Before(v.From) && (v.Until.IsZero() || now.Before(v.Until))
}

// Series is a metric with its truth.
type Series struct {
	Region, Namespace, Name, Unit string
	Dimensions                    map[string]string
	// Step is how often it is published.
	Step time.Duration
	// Value is what is published for the step that begins at a time; ok is false where nothing is.
	Value func(start time.Time) (v float64, ok bool)
	// Lag is how long after its end a step's value is the last; before, from the end on, Early of it is told; with 0
	// nothing.
	Lag   time.Duration
	Early float64
}

// AddMachine adds or replaces one.
func (c *Cloud) AddMachine(m Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machines[m.ID] = m
}

// AddVolume adds or replaces one.
func (c *Cloud) AddVolume(v Volume) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.volumes[v.ID] = v
}

// AddSeries adds or replaces one.
func (c *Cloud) AddSeries(s Series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series[seriesKey(s.Region, s.Namespace, s.Name, s.Dimensions)] = s
}

func seriesKey(region, namespace, name string, dimensions map[string]string) string {
	parts := []string{region, namespace, name}
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		parts = append(parts, d+"="+dimensions[d])
	}
	return strings.Join(parts, "\x00")
}

// shown is what is told at a time of a step.
func (s Series) shown(start, now time.Time) (float64, bool) {
	end := start.Add(s.Step)
	v, ok := s.Value(start)
	switch {
	case !ok || now.Before(end):
		return 0, false
	case now.Before(end.Add(s.Lag)):
		return v * s.Early, s.Early > 0
	}
	return v, true
}

// period makes one value of the steps of a period; ok is false where none is told yet.
func (s Series) period(start time.Time, period time.Duration, stat string, now time.Time) (v float64, ok bool) {
	n, most, all := 0.0, 0.0, 0.0
	for step := start; step.Before(start.Add(period)); step = step.Add(s.Step) {
		one, told := s.shown(step, now)
		if !told {
			continue
		}
		if n == 0 || one > most {
			most = one
		}
		n, all = n+1, all+one
	}
	switch stat {
	case "Sum":
		return all, n > 0
	case "Maximum":
		return most, n > 0
	case "SampleCount":
		return n, n > 0
	}
	return all / max(n, 1), n > 0
}
