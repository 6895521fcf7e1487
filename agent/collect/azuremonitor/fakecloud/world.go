package fakecloud

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Machine is a virtual machine, or another resource where Type says so.
type Machine struct {
	// ID is the resource id as it was written; VMID the machine's own.
	ID, VMID, Location string
	// Type is empty for a machine.
	Type string
	Size string
	// Power is the code after PowerState/, PowerAt since when; zero where that is not told.
	Power   string
	PowerAt time.Time
	Created time.Time
	LUNs    []int
	Tags    map[string]string
	Zone    string
	// Off are the spans in which it does not run and has no metrics.
	Off []Span
	// Gone is when it was deleted; zero while it is there.
	Gone time.Time
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// World is what there is. It is safe for concurrent use.
type World struct {
	worldMu  sync.Mutex
	machines map[string]*Machine
	values   map[string]map[string]float64
	// errors are the codes that a metric of a resource is answered with, by key.
	errors map[string]string
	// units are what metrics come in, in place of their own.
	units map[string]string
	// RefuseGone says that a call for a resource that is gone is refused as a whole.
	RefuseGone bool
	// Twice answers everything twice, the second time in another case.
	Twice bool
	// Omit leaves resources out of answers, by id in lower case.
	Omit map[string]bool
}

// ResourceID is that of a machine.
func ResourceID(subscription, group, name string) string {
	return "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.Compute/virtualMachines/" + name
}

// Add makes a machine.
func (w *World) Add(m Machine) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	w.machines[strings.ToLower(m.ID)] = &m
}

// Change alters a machine.
func (w *World) Change(id string, alter func(*Machine)) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	alter(w.machines[strings.ToLower(id)])
}

// Set makes the value of a metric for the minute that begins at a time, whatever is asked for of it; other minutes
// of the metric are then empty. The LUN is empty for a metric without.
func (w *World) Set(id, metric, lun string, start time.Time, value float64) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	key := seriesKey(id, metric, lun)
	if w.values[key] == nil {
		w.values[key] = map[string]float64{}
	}
	w.values[key][start.UTC().Format(time.RFC3339)] = value
}

// Break answers a metric of a resource with an error code; empty mends it.
func (w *World) Break(id, metric, code string) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	if w.errors == nil {
		w.errors = map[string]string{}
	}
	w.errors[seriesKey(id, metric, "")] = code
}

// Unit answers a metric in another unit.
func (w *World) Unit(metric, unit string) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	if w.units == nil {
		w.units = map[string]string{}
	}
	w.units[strings.ToLower(metric)] = unit
}

func seriesKey(id, metric, lun string) string { return strings.ToLower(id + "|" + metric + "|" + lun) }

// list are the resources of a type that are there, by id.
func (w *World) list(resourceType string, now time.Time) (all []Machine) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	for _, m := range w.machines {
		if strings.EqualFold(m.Type, resourceType) && !m.Created.After(now) && m.there(now) {
			all = append(all, *m)
		}
	}
	slices.SortFunc(all, func(a, b Machine) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (m Machine) there(now time.Time) bool { return m.Gone.IsZero() || now.Before(m.Gone) }

// runs tells whether it ran through a minute.
func (m Machine) runs(start time.Time) bool {
	end := start.Add(time.Minute)
	if start.Before(m.Created) || !m.Gone.IsZero() && end.After(m.Gone) {
		return false
	}
	for _, off := range m.Off {
		if start.Before(off.To) && end.After(off.From) {
			return false
		}
	}
	return true
}

// Truth is the value of a metric in the minute that ends at a time, by aggregation; false where the minute is empty.
// Each series and minute has its own, and one in thirteen is empty.
func (w *World) Truth(id, metric, lun, aggregation string, end time.Time) (float64, bool) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	m := w.machines[strings.ToLower(id)]
	if m == nil {
		return 0, false
	}
	return w.truth(m, seriesKey(id, metric, lun), strings.ToLower(aggregation), end)
}

func (w *World) truth(m *Machine, key, aggregation string, end time.Time) (float64, bool) {
	start := end.Add(-time.Minute)
	if !m.runs(start) {
		return 0, false
	}
	base, has := w.base(key, start)
	if !has {
		return 0, false
	}
	switch aggregation {
	case "total":
		return base * 7, true
	case "minimum":
		return base - 0.5, true
	case "maximum":
		return base + 0.5, true
	case "count":
		return 60, true
	}
	return base, true
}

func (w *World) base(key string, start time.Time) (float64, bool) {
	if set, is := w.values[key]; is {
		v, has := set[start.UTC().Format(time.RFC3339)]
		return v, has
	}
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendInt(append([]byte(key), '|'), start.Unix(), 10)) // a hash takes everything
	mixed := h.Sum64() * 0x9e3779b97f4a7c15 >> 20
	return 1 + float64(mixed%1000), mixed%13 != 0
}
