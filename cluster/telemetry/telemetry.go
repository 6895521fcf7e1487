// Package telemetry keeps what this process tells of itself, and writes it as Prometheus scrapes it.
package telemetry

import (
	"io"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Registry is all that a process tells.
type Registry struct{ metrics *prometheus.Registry }

// New tells of the process, of Go's runtime, and in novacron_build_info which version runs.
func New(version string) *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.Gauge("novacron_build_info", "1; the labels say what runs.", map[string]string{"version": version, "goversion": runtime.Version()}, func() float64 { return 1 })
	return r
}

// Gauge asks for a value whenever it is scraped; labels stand on it for good. A name that is there already is a mistake
// in the program, and panics.
func (r *Registry) Gauge(name, help string, labels map[string]string, read func() float64) {
	r.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Counter does the same for what only grows.
func (r *Registry) Counter(name, help string, labels map[string]string, read func() float64) {
	r.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Sample is one value of a metric that something else keeps.
type Sample struct {
	Name, Help string
	Counter    bool
	Labels     map[string]string
	Value      float64
}

// Samples adds what a function yields whenever it is scraped. Of samples with the same name and labels the first counts.
func (r *Registry) Samples(read func() []Sample) { r.metrics.MustRegister(source(read)) }

// source is described by what it yields.
type source func() []Sample

func (source) Describe(chan<- *prometheus.Desc) {}

func (s source) Collect(out chan<- prometheus.Metric) {
	for _, one := range s() {
		kind := prometheus.GaugeValue
		if one.Counter {
			kind = prometheus.CounterValue
		}
		names, values := make([]string, 0, len(one.Labels)), make([]string, 0, len(one.Labels))
		for name, value := range one.Labels {
			names, values = append(names, name), append(values, value)
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(one.Name, one.Help, names, nil), kind, one.Value, values...)
	}
}

// Write writes everything in Prometheus's text format. Where something could not be found out, the rest is written, and
// the error tells.
func (r *Registry) Write(w io.Writer) error {
	families, failed := r.metrics.Gather()
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return failed
}
