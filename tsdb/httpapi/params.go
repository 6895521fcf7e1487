package httpapi

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query"
)

// The first and last time that a parameter may name, in milliseconds since 1970, and what stands for no bound. They are
// Prometheus's: far enough from the ends of an int64 that offsets and ranges can be added.
const (
	minTime = math.MinInt64 + 62135596801_000
	maxTime = math.MaxInt64 - 62135596801_000
)

// maxPoints bounds the steps of a range query, as Prometheus does.
const maxPoints = 11_000

// shown cuts a value that an error repeats.
func shown(value string) string { return fmt.Sprintf("%.200q", value) }

// parseTime reads seconds since 1970 or a time as in RFC 3339, and returns milliseconds.
func parseTime(text string) (int64, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		ms := math.Round(seconds * 1000)
		if !(ms >= minTime && ms <= maxTime) { // also where it is not a number
			return 0, fmt.Errorf("cannot parse %s to a valid timestamp: it is no time between the years -292e6 and 292e6", shown(text))
		}
		return min(max(int64(ms), minTime), maxTime), nil // the bounds are rounded as floats
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UnixMilli(), nil
	}
	switch text { // years of more than four digits; clients send these for «no bound»
	case time.UnixMilli(minTime).UTC().Format(time.RFC3339Nano):
		return minTime, nil
	case time.Unix(maxTime/1000, 999_999_999).UTC().Format(time.RFC3339Nano):
		return maxTime, nil
	}
	return 0, fmt.Errorf("cannot parse %s to a valid timestamp: give seconds since 1970 or a time as in RFC 3339, such as 2026-01-02T15:04:05Z", shown(text))
}

// parseDuration reads seconds, or a length of time such as 5m or 1h30m.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		ns := seconds * float64(time.Second)
		if !(math.Abs(ns) < math.MaxInt64) {
			return 0, fmt.Errorf("cannot parse %s to a valid duration: it is longer than 292 years", shown(text))
		}
		return time.Duration(ns), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("cannot parse %s to a valid duration: give seconds, or a length such as 30s, 5m or 1h30m", shown(text))
	}
	return time.Duration(d), nil
}

// timeParam is a time in milliseconds, or what it is without one.
func timeParam(r *http.Request, name string, without int64) (int64, error) {
	text := r.FormValue(name)
	if text == "" {
		return without, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return 0, badParam(name, err)
	}
	return t, nil
}

// durationParam is a length of time above zero, or 0 without one.
func durationParam(r *http.Request, name string) (time.Duration, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	d, err := parseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s is not above zero", shown(text))
	}
	if err != nil {
		return 0, badParam(name, err)
	}
	return d, nil
}

// limitParam is how many entries an answer may have, or what it is without a limit.
func limitParam(r *http.Request, name string, least, without int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, badParam(name, fmt.Errorf("%s is not a number of %d or more", shown(text), least))
	}
	return n, nil
}

// boolParam is 1 or 0, true or false.
func boolParam(r *http.Request, name string, without bool) (bool, error) {
	text := r.FormValue(name)
	if text == "" {
		return without, nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return false, badParam(name, fmt.Errorf("%s is neither true nor false", shown(text)))
	}
	return yes, nil
}

// timesParam are the bounds of a question, all time without them.
func timesParam(r *http.Request) (start, end int64, err error) {
	if start, err = timeParam(r, "start", minTime); err != nil {
		return 0, 0, err
	}
	if end, err = timeParam(r, "end", maxTime); err != nil {
		return 0, 0, err
	}
	return start, end, nil
}

// rangeParam are the times of a range query, in milliseconds.
func rangeParam(r *http.Request) (start, end, step int64, err error) {
	for _, bound := range []struct {
		name string
		into *int64
	}{{"start", &start}, {"end", &end}} {
		if *bound.into, err = parseTime(r.FormValue(bound.name)); err != nil {
			return 0, 0, 0, badParam(bound.name, err)
		}
	}
	if end < start {
		return 0, 0, 0, badParam("end", fmt.Errorf("end timestamp must not be before start time: %s is before %s", shown(r.FormValue("end")), shown(r.FormValue("start"))))
	}
	every, err := parseDuration(r.FormValue("step"))
	if step = every.Milliseconds(); err == nil && step <= 0 {
		err = fmt.Errorf("%s is shorter than a millisecond: try a positive integer", shown(r.FormValue("step")))
	}
	if err != nil {
		return 0, 0, 0, badParam("step", err)
	}
	aligned, err := boolParam(r, "align", false)
	if err != nil {
		return 0, 0, 0, err
	}
	if aligned {
		start = query.Range{Start: time.UnixMilli(start), Step: time.Duration(step) * time.Millisecond}.Aligned().Start.UnixMilli()
	}
	// The difference of any two int64 fits a uint64.
	if points := (uint64(end) - uint64(start)) / uint64(step); points > maxPoints {
		return 0, 0, 0, badParam("step", fmt.Errorf("exceeded maximum resolution of 11,000 points per timeseries: %s makes %d of them. Try a longer step, or less time",
			shown(r.FormValue("step")), points))
	}
	return start, end, step, nil
}

// matchersParam are the selectors of match[].
func (a *api) matchersParam(r *http.Request) ([][]*labels.Matcher, error) {
	var sets [][]*labels.Matcher
	for _, text := range r.Form["match[]"] {
		matchers, err := a.parser.ParseMetricSelector(text)
		if err == nil && !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			err = errors.New("match[] must contain at least one non-empty matcher")
		}
		if err != nil {
			return nil, badParam("match[]", fmt.Errorf("%s: %w", shown(text), err))
		}
		sets = append(sets, matchers)
	}
	return sets, nil
}

// labelParam is the name of a label in the path. One that begins with U__ has its odd characters escaped.
func labelParam(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if len(name) > 3 && name[:3] == "U__" {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return "", badParam("name", fmt.Errorf("invalid label name: %s", shown(name)))
	}
	return name, nil
}
