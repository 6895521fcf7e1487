package metric

import (
	"fmt"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	// maxSeries bounds every limit: more is no number of series that a cluster could have.
	maxSeries = 1_000_000_000_000
	// maxSingleLimits bounds the limits of single metrics and jobs: every host keeps all of them.
	maxSingleLimits = 1000
)

// ValidateLimits tells why limits of series cannot be set.
func ValidateLimits(l *novacronv1.MetricLimits) error {
	for _, one := range []struct {
		field string
		value uint64
	}{
		{"series_per_host", l.GetSeriesPerHost()}, {"series_per_metric", l.GetSeriesPerMetric()}, {"series_per_job", l.GetSeriesPerJob()},
		{"cluster_series", l.GetClusterSeries()},
	} {
		if one.value > maxSeries {
			return fmt.Errorf("%s: %d, at most %d; 0 is the default", one.field, one.value, int64(maxSeries))
		}
	}
	if n := len(l.GetMetrics()) + len(l.GetJobs()); n > maxSingleLimits {
		return fmt.Errorf("metrics and jobs: %d have limits of their own, at most %d may; raise the limit for all instead", n, maxSingleLimits)
	}
	for name, limit := range l.GetMetrics() {
		if !IsName(name) || len(name) > maxNameBytes {
			return fmt.Errorf("metrics: %.80q is no name of a metric", name)
		}
		if limit > maxSeries {
			return fmt.Errorf("metrics: %s: %d, at most %d; 0 lifts the limit", name, limit, int64(maxSeries))
		}
	}
	for job, limit := range l.GetJobs() {
		if job == "" || len(job) > maxNameBytes {
			return fmt.Errorf("jobs: %.80q: give a value of the label job of at most %d bytes", job, maxNameBytes)
		}
		if limit > maxSeries {
			return fmt.Errorf("jobs: %.80q: %d, at most %d; 0 lifts the limit", job, limit, int64(maxSeries))
		}
	}
	return nil
}
