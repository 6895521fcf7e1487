package httpapi

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Health of a target.
const (
	Up      = "up"
	Down    = "down"
	Unknown = "unknown"
)

// NewTarget describes something that samples are collected from, by a job, with labels of its own. What is not known of
// it stays as it is here: nothing, and its health unknown.
func NewTarget(job, url string, own map[string]string) Target {
	lset := labels.FromMap(own)
	return Target{DiscoveredLabels: lset, Labels: lset, ScrapePool: job, ScrapeURL: url, GlobalURL: url, Health: Unknown}
}

// Every says how often a target is collected from, and how long it may take.
func (t Target) Every(interval, timeout time.Duration) Target {
	t.ScrapeInterval, t.ScrapeTimeout = interval.String(), timeout.String()
	return t
}
