package gcpmonitoring

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// finder gives the machine that a series is of.
type finder func(n *native) (i instance, alive bool)

// canonicalOf are the series that a row makes of those of its type.
func canonicalOf(r ruled, a ask, all []*native, find finder) (series []cloud.Series) {
	for _, machine := range byMachine(r.row, all) {
		i, alive := find(machine[0])
		for _, sum := range combine(r.row, machine, a.window.Final) {
			s := cloud.Series{
				Name: r.name, Source: r.source(), Kind: a.nativeKind(), Period: a.timing.Period, Window: a.window,
				Labels: i.labels(), Points: sum.Points,
			}
			maps.Copy(s.Labels, sum.Labels)
			maps.Copy(s.Labels, r.fixed)
			s.Alive = alive && attached(i, r.source(), s.Labels)
			for n := range s.Points {
				s.Points[n].Value = r.Apply(s.Points[n].Value)
			}
			series = append(series, r.finish(s))
		}
	}
	return series
}

// finish makes of how long a machine was up whether it was.
func (r row) finish(s cloud.Series) cloud.Series {
	if r.name != "vm_available" {
		return s
	}
	s.Kind = collect.NativeGauge
	for n := range s.Points {
		s.Points[n].Value = oneIf(s.Points[n].Value > 0)
	}
	return s
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// attached tells whether the disk that a series is of is still there; Google knows the disks by their device names, and
// the agent inside by others.
func attached(i instance, source collect.Source, labels map[string]string) bool {
	device := labels["device"]
	return device == "" || source != collect.GCM || i.has(device)
}

// byMachine parts the series that a row takes by machine, in a steady order.
func byMachine(r row, all []*native) [][]*native {
	at := map[string]int{}
	var parts [][]*native
	for _, n := range all {
		if !n.isMachine() || !r.takes(n.metric) {
			continue
		}
		id := n.resource["instance_id"]
		if _, known := at[id]; !known {
			at[id] = len(parts)
			parts = append(parts, nil)
		}
		parts[at[id]] = append(parts[at[id]], n)
	}
	return parts
}

// combine keeps the labels of a row and takes the sum, or the mean, over the others.
func combine(r row, machine []*native, final time.Time) []collect.SeriesPoints {
	var parts, ones []collect.SeriesPoints
	for _, group := range alike(r, machine) {
		for _, n := range group {
			points := n.points
			if r.kind != metric.MetricDescriptor_DELTA {
				points = complete(n, group, final)
			}
			labels := kept(r, n)
			parts = append(parts, collect.SeriesPoints{Labels: labels, Points: points})
			if r.mean {
				ones = append(ones, collect.SeriesPoints{Labels: labels, Points: onesOf(points)})
			}
		}
	}
	labels := slices.Collect(maps.Values(r.keep))
	sums := collect.SumOver(parts, labels...)
	for i, count := range collect.SumOver(ones, labels...) { // none unless it is a mean
		for j := range count.Points {
			sums[i].Points[j].Value /= count.Points[j].Value
		}
	}
	return sums
}

func onesOf(points []collect.Point) []collect.Point {
	ones := slices.Clone(points)
	for i := range ones {
		ones[i].Value = 1
	}
	return ones
}

func kept(r row, n *native) map[string]string {
	labels := map[string]string{}
	for theirs, ours := range r.keep {
		if value := n.metric[theirs]; value != "" {
			labels[ours] = value
		}
	}
	return labels
}

// alike parts the series of a machine into those that become one.
func alike(r row, machine []*native) map[string][]*native {
	groups := map[string][]*native{}
	for _, n := range machine {
		key := collect.SeriesKey("", kept(r, n), "")
		groups[key] = append(groups[key], n)
	}
	return groups
}

// complete leaves the points of a series at whose time no other of its group is missing: a sum over less than all would
// look like a fall, and one of a counter like a reset. A series that has not begun or has ended is not missing, and one
// without a point as late as this has ended once that is final.
func complete(n *native, group []*native, final time.Time) []collect.Point {
	if len(group) == 1 {
		return n.points
	}
	return slices.DeleteFunc(slices.Clone(n.points), func(p collect.Point) bool {
		return slices.ContainsFunc(group, func(other *native) bool { return other.lacks(p.Time, final) })
	})
}

// lacks tells whether a point at a time should be there and is not.
func (n *native) lacks(at, final time.Time) bool {
	_, has := slices.BinarySearchFunc(n.points, at, func(p collect.Point, t time.Time) int { return p.Time.Compare(t) })
	if has || len(n.points) == 0 || at.Before(n.points[0].Time) {
		return false
	}
	return at.Before(n.points[len(n.points)-1].Time) || at.After(final)
}

// utilizations are the shares of memory in use, of what is used and what there is at the same time.
func utilizations(series []cloud.Series) (ratios []cloud.Series) {
	limits := map[string]cloud.Series{}
	for _, s := range series {
		if s.Name == "vm_memory_limit_bytes" {
			limits[s.Labels["vm_id"]] = s
		}
	}
	for _, s := range series {
		limit, known := limits[s.Labels["vm_id"]]
		if s.Name != "vm_memory_used_bytes" || s.Source != collect.GCM || !known {
			continue
		}
		ratio := s
		ratio.Name, ratio.Points = "vm_memory_utilization_ratio", nil
		for _, p := range s.Points {
			i, has := slices.BinarySearchFunc(limit.Points, p.Time, func(l collect.Point, t time.Time) int { return l.Time.Compare(t) })
			if has && limit.Points[i].Value > 0 {
				ratio.Points = append(ratio.Points, collect.Point{Time: p.Time, Value: p.Value / limit.Points[i].Value})
			}
		}
		if len(ratio.Points) > 0 {
			ratios = append(ratios, ratio)
		}
	}
	return ratios
}
