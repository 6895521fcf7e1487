//go:build promql_v316

package fast

import "github.com/prometheus/common/model"

// What differs between the versions of upstream that this package is built with: here v0.316.0.

// withoutMetadata are the labels that «without» does not group by, and those that its groups do not have. Upstream hands
// them to its hash in this order, too.
func withoutMetadata(names []string) (hashed, gone []string) {
	hashed = append([]string{model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel}, names...)
	return hashed, hashed
}

// exactRank tells whether a quantile that falls on a value is that value, whatever the next one is.
const exactRank = true
