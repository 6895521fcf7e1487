package fakecloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The limits of a call.
const (
	maxResources = 50
	maxMetrics   = 20
)

// When a value that came is there, and when it changes no more.
const (
	pointAfter = time.Minute
	finalAfter = 170 * time.Second
)

// batchCall is what a call asks for.
type batchCall struct {
	subscription, namespace string
	metrics, aggregations   []string
	start, end              time.Time
	dimensions              []string
	top                     int
	ids                     []string
}

// parseBatch reads a call; what the service refuses is an error.
func parseBatch(r *http.Request) (b batchCall, err error) {
	query := r.URL.Query()
	b.subscription, b.namespace = strings.Split(r.URL.Path, "/")[2], query.Get("metricnamespace")
	b.metrics, b.aggregations = strings.Split(query.Get("metricnames"), ","), strings.Split(query.Get("aggregation"), ",")
	var body struct {
		IDs []string `json:"resourceids"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return b, err
	}
	b.ids = body.IDs
	if b.top, err = strconv.Atoi(query.Get("top")); err != nil {
		b.top = 10
	}
	for _, at := range []struct {
		name string
		to   *time.Time
	}{{"starttime", &b.start}, {"endtime", &b.end}} {
		if *at.to, err = time.Parse("2006-01-02T15:04:05.000Z", query.Get(at.name)); err != nil {
			return b, err
		}
		if !at.to.Equal(at.to.Truncate(time.Minute)) {
			return b, fmt.Errorf("%s %v is no whole minute", at.name, *at.to)
		}
	}
	for part := range strings.SplitSeq(query.Get("filter"), " and ") {
		if dimension, found := strings.CutSuffix(part, " eq '*'"); found {
			b.dimensions = append(b.dimensions, dimension)
		}
	}
	return b, b.check(query.Get("interval"))
}

func (b batchCall) check(interval string) error {
	switch {
	case interval != "PT1M":
		return fmt.Errorf("interval %q", interval)
	case len(b.ids) == 0 || len(b.ids) > maxResources:
		return fmt.Errorf("%d resources, at most %d", len(b.ids), maxResources)
	case len(b.metrics) > maxMetrics:
		return fmt.Errorf("%d metrics, at most %d", len(b.metrics), maxMetrics)
	case !b.end.After(b.start):
		return fmt.Errorf("the end %v is not after the start %v", b.end, b.start)
	}
	known := catalogue(b.namespace)
	for _, metric := range b.metrics {
		one, is := known[strings.ToLower(metric)]
		if !is {
			return fmt.Errorf("failed to find metric configuration for %s, metric: %s", b.namespace, metric)
		}
		for _, d := range b.dimensions {
			if !slices.Contains(one.dimensions, d) {
				return fmt.Errorf("metric %s does not have the dimension %s", metric, d)
			}
		}
	}
	return nil
}

func (c *Cloud) getBatch(w http.ResponseWriter, r *http.Request) {
	b, err := parseBatch(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	now, region := c.Now(), strings.Split(r.Host, ".")[0]
	answers := []any{}
	for _, id := range b.ids {
		m, known := c.find(id)
		switch {
		case !known || c.RefuseGone && !m.there(now):
			refuse(w, http.StatusNotFound, "ResourceNotFound", "The Resource '"+id+"' was not found.")
			return
		case region != strings.ToLower(strings.ReplaceAll(m.Location, " ", "")) || !strings.HasPrefix(strings.ToLower(m.ID), "/subscriptions/"+strings.ToLower(b.subscription)):
			refuse(w, http.StatusBadRequest, "BadRequest", "The resource "+id+" is in another region or subscription.")
			return
		case c.Omit[strings.ToLower(id)]:
			continue
		}
		answers = append(answers, c.answer(m, b, region, now, m.ID))
		if c.Twice {
			answers = append(answers, c.answer(m, b, region, now, strings.ToUpper(m.ID)))
		}
	}
	reply(w, map[string]any{"values": answers})
}

func (w *World) find(id string) (Machine, bool) {
	w.worldMu.Lock()
	defer w.worldMu.Unlock()
	m, known := w.machines[strings.ToLower(id)]
	if !known {
		return Machine{}, false
	}
	return *m, true
}

func (c *Cloud) answer(m Machine, b batchCall, region string, now time.Time, id string) any {
	metrics := []any{}
	for _, metric := range b.metrics {
		metrics = append(metrics, c.metric(m, b, metric, now))
	}
	return map[string]any{
		"starttime": b.start.Format(time.RFC3339), "endtime": b.end.Format(time.RFC3339), "interval": "PT1M", "namespace": b.namespace,
		"resourceregion": region, "resourceid": id, "value": metrics,
	}
}

func (c *Cloud) metric(m Machine, b batchCall, metric string, now time.Time) any {
	c.worldMu.Lock()
	code, unit := c.errors[seriesKey(m.ID, metric, "")], c.units[strings.ToLower(metric)]
	c.worldMu.Unlock()
	if unit == "" {
		unit = catalogue(b.namespace)[strings.ToLower(metric)].unit
	}
	one := map[string]any{
		"id": m.ID + "/providers/Microsoft.Insights/metrics/" + metric, "type": "Microsoft.Insights/metrics", "unit": unit,
		"name": map[string]any{"value": metric, "localizedValue": metric}, "displayDescription": "", "timeseries": []any{}, "errorCode": "Success",
	}
	if code != "" {
		one["errorCode"], one["errorMessage"] = code, "the metric cannot be read now"
		return one
	}
	one["timeseries"] = c.timeseries(m, b, metric, now)
	return one
}

// timeseries are one for the whole resource, or one for each value of the dimension.
func (c *Cloud) timeseries(m Machine, b batchCall, metric string, now time.Time) (all []any) {
	all = []any{}
	if len(b.dimensions) == 0 {
		return append(all, map[string]any{"metadatavalues": []any{}, "data": c.data(m, b, metric, "", now)})
	}
	var values []string
	for _, lun := range m.LUNs {
		values = append(values, strconv.Itoa(lun))
	}
	if b.dimensions[0] != "LUN" {
		values = []string{"GetBlob", "PutBlob"}
	}
	for i, value := range values {
		if i == b.top {
			break
		}
		metadata := []any{}
		for _, d := range b.dimensions {
			metadata = append(metadata, map[string]any{"name": map[string]any{"value": strings.ToLower(d), "localizedValue": d}, "value": value})
		}
		all = append(all, map[string]any{"metadatavalues": metadata, "data": c.data(m, b, metric, value, now)})
	}
	return all
}

// data are the points of a series. The newest have a time alone, those after them half of what they will be.
func (c *Cloud) data(m Machine, b batchCall, metric, lun string, now time.Time) []any {
	points, key := []any{}, seriesKey(m.ID, metric, lun)
	c.worldMu.Lock()
	defer c.worldMu.Unlock()
	for start := b.start; start.Before(b.end); start = start.Add(time.Minute) {
		point := map[string]any{"timeStamp": start.Format("2006-01-02T15:04:05Z")}
		end := start.Add(time.Minute)
		for _, aggregation := range b.aggregations {
			value, has := c.truth(&m, key, aggregation, end)
			if !has || now.Sub(end) < pointAfter {
				continue
			}
			if now.Sub(end) < finalAfter {
				value /= 2
			}
			point[aggregation] = value
		}
		points = append(points, point)
	}
	return points
}
