//go:build !promql_v316

package fast

import (
	"slices"

	"github.com/prometheus/common/model"
)

// What differs between the versions of upstream that this package is built with: here those before v0.316.0.

// withoutMetadata are the labels that «without» does not group by, and those that its groups do not have.
func withoutMetadata(names []string) (hashed, gone []string) {
	return names, append(slices.Clip(names), model.MetricNameLabel)
}

// exactRank tells whether a quantile that falls on a value is that value, whatever the next one is.
const exactRank = false
