package gcpmonitoring

import (
	"maps"
	"slices"

	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// passedOf are the series of a type that has no canonical name, under one made of Google's.
func passedOf(a ask, project string, all []*native, find finder) (series []cloud.Series) {
	conversion, known := collect.FromUCUM(a.unit)
	if !known {
		conversion = collect.Conversion{Unit: a.unit, Factor: 1}
	}
	for _, n := range all {
		base := cloud.Series{
			Name: collect.GCPName(a.native), Source: collect.GCM, Labels: passedLabels(n, project, find), Unit: conversion.Unit,
			Type: collect.TypeGauge, Kind: collect.NativeGauge, Period: a.timing.Period, Window: a.window,
		}
		if a.kind == metric.MetricDescriptor_CUMULATIVE {
			base.Type, base.Kind = collect.TypeCounter, collect.NativeCumulative
		}
		if a.value == metric.MetricDescriptor_DISTRIBUTION {
			series = append(series, bucketsOf(base, a, n, conversion)...)
			continue
		}
		for _, p := range n.points {
			base.Points = append(base.Points, collect.Point{Time: p.Time, Value: conversion.Apply(p.Value)})
		}
		series = append(series, base)
	}
	return series
}

// passedDefinition says what a type is under its passed name.
func passedDefinition(d descriptor) collect.MetricDefinition {
	def := collect.MetricDefinition{
		Name: collect.GCPName(d.native), Type: collect.TypeGauge, Unit: d.unit, Help: "Google's " + d.native + ".", Sources: []collect.Source{collect.GCM}, Optional: true,
	}
	if conversion, known := collect.FromUCUM(d.unit); known {
		def.Unit = conversion.Unit
	}
	switch {
	case d.value == metric.MetricDescriptor_DISTRIBUTION:
		def.Type = collect.TypeHistogram
	case d.kind == metric.MetricDescriptor_CUMULATIVE:
		def.Type = collect.TypeCounter
	}
	return def
}

// passedLabels are the labels of the machine, where it is one, and Google's as dimensions.
func passedLabels(n *native, project string, find finder) map[string]string {
	labels := map[string]string{"cloud_provider": "gcp", "cloud_account_id": project}
	if n.isMachine() {
		i, _ := find(n)
		labels = i.labels()
	} else {
		for name, value := range n.resource {
			if name != "project_id" && value != "" {
				labels[collect.DimensionLabel(name)] = value
			}
		}
	}
	for name, value := range n.metric {
		if value != "" && (!n.isMachine() || name != "instance_name") {
			labels[collect.DimensionLabel(name)] = value
		}
	}
	return labels
}

// bucketsOf are the series of a histogram: amounts of a period are counted bucket by bucket.
func bucketsOf(base cloud.Series, a ask, n *native, conversion collect.Conversion) []cloud.Series {
	if a.kind == metric.MetricDescriptor_DELTA {
		base.Type, base.Kind = collect.TypeCounter, collect.NativeDelta
	}
	byKey := map[string]cloud.Series{}
	for _, h := range n.histograms {
		for _, m := range h.Metrics(base.Name, base.Labels, "", h.time, conversion) {
			key := collect.SeriesKey(m.Name, m.Labels, "")
			s, known := byKey[key]
			if !known {
				s = base
				s.Name, s.Labels, s.Points = m.Name, m.Labels, nil
				if s.Unit != "" && m.Name != base.Name+"_sum" {
					s.Unit = ""
				}
			}
			s.Points = append(s.Points, collect.Point{Time: h.time, Value: m.Value})
			byKey[key] = s
		}
	}
	series := make([]cloud.Series, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		series = append(series, byKey[key])
	}
	return series
}
