package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

var errNoMatch = errors.New("no match[] parameter provided: name at least one selector")

// Metadata describes a metric.
type Metadata struct {
	// Type is counter, gauge, histogram and so on; unknown where it is empty.
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

// Within tells whether another description says all that this one does.
func (m Metadata) Within(other Metadata) bool {
	says := func(text, of string) bool { return text == "" || text == of }
	return says(m.Type, other.Type) && says(m.Help, other.Help) && says(m.Unit, other.Unit)
}

func (m Metadata) named() Metadata {
	if m.Type == "" {
		m.Type = "unknown"
	}
	return m
}

// Target is something that samples are collected from.
type Target struct {
	// DiscoveredLabels are those before, Labels those after relabelling; the latter are on all series of the target.
	DiscoveredLabels labels.Labels `json:"discoveredLabels"`
	Labels           labels.Labels `json:"labels"`
	// ScrapePool is the job.
	ScrapePool string `json:"scrapePool"`
	ScrapeURL  string `json:"scrapeUrl"`
	GlobalURL  string `json:"globalUrl"`

	LastError  string    `json:"lastError"`
	LastScrape time.Time `json:"lastScrape"`
	// LastScrapeDuration is in seconds.
	LastScrapeDuration float64 `json:"lastScrapeDuration"`
	// Health is up, down or unknown.
	Health string `json:"health"`
	// ScrapeInterval and ScrapeTimeout are as in 15s.
	ScrapeInterval string `json:"scrapeInterval"`
	ScrapeTimeout  string `json:"scrapeTimeout"`

	// Metadata describes the target's metrics, by name.
	Metadata map[string]Metadata `json:"-"`
}

// metadata lists what is known of metrics, the first by name where there is a limit.
func (a *api) metadata(out *answer, r *http.Request) error {
	limit, err := limitParam(r, "limit", 0, -1)
	if err != nil {
		return err
	}
	per, err := limitParam(r, "limit_per_metric", 0, 0)
	if err != nil {
		return err
	}
	known := map[string][]Metadata{}
	ctx, notes := listen(r)
	if a.Metadata != nil {
		if known, err = a.Metadata(ctx, r.FormValue("metric")); err != nil {
			return err
		}
	}
	names := slices.Sorted(maps.Keys(known))
	if limit >= 0 && len(names) > limit {
		names = names[:limit]
	}
	sent := make(map[string][]Metadata, len(names))
	for _, name := range names {
		for i, m := range known[name] {
			if per == 0 || i < per {
				sent[name] = append(sent[name], m.named())
			}
		}
	}
	return out.warned(sent, notes)
}

func (a *api) activeTargets(ctx context.Context) ([]Target, error) {
	if a.Targets == nil {
		return []Target{}, nil
	}
	return a.Targets(ctx)
}

func (a *api) targets(out *answer, r *http.Request) error {
	state, pool := strings.ToLower(r.FormValue("state")), r.FormValue("scrapePool")
	if !slices.Contains([]string{"", "any", "active", "dropped"}, state) {
		return badParam("state", fmt.Errorf("%s is none of active, dropped and any", shown(state)))
	}
	sent := struct {
		Active  []Target       `json:"activeTargets"`
		Dropped []Target       `json:"droppedTargets"` // there are none: what is collected is asked for by name
		Counts  map[string]int `json:"droppedTargetCounts"`
	}{Active: []Target{}, Dropped: []Target{}}
	if state != "active" {
		sent.Counts = map[string]int{}
	}
	ctx, notes := listen(r)
	if state != "dropped" {
		all, err := a.activeTargets(ctx)
		if err != nil {
			return err
		}
		for _, t := range all {
			if pool == "" || t.ScrapePool == pool {
				sent.Active = append(sent.Active, t)
			}
		}
	}
	return out.warned(sent, notes)
}

// targetMetadatum describes a metric of one target.
type targetMetadatum struct {
	Target labels.Labels `json:"target"`
	Metric string        `json:"metric,omitempty"`
	Metadata
}

func (a *api) targetMetadata(out *answer, r *http.Request) error {
	limit, err := limitParam(r, "limit", 0, -1)
	if err != nil {
		return err
	}
	var matchers []*labels.Matcher
	if text := r.FormValue("match_target"); text != "" {
		if matchers, err = a.parser.ParseMetricSelector(text); err != nil {
			return badParam("match_target", fmt.Errorf("%s: %w", shown(text), err))
		}
	}
	ctx, notes := listen(r)
	all, err := a.activeTargets(ctx)
	if err != nil {
		return err
	}
	sent := []targetMetadatum{}
	for _, t := range all {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(t.Labels.Get(m.Name)) }) {
			sent = append(sent, t.describe(r.FormValue("metric"))...)
		}
	}
	if limit >= 0 && len(sent) > limit {
		sent = sent[:limit]
	}
	return out.warned(sent, notes)
}

// describe lists what is known of one metric, or of all without a name.
func (t Target) describe(metric string) (list []targetMetadatum) {
	if metric != "" {
		if m, known := t.Metadata[metric]; known {
			list = append(list, targetMetadatum{Target: t.Labels, Metadata: m.named()})
		}
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(t.Metadata)) {
		list = append(list, targetMetadatum{t.Labels, name, t.Metadata[name].named()})
	}
	return list
}

// rules are empty: nothing here evaluates any.
func (*api) rules(out *answer, r *http.Request) error {
	if kind := strings.ToLower(r.FormValue("type")); !slices.Contains([]string{"", "alert", "record"}, kind) {
		return badParam("type", fmt.Errorf("%s is neither alert nor record", shown(kind)))
	}
	return out.data(map[string][]struct{}{"groups": {}})
}

func (*api) alerts(out *answer, _ *http.Request) error {
	return out.data(map[string][]struct{}{"alerts": {}})
}

func (*api) alertmanagers(out *answer, _ *http.Request) error {
	return out.data(map[string][]struct{}{"activeAlertmanagers": {}, "droppedAlertmanagers": {}})
}
