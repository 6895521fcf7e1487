package tsdb

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// RetentionPolicy says how long what is kept, by the time of the data.
type RetentionPolicy struct {
	// Rules are for series of their own: the first one that a series matches counts.
	Rules []RetentionRule `json:"rules,omitempty"`
	// Default is for all other series.
	Default Retention `json:"default"`
	// MaxBytes is the most disk that blocks may take: with more, the oldest block goes before its time, and that is
	// told. 0 is no bound.
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// RetentionRule is how long the series that match are kept, longer or shorter than the others.
type RetentionRule struct {
	// Name says what the rule is for; it is told in errors.
	Name string `json:"name,omitempty"`
	// Match is what all has to hold; the label __name__ is the metric's name.
	Match []MetricFilter `json:"match"`
	Keep  Retention      `json:"keep"`
}

// Retention is a length of time for each tier; 0 is for ever.
type Retention struct {
	Raw         Duration `json:"raw"`
	FiveMinutes Duration `json:"five_minutes"`
	Hour        Duration `json:"hour"`
}

// DownsamplingPolicy says which tiers of windows are made.
type DownsamplingPolicy struct {
	// Tiers are none to two, the shorter resolution first.
	Tiers []DownsamplingTier `json:"tiers"`
}

// DownsamplingTier is windows of one length, each with count, sum, min, max, last and reset-aware increase.
type DownsamplingTier struct {
	// Resolution is 5 min or 1 h.
	Resolution Duration `json:"resolution"`
	// After is how old samples are when their windows are made; as soon as no more samples of that time are taken
	// where it is less.
	After Duration `json:"after"`
}

// DefaultRetention keeps samples for two weeks, windows of five minutes for three months and of an hour for two years.
func DefaultRetention() RetentionPolicy {
	return RetentionPolicy{Default: Retention{Raw: 14 * day, FiveMinutes: 90 * day, Hour: 730 * day}}
}

// DefaultDownsampling makes all windows as soon as can be.
func DefaultDownsampling() DownsamplingPolicy {
	return DownsamplingPolicy{Tiers: []DownsamplingTier{{Resolution: fiveMinutes}, {Resolution: hour}}}
}

const (
	fiveMinutes = Duration(5 * time.Minute)
	hour        = Duration(time.Hour)
	day         = 24 * hour
)

// Bounds of policies.
const (
	MaxRules     = 100
	MaxMatch     = 40
	MaxRuleName  = 200
	LeastRaw     = Duration(time.Hour)
	LongestKept  = 100 * 365 * day
	maxMatchText = 4096
)

// Validate returns all faults at once.
func (p RetentionPolicy) Validate() error {
	faults := []error{p.Default.validate("default")}
	if len(p.Rules) > MaxRules {
		faults = append(faults, fmt.Errorf("rules: there are %d, allowed are %d", len(p.Rules), MaxRules))
	}
	if p.MaxBytes < 0 {
		faults = append(faults, fmt.Errorf("max_bytes: %d: give a number of bytes, 0 for no bound", p.MaxBytes))
	}
	for i, rule := range p.Rules {
		faults = append(faults, rule.validate(fmt.Sprintf("rules[%d]", i)))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("retention policy: %w", err)
	}
	return nil
}

func (r RetentionRule) validate(field string) error {
	faults := []error{r.Keep.validate(field + ".keep")}
	if len(r.Name) > MaxRuleName {
		faults = append(faults, fmt.Errorf("%s.name: it has %d bytes, allowed are %d", field, len(r.Name), MaxRuleName))
	}
	if len(r.Match) == 0 || len(r.Match) > MaxMatch {
		faults = append(faults, fmt.Errorf("%s.match: there are %d, allowed are 1 to %d: what is for all series is the default", field, len(r.Match), MaxMatch))
	}
	if _, err := Matchers(r.Match); err != nil {
		faults = append(faults, fmt.Errorf("%s.%w", field, err))
	}
	return errors.Join(faults...)
}

func (r Retention) validate(field string) error {
	var faults []error
	for _, tier := range []struct {
		name string
		keep Duration
	}{{"raw", r.Raw}, {"five_minutes", r.FiveMinutes}, {"hour", r.Hour}} {
		if tier.keep != 0 && tier.keep < LeastRaw || tier.keep > LongestKept {
			faults = append(faults, fmt.Errorf("%s.%s: %s: allowed are %s to %s, and 0 for ever", field, tier.name, tier.keep, LeastRaw, LongestKept))
		}
	}
	return errors.Join(faults...)
}

// Matchers compiles filters.
func Matchers(filters []MetricFilter) ([]*labels.Matcher, error) {
	types := map[FilterOperator]labels.MatchType{
		FilterEqual: labels.MatchEqual, FilterNotEqual: labels.MatchNotEqual, FilterMatches: labels.MatchRegexp, FilterNotMatches: labels.MatchNotRegexp,
	}
	var matchers []*labels.Matcher
	var faults []error
	for i, f := range filters {
		kind, known := types[f.Operator]
		switch {
		case !known:
			faults = append(faults, fmt.Errorf("match[%d].operator: %.20q is none: write =, !=, =~ or !~", i, f.Operator))
			continue
		case f.Label == "" || len(f.Label) > maxMatchText || len(f.Value) > maxMatchText:
			faults = append(faults, fmt.Errorf("match[%d]: a label of %d bytes and a value of %d: allowed are 1 and 0 to %d", i, len(f.Label), len(f.Value), maxMatchText))
			continue
		}
		m, err := labels.NewMatcher(kind, f.Label, f.Value)
		if err != nil {
			faults = append(faults, fmt.Errorf("match[%d].value: %.60q is no pattern: %w", i, f.Value, err))
			continue
		}
		matchers = append(matchers, m)
	}
	return matchers, errors.Join(faults...)
}

// Validate returns all faults at once.
func (p DownsamplingPolicy) Validate() error {
	var faults []error
	for i, tier := range p.Tiers {
		field := fmt.Sprintf("tiers[%d]", i)
		if tier.Resolution != fiveMinutes && tier.Resolution != hour {
			faults = append(faults, fmt.Errorf("%s.resolution: %s: there are 5m and 1h", field, tier.Resolution))
		}
		if tier.After < 0 || tier.After > LongestKept {
			faults = append(faults, fmt.Errorf("%s.after: %s: allowed are 0 to %s", field, tier.After, LongestKept))
		}
		if slices.ContainsFunc(p.Tiers[:i], func(t DownsamplingTier) bool { return t.Resolution >= tier.Resolution }) {
			faults = append(faults, fmt.Errorf("%s.resolution: %s: name each tier once, the shorter resolution first", field, tier.Resolution))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("downsampling policy: %w", err)
	}
	return nil
}

// CheckTogether finds what two policies cannot keep together: samples live until their windows are made, so that a
// tier that begins after their end would keep them longer than the retention says.
func CheckTogether(r RetentionPolicy, d DownsamplingPolicy) error {
	var faults []error
	for _, tier := range d.Tiers {
		check := func(field string, keep Duration) {
			if keep > 0 && tier.After >= keep {
				faults = append(faults, fmt.Errorf("windows of %s are made after %s, but %s ends samples after %s: make them earlier, or keep samples longer", tier.Resolution, tier.After, field, keep))
			}
		}
		check("default.raw", r.Default.Raw)
		for i, rule := range r.Rules {
			check(fmt.Sprintf("rules[%d].keep.raw", i), rule.Keep.Raw)
		}
	}
	return errors.Join(faults...)
}
