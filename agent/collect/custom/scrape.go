package custom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// Collector scrapes one target. A scrape counts as a whole or not at all: where the target does not answer, its text
// cannot be read or it exceeds a limit, all of its series end with a stale marker, and the error says why.
type Collector struct {
	cfg    Config
	target map[string]string
	fetch  *fetcher
	wanted map[string]bool

	// round is the number of the scrape, known the series of the last one by how the target writes them, byKey by what
	// they are.
	round        uint64
	known, byKey map[string]*series

	// markers are those of the last scrape, owed those that were not stored.
	markers, owed []collect.Metric
	// changed says that series have come or gone since they were kept.
	changed, resumed bool
	kept             time.Time
}

var _ collect.MetricsCollector = (*Collector)(nil)

// New checks the configuration; the target is not asked yet.
func New(cfg Config) (*Collector, error) {
	address, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults(address)
	fetch, err := newFetcher(cfg, address)
	if err != nil {
		return nil, err
	}
	c := &Collector{cfg: cfg, target: cfg.target(), fetch: fetch}
	c.forget()
	if len(cfg.Metrics) > 0 {
		c.wanted = map[string]bool{}
		for _, name := range cfg.Metrics {
			c.wanted[name] = true
		}
	}
	return c, nil
}

// Close lets go of the connection to the target.
func (c *Collector) Close() error {
	c.fetch.client.CloseIdleConnections()
	return nil
}

// CollectMetrics scrapes the target once.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	forgot := c.resume(ctx)
	got, err := c.scrape(ctx, at)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // we end, not the target
	}
	return selection.Keep(got), errors.Join(err, forgot)
}

// ended are stale markers for the series that were there before the scrape and are not now, told once. A series that
// comes with times of its own has none: that it is missing says nothing.
func (c *Collector) ended(at time.Time) (markers []collect.Metric) {
	for _, s := range c.byKey {
		if s.present != 0 && s.present != c.round {
			markers = append(markers, collect.Metric{Name: s.name, Labels: s.labels, Value: collect.Stale(), Timestamp: at})
			s.present = 0
			c.changed = true
		}
	}
	markers = append(markers, c.due(at)...)
	c.markers = markers
	return markers
}

// ListAvailableMetrics asks the target what it tells, whether or not it is declared.
func (c *Collector) ListAvailableMetrics(ctx context.Context) ([]collect.MetricDefinition, error) {
	at := time.Now()
	body, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	r := c.reading(body, at)
	r.known, r.round = nil, 0
	r.series = func(_ []byte, name string, own map[string]string) (*series, error) {
		return &series{name: name, labels: own}, nil
	}
	got, err := r.read(body.body)
	if err != nil {
		return nil, c.explain(err)
	}
	slices.SortFunc(got.families, func(a, b collect.MetricDefinition) int { return strings.Compare(a.Name, b.Name) })
	return got.families, nil
}

func (c *Collector) ask(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.fetch.fetch(ctx)
}

// scrape asks and reads. What is there beside an error are stale markers.
func (c *Collector) scrape(ctx context.Context, at time.Time) ([]collect.Metric, error) {
	c.round++
	got, err := c.ask(ctx)
	if err != nil {
		return c.ended(at), err
	}
	return c.take(got, at)
}

// take reads an answer.
func (c *Collector) take(got answer, at time.Time) ([]collect.Metric, error) {
	all, err := c.reading(got, at).read(got.body)
	if err != nil {
		ended := c.ended(at)
		c.forget() // else what a broken target invents would be kept for good
		return ended, c.explain(err)
	}
	for _, s := range all.untimed {
		c.changed = c.changed || s.present == 0
		s.present = c.round
	}
	ended := c.ended(at)
	gone := func(_ string, s *series) bool { return s.seen != c.round }
	maps.DeleteFunc(c.known, gone)
	maps.DeleteFunc(c.byKey, gone)
	if all.twice > 0 {
		c.cfg.Meter.Partial()
	}
	return append(all.metrics, ended...), nil
}

func (c *Collector) forget() { c.known, c.byKey = map[string]*series{}, map[string]*series{} }

func (c *Collector) explain(err error) error {
	return fmt.Errorf("scrape %s: nothing of it is stored: %w", shown(c.fetch.address), err)
}

func (c *Collector) reading(got answer, at time.Time) reading {
	r := reading{
		contentType: got.contentType, fallback: c.cfg.FallbackType, at: at, ignoreTimes: c.cfg.IgnoreTimestamps,
		native: c.cfg.NativeHistograms, classic: c.cfg.ClassicHistograms, maxSamples: c.cfg.Limits.Samples,
		series: c.remember, known: c.recall, round: c.round, expect: len(c.byKey),
	}
	if c.wanted != nil {
		r.wants = func(name string) bool { return c.wanted[name] }
	}
	return r
}

// recall finds a series as the target writes it.
func (c *Collector) recall(text []byte) *series {
	s := c.known[string(text)]
	if s != nil {
		s.seen = c.round
	}
	return s
}

// remember makes a series with the target's labels.
func (c *Collector) remember(text []byte, name string, own map[string]string) (*series, error) {
	s := &series{name: name, labels: join(own, c.target, c.cfg.HonorLabels)}
	if err := c.cfg.Limits.check(s); err != nil {
		return nil, err
	}
	key := collect.SeriesKey(s.name, s.labels, "")
	if same := c.byKey[key]; same != nil { // the target has written it in another way
		s = same
	}
	s.seen = c.round
	c.known[string(text)], c.byKey[key] = s, s
	return s, nil
}

// check refuses a series that is beyond what the source allows.
func (l ScrapeLimits) check(s *series) error {
	if len(s.labels) > l.Labels {
		return fmt.Errorf("metric %.80s has %d labels with those of the target, allowed are %d; drop some at the target or raise the limit of the source", s.name, len(s.labels), l.Labels)
	}
	for name, value := range s.labels {
		switch {
		case len(name) > l.LabelNameBytes:
			return fmt.Errorf("metric %.80s: the label name %.60s… has %d bytes, allowed are %d", s.name, name, len(name), l.LabelNameBytes)
		case len(value) > l.LabelValueBytes:
			return fmt.Errorf("metric %.80s: the value of label %.80s has %d bytes, allowed are %d", s.name, name, len(value), l.LabelValueBytes)
		}
	}
	return nil
}
