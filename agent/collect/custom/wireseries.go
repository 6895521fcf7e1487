package custom

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

const (
	// maxWireLabels bounds the labels that are read of one series; the gate allows fewer.
	maxWireLabels = 64
	// maxTexts bounds the texts that are kept to be shared.
	maxTexts = 100_000
	// maxBroken bounds the series without sense that are told of a request; all are counted.
	maxBroken = 100
)

// errTooLarge is of a request that tells more than one may.
var errTooLarge = errors.New("the request is too large")

// written is what a request of remote write says.
type written struct {
	metrics []collect.Metric
	// families are described, whether or not samples of them come.
	families []family
	// broken are the first series that cannot be any: the others count.
	broken []*collect.Refusal
	// brokenSamples is how many samples all such series had; lost counts exemplars without a sample of their series
	// beside them.
	brokenSamples, lost int
}

// writeReader reads a request.
type writeReader struct {
	got        written
	maxSamples int
	// series, samples and exemplars count all that was read.
	series, samples, exemplars int
	texts                      map[string]string
	// alone are exemplars that come without a sample, as Prometheus sends them.
	alone []loneExemplars
}

type loneExemplars struct {
	key       string
	exemplars []exemplar.Exemplar
}

// wireSeries is one series of a request.
type wireSeries struct {
	labels    map[string]string
	pairs     int
	fault     error
	metrics   []collect.Metric
	exemplars []exemplar.Exemplar
	kind      tsdb.MetricType
	unit      string
	help      string
}

// text is a string that equal ones of the request share.
func (r *writeReader) text(b []byte) string {
	if s, has := r.texts[string(b)]; has {
		return s
	}
	if r.texts == nil {
		r.texts = map[string]string{}
	}
	s := string(b)
	if len(r.texts) < maxTexts {
		r.texts[s] = s
	}
	return s
}

// begin makes a series. There are those without a sample: they have exemplars.
func (r *writeReader) begin() (*wireSeries, error) {
	if r.series++; r.series > 2*r.maxSamples {
		return nil, fmt.Errorf("%w: it has more than %d series; send fewer at once", errTooLarge, 2*r.maxSamples)
	}
	return &wireSeries{}, nil
}

// countSample bounds what is made of a request.
func (r *writeReader) countSample() error {
	if r.samples++; r.samples > r.maxSamples {
		return fmt.Errorf("%w: it has more than %d samples; send fewer at once (max_samples_per_send of Prometheus)", errTooLarge, r.maxSamples)
	}
	return nil
}

func (r *writeReader) countExemplar() error {
	if r.exemplars++; r.exemplars > r.maxSamples {
		return fmt.Errorf("%w: it has more than %d exemplars; send fewer at once", errTooLarge, r.maxSamples)
	}
	return nil
}

// label adds a label; what a series cannot have is its fault and not that of the request.
func (s *wireSeries) label(name, value string) {
	if s.fault != nil {
		return
	}
	if s.pairs++; s.pairs > maxWireLabels {
		s.fault = fmt.Errorf("it has more than %d labels", maxWireLabels)
		return
	}
	if s.labels == nil {
		s.labels = map[string]string{}
	}
	if _, twice := s.labels[name]; twice {
		s.fault = fmt.Errorf("it has the label %.80q twice", name)
	}
	s.labels[name] = value
}

// sample reads a sample, the same in both versions but for the start.
func (s *wireSeries) sample(f field) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	var value float64
	var at, start int64
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case 1:
			value, err = f.float()
		case 2:
			at, err = f.integer()
		case 3:
			start, err = f.integer()
		}
		return err
	})
	s.metrics = append(s.metrics, collect.Metric{Value: value, Timestamp: time.UnixMilli(at), Start: startOf(start, at)})
	return err
}

func (s *wireSeries) histogram(f field) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	w, err := readHistogram(message)
	if err != nil {
		return err
	}
	if err := w.h.Validate(); err != nil {
		s.fault = fmt.Errorf("a histogram of it is none: %w", err)
	}
	s.metrics = append(s.metrics, collect.Metric{Histogram: &w.h, Timestamp: time.UnixMilli(w.at), Start: startOf(w.start, w.at)})
	return nil
}

// startOf is since when a counter has been counting; one that says it began later does not say it.
func startOf(start, at int64) time.Time {
	if start <= 0 || start > at {
		return time.Time{}
	}
	return time.UnixMilli(start)
}

// end adds a series to what the request says.
func (r *writeReader) end(s *wireSeries) {
	name := s.labels[nameLabel]
	if s.fault == nil && name == "" && (len(s.metrics) > 0 || len(s.exemplars) > 0) {
		s.fault = errors.New("it has no name: the label __name__ is missing")
	}
	if s.fault != nil {
		if len(r.got.broken) < maxBroken {
			r.got.broken = append(r.got.broken, &collect.Refusal{Reason: collect.ReasonBadLabel, Index: -1, Detail: fmt.Sprintf("series %.80q: %v", name, s.fault)})
		}
		r.got.brokenSamples += max(1, len(s.metrics))
		return
	}
	delete(s.labels, nameLabel)
	for label, value := range s.labels {
		if value == "" {
			delete(s.labels, label)
		}
	}
	about := family{name: name, kind: s.kind, unit: s.unit, help: s.help}
	for i := range s.metrics {
		m := &s.metrics[i]
		m.Name, m.Labels = name, s.labels
		if m.Type = about.typeOf(name, m.Histogram != nil); m.Type != "" {
			m.Unit = s.unit
		}
	}
	if s.help != "" && len(s.metrics) > 0 && s.metrics[0].Type != "" {
		r.got.families = append(r.got.families, about)
	}
	r.illustrate(name, s)
	r.got.metrics = append(r.got.metrics, s.metrics...)
}

// illustrate gives exemplars to the last of a series's samples, or keeps them until all series are read.
func (r *writeReader) illustrate(name string, s *wireSeries) {
	switch n := len(s.metrics); {
	case len(s.exemplars) == 0:
	case n > 0:
		s.metrics[n-1].Exemplars = s.exemplars
	default:
		r.alone = append(r.alone, loneExemplars{collect.SeriesKey(name, s.labels, ""), s.exemplars})
	}
}

// finish finds the samples that exemplars without one belong to.
func (r *writeReader) finish() written {
	if len(r.alone) == 0 {
		return r.got
	}
	last := map[string]int{}
	for i, m := range r.got.metrics {
		last[collect.SeriesKey(m.Name, m.Labels, "")] = i
	}
	for _, e := range r.alone {
		if i, has := last[e.key]; has {
			r.got.metrics[i].Exemplars = append(r.got.metrics[i].Exemplars, e.exemplars...)
		} else {
			r.got.lost += len(e.exemplars)
		}
	}
	return r.got
}

// exemplarOf makes an exemplar of its labels, in pairs.
func exemplarOf(pairs []string, value float64, at int64) exemplar.Exemplar {
	return exemplar.Exemplar{Labels: labels.FromStrings(pairs...), Value: value, Ts: at, HasTs: true}
}
