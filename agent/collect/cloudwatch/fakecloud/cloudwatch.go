package fakecloud

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// AWS's own sizes.
const (
	maxQueries     = 500
	pageMetrics    = 500
	pageDatapoints = 100_800
)

func dimensionsOf(t tree) map[string]string {
	all := map[string]string{}
	for _, d := range t.trees("Dimensions") {
		all[d.text("Name")] = d.text("Value")
	}
	return all
}

func (c *Cloud) find(region string, t tree) (Series, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, has := c.series[seriesKey(region, t.text("Namespace"), t.text("MetricName"), dimensionsOf(t))]
	return s, has
}

// datum is one result.
type datum struct {
	id     string
	times  []any
	values []any
	status string
}

func (d datum) tree() tree {
	return tree{"Id": d.id, "Label": d.id, "StatusCode": d.status, "Timestamps": d.times, "Values": d.values}
}

func (c *Cloud) getMetricData(req *request, fault Fault) (any, *failure) {
	queries := req.in.trees("MetricDataQueries")
	start, end := req.in.time("StartTime"), req.in.time("EndTime")
	if len(queries) == 0 || len(queries) > maxQueries || !start.Before(end) {
		return nil, &failure{http.StatusBadRequest, "ValidationError", fmt.Sprintf("%d queries from %v to %v", len(queries), start, end), ""}
	}
	var results []datum
	for i, q := range queries {
		d := c.resultOf(req.region, q, start, end)
		if i < fault.Results {
			d.status = fault.Result
			if fault.Empty {
				d.times, d.values = nil, nil
			}
		}
		if fault.Ragged && len(d.values) > 0 {
			d.values = d.values[1:]
		}
		results = append(results, d)
	}
	if fault.Twice {
		results = append(results, results...)
	}
	return c.pageOfData(results, number(req.in.text("NextToken"))), nil
}

// resultOf is what is told of one query, oldest first.
func (c *Cloud) resultOf(region string, q tree, start, end time.Time) datum {
	stat := q.sub("MetricStat")
	d := datum{id: q.text("Id"), status: "Complete"}
	s, has := c.find(region, stat.sub("Metric"))
	if unit := stat.text("Unit"); !has || unit != "" && unit != s.Unit {
		return d
	}
	period := time.Duration(stat.number("Period")) * time.Second
	for at := start.Truncate(period); at.Before(end); at = at.Add(period) {
		if v, ok := s.period(at, period, stat.text("Stat"), c.now()); ok && !at.Before(start) {
			d.times, d.values = append(d.times, at), append(d.values, v)
		}
	}
	return d
}

// pageOfData leaves out the points before a place and those that do not fit.
func (c *Cloud) pageOfData(results []datum, from int) tree {
	most := c.PageDatapoints
	if most == 0 {
		most = pageDatapoints
	}
	out := tree{}
	var page []any
	at := 0
	for _, d := range results {
		first, last := max(0, from-at), min(len(d.times), from+most-at)
		at += len(d.times)
		switch {
		case len(d.times) == 0 && from == 0:
			page = append(page, d.tree())
		case first < last:
			if last < len(d.times) {
				d.status = "PartialData"
			}
			d.times, d.values = d.times[first:last], d.values[min(first, len(d.values)):min(last, len(d.values))]
			page = append(page, d.tree())
		}
	}
	if from+most < at {
		out["NextToken"] = strconv.Itoa(from + most)
	}
	out["MetricDataResults"] = page
	return out
}

// recently is how long a metric without values is still listed as active.
const recently = 3 * time.Hour

func (c *Cloud) listMetrics(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []any
	for _, id := range slices.Sorted(maps.Keys(c.series)) {
		s := c.series[id]
		if s.Region != req.region || s.Namespace != req.in.text("Namespace") || !c.active(s) {
			continue
		}
		var dimensions []any
		for _, name := range slices.Sorted(maps.Keys(s.Dimensions)) {
			dimensions = append(dimensions, tree{"Name": name, "Value": s.Dimensions[name]})
		}
		all = append(all, tree{"Namespace": s.Namespace, "MetricName": s.Name, "Dimensions": dimensions})
	}
	page, next := paged(all, number(req.in.text("NextToken")), c.PageMetrics, pageMetrics)
	out := tree{"Metrics": page}
	if next > 0 {
		out["NextToken"] = strconv.Itoa(next)
	}
	return out, nil
}

func (c *Cloud) active(s Series) bool {
	now := c.now()
	for at := now.Add(-c.ListLag).Truncate(s.Step); at.After(now.Add(-recently)); at = at.Add(-s.Step) {
		if _, ok := s.shown(at, now); ok {
			return true
		}
	}
	return false
}

func (c *Cloud) getMetricStatistics(req *request, _ Fault) (any, *failure) {
	out := tree{"Label": req.in.text("MetricName"), "Datapoints": []any{}}
	s, has := c.find(req.region, req.in)
	if !has {
		return out, nil
	}
	period := time.Duration(req.in.number("Period")) * time.Second
	var points []any
	for at := req.in.time("StartTime").Truncate(period); at.Before(req.in.time("EndTime")); at = at.Add(period) {
		if v, ok := s.period(at, period, "SampleCount", c.now()); ok {
			points = append(points, tree{"Timestamp": at, "SampleCount": v, "Unit": s.Unit})
		}
	}
	out["Datapoints"] = points
	return out, nil
}

// paged is a page of a list, and where the next begins; 0 for none.
func paged[T any](all []T, from, size, otherwise int) (page []T, next int) {
	if size == 0 {
		size = otherwise
	}
	from = min(from, len(all))
	to := min(from+size, len(all))
	if to < len(all) {
		next = to
	}
	return all[from:to], next
}
